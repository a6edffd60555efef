// SPDX-License-Identifier: Apache-2.0
//
// Two reports of one window become one.
#include "hpc_sink/store/window_fates.hpp"

#include <algorithm>

#include "hpc_sink/decode/window_facts.hpp"

namespace ff::sink {
namespace {

bool is_settled(FrameFate fate) noexcept {
  return fate.state != foreframe::wire::FRAME_STATE_UNSPECIFIED && !may_improve(fate);
}

// Without the agent's window record a sink takes what did not come for sent and lost; the record knows better.
bool is_presumed(const WindowFates& report, FrameFate fate) noexcept {
  return !report.reported && fate.state == foreframe::wire::LOST && may_improve(fate);
}

FrameFate joined_fate(const WindowFates& known, FrameFate before, const WindowFates& later, FrameFate said) {
  if (later.reported && is_presumed(known, before) && said.state != foreframe::wire::FRAME_STATE_UNSPECIFIED)
    return said;
  if (known.reported && is_presumed(later, said) && before.state != foreframe::wire::FRAME_STATE_UNSPECIFIED)
    return before;
  // Of two equal states the one that won't improve is the one that is known for sure.
  if (before.state == said.state && may_improve(before) && !may_improve(said)) return said;
  return better_fate(before, said);
}

}  // namespace

WindowFates merge_fates(const WindowFates& known, const WindowFates& later) {
  WindowFates merged = known;
  const std::size_t frames = std::max(known.fates.size(), later.fates.size());
  merged.fates.resize(frames);
  merged.pixel_crcs.resize(frames);
  for (std::size_t i = 0; i < later.fates.size(); ++i) {
    // A catalogue of version 1 did not keep CRCs; its files say them later.
    if (is_stored(merged.fates[i])) {
      if (merged.pixel_crcs[i] == 0 && is_stored(later.fates[i]))
        merged.pixel_crcs[i] = pixel_crc_of(later, i);
      continue;
    }
    merged.fates[i] = joined_fate(known, merged.fates[i], later, later.fates[i]);
    if (is_stored(merged.fates[i])) merged.pixel_crcs[i] = pixel_crc_of(later, i);
  }
  merged.complete =
      (known.complete || later.complete) && std::all_of(merged.fates.begin(), merged.fates.end(), is_settled);
  merged.reported = known.reported || later.reported;
  if (merged.payload_sha256.empty() || newer_record(later.facts, known.facts))
    if (!later.payload_sha256.empty()) merged.payload_sha256 = later.payload_sha256;
  merged.facts = merge_facts(known.facts, later.facts);
  return merged;
}

}  // namespace ff::sink
