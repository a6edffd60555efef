// SPDX-License-Identifier: Apache-2.0
#include "collector/admit/admission.hpp"

#include <algorithm>

#include "common/base/clock.hpp"
#include "common/base/uuid.hpp"
#include "common/service/logging.hpp"

namespace ff::collector {
namespace {

Status check_identity(const std::string& agent, const foreframe::wire::RecordId& id,
                      const wire::EnvelopeHeader& header) {
  if (header.agent() != agent)
    return fail(Errc::malformed,
                "envelope of agent \"" + header.agent() + "\" over the connection of \"" + agent + "\"");
  if (header.detector() != id.detector() || header.stream() != id.stream() || header.epoch() != id.epoch() ||
      header.sequence() != id.sequence())
    return fail(Errc::malformed, "link and envelope name different records: " + wire::describe(header));
  return {};
}

/// State topics keep the last value of each key; blocks of a window share theirs.
std::string key_of(const wire::EnvelopeHeader& header) {
  const auto uid = Uuid::from_bytes(as_bytes(header.series_uid()));
  std::string key = (uid.ok() ? uid->to_string() : "") + "/" + std::to_string(header.stream()) + "/";
  if (header.has_series_start()) return key + "start";
  if (header.has_series_end()) return key + "end";
  return key + std::to_string(header.has_block() ? header.block().window() : header.window().window());
}

}  // namespace

Result<Admitted> Admission::admit(const std::string& agent, const foreframe::wire::RecordId& id,
                                  const Payload& envelope) {
  FF_ASSIGN(const wire::ParsedEnvelope parsed, wire::parse_envelope(envelope.bytes()));
  const wire::EnvelopeHeader& header = parsed.header;
  FF_TRY(check_identity(agent, id, header));
  FF_TRY(check_owner(header));
  count(header);
  // P was fixed when the series began; a log with fewer partitions than that has to do with what it has.
  const std::uint32_t fixed = header.partition_count();
  const bool is_state = header.has_series_start() || header.has_series_end();
  const std::uint32_t there = is_state ? partitions_.series : partitions_.blocks;
  const std::uint32_t partitions = fixed >= 1 && fixed <= there ? fixed : there;
  return Admitted{is_state ? transport::Topic::series : transport::Topic::blocks,
                  wire::partition_of(header, partitions), key_of(header)};
}

Status Admission::check_owner(const wire::EnvelopeHeader& header) {
  const auto key = std::pair(header.detector(), header.stream());
  if (!owners_.contains(key) && owners_.size() >= kStreamsMax)
    return fail(Errc::refused,
                "this collector has seen " + std::to_string(kStreamsMax) + " streams, its limit");
  Owner& owner = owners_[key];
  if (header.epoch() < owner.epoch && header.agent() != owner.agent)
    return fail(Errc::refused, "stream " + std::to_string(header.stream()) + " of " + header.detector() +
                                   " belongs to agent " + owner.agent + " since epoch " +
                                   std::to_string(owner.epoch) + "; stop agent " + header.agent());
  if (header.epoch() >= owner.epoch) owner = {header.agent(), header.epoch()};
  return {};
}

SequenceTracker& Admission::tracker(const StreamKey& key) {
  if (trackers_.size() >= kStreamsMax && !trackers_.contains(key)) {
    const auto oldest = std::ranges::min_element(trackers_, {}, [](const auto& t) { return t.first.epoch; });
    trackers_.erase(oldest);
  }
  return trackers_[key];
}

void Admission::count(const wire::EnvelopeHeader& header) {
  SequenceTracker& stream = tracker({header.agent(), header.detector(), header.stream(), header.epoch()});
  const auto seen = stream.observe(header.sequence(), monotonic_now_ns());
  if (seen.duplicate) metrics_.duplicates.add();
  if (seen.filled) metrics_.gap_records_filled.add();
  if (seen.jumped_over == 0) return;
  metrics_.gaps.add();
  metrics_.gap_records.add(static_cast<double>(seen.jumped_over));
  service::log_warning("gap in a stream's records", {{"agent", header.agent()},
                                                     {"stream", header.stream()},
                                                     {"before_sequence", header.sequence()},
                                                     {"records", seen.jumped_over}});
}

void Admission::greet(const foreframe::wire::Hello& hello) {
  constexpr int kPositionsMax = 4096;
  for (int i = 0; i < std::min(hello.positions_size(), kPositionsMax); ++i) {
    const auto& position = hello.positions(i);
    tracker({hello.agent(), position.detector(), position.stream(), position.epoch()})
        .begin_at(position.first_unacknowledged_sequence());
  }
}

std::map<std::string, foreframe::wire::Missing> Admission::overdue(std::int64_t now_ns,
                                                                   std::int64_t patience_ns) {
  std::map<std::string, foreframe::wire::Missing> asked;
  for (auto& [key, tracker] : trackers_) {
    if (tracker.missing() == 0) continue;
    for (const SequenceTracker::Missing& missing : tracker.due(now_ns, patience_ns, kAskedAtOnceMax)) {
      foreframe::wire::SequenceRange& range = *asked[key.agent].add_records();
      range.set_detector(key.detector);
      range.set_stream(key.stream);
      range.set_epoch(key.epoch);
      range.set_first_sequence(missing.first);
      range.set_count(missing.count);
    }
  }
  return asked;
}

}  // namespace ff::collector
