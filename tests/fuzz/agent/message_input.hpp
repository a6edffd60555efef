// SPDX-License-Identifier: Apache-2.0
//
// What a target does with a detector's message once a source has read it: as ingest would, up to the pixels.
#pragma once

#include "agent/ingest/pixel_unpack.hpp"
#include "common/base/check.hpp"
#include "tests/fuzz/fuzz_target.hpp"

namespace ff::fuzz {

constexpr std::size_t kFrameBytesMax = std::size_t{1} << 22;  // larger frames only slow the fuzzer down

using MessageEvent =
    std::variant<agent::SeriesStarted, agent::FrameArrived, agent::SeriesEnded, agent::Unreadable>;

/// Unpacks every channel that claims to be usable. Accepted: a readable event, and all its pixels unpacked.
inline Verdict use_event(const MessageEvent& event) {
  if (const auto* broken = std::get_if<agent::Unreadable>(&event)) {
    FF_CHECK(!broken->why.message.empty());
    return Verdict::refused;
  }
  const auto* frame = std::get_if<agent::FrameArrived>(&event);
  if (frame == nullptr) return Verdict::accepted;
  for (const agent::ChannelPixels& pixels : frame->channels) {
    if (pixels.problem || pixels.shape.bytes() > kFrameBytesMax) return Verdict::refused;
    Bytes out(pixels.shape.bytes());
    if (!agent::unpack_pixels(pixels, out).ok()) return Verdict::refused;
  }
  return Verdict::accepted;
}

}  // namespace ff::fuzz
