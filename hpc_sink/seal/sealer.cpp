// SPDX-License-Identifier: Apache-2.0
//
// Sealer: from leaves to a signed body, chained to the seals before it.
#include "hpc_sink/seal/sealer.hpp"

#include <set>

#include "common/base/clock.hpp"
#include "common/service/logging.hpp"
#include "hpc_sink/seal/merkle_tree.hpp"
#include "hpc_sink/seal/series_leaves.hpp"
#include "hpc_sink/seal/window_leaf.hpp"

namespace ff::sink {
namespace {

void note_generations(const std::string& facts, std::set<std::uint64_t>& generations) {
  foreframe::wire::WindowFacts parsed;
  if (!parsed.ParseFromString(facts)) return;
  for (const auto& group : parsed.groups()) generations.insert(group.policy_generation());
}

void announce(const SealBody& body, const Uuid& series) {
  service::log_info("series sealed", {{"series", series.to_string()},
                                      {"seal", body.number()},
                                      {"reason", body.reason()},
                                      {"windows", body.leaves()},
                                      {"root", to_hex(body.merkle_root())}});
}

}  // namespace

Result<SealBody> series_body(const Catalogue& catalogue, const SeriesLedger& ledger) {
  SealBody body;
  body.set_seal_version(kSealVersion);
  body.set_series_uid(ledger.series.uid.to_wire());
  body.set_detector(ledger.series.detector);
  body.set_reason(ledger.series.close_reason);
  std::map<std::uint32_t, SealBody::StreamCounts*> counts;
  for (const StreamLedger& stream : ledger.streams) {
    SealBody::StreamCounts& own = *body.add_streams();
    own.set_stream(stream.stream);
    own.set_channel(stream.channel);
    own.set_expected(stream.expected);
    own.set_end_known(stream.end_known);
    own.set_window_frames(stream.window_frames);
    counts[stream.stream] = &own;
  }
  MerkleTree tree;
  std::set<std::uint64_t> generations;
  FF_TRY(for_each_leaf(catalogue, ledger, [&](const StreamLedger& stream, const WindowFates& window) {
    tree.add(leaf_hash(as_bytes(leaf_bytes(stream.stream, window))));
    count_window(window, *counts.at(stream.stream));
    note_generations(window.facts, generations);
    return Status{};
  }));
  body.set_merkle_root(to_bytes(tree.root()));
  body.set_leaves(tree.leaves());
  for (const std::uint64_t generation : generations) body.add_policy_generations(generation);
  return body;
}

Result<SealedSeries> seal_series(Catalogue& catalogue, const SeriesLedger& ledger, const Sealer& sealer,
                                 const std::function<bool()>& may_seal) {
  FF_ASSIGN(SealBody body, series_body(catalogue, ledger));
  FF_ASSIGN(std::vector<SealRow> seals, catalogue.seals(ledger.series.uid));
  if (!seals.empty()) {
    const auto last = open_seal(seals.back().seal);
    if (last.ok() && same_content(*last, body)) return SealedSeries{std::move(seals), false};
    body.set_previous_seal_sha256(seal_digest(seals.back().seal));
  }
  body.set_number(seals.empty() ? 1 : seals.back().number + 1);
  FF_ASSIGN(const auto of_detector, catalogue.last_seal_of_detector(ledger.series.detector));
  if (of_detector) body.set_detector_seal_sha256(seal_digest(of_detector->seal));
  body.set_sealed_utc_ns(utc_now_ns());
  body.set_sealer(sealer.sink);
  body.set_destination(sealer.destination);
  seals.push_back({ledger.series.uid, body.number(), ledger.series.detector, sign_body(body, sealer.key)});
  if (!may_seal())
    return fail(Errc::stopped,
                "series " + ledger.series.uid.to_string() + " was not sealed: another sink does");
  FF_TRY(catalogue.add_seal(seals.back()));
  announce(body, ledger.series.uid);
  return SealedSeries{std::move(seals), true};
}

}  // namespace ff::sink
