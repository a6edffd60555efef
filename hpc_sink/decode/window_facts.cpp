// SPDX-License-Identifier: Apache-2.0
//
// WindowFacts: gathering and joining.
#include "hpc_sink/decode/window_facts.hpp"

#include <algorithm>

#include "common/base/frame_pool.hpp"

namespace ff::sink {
namespace {

// Records come from the wire: what they say is cut to what the catalogue is meant to hold.
constexpr int kGroupsKeptMax = 256, kAgentsKeptMax = 8;
constexpr std::size_t kTextKeptMax = 128;

WindowFacts parsed(const std::string& bytes) {
  WindowFacts facts;
  if (!facts.ParseFromString(bytes)) facts.Clear();
  return facts;
}

WindowFacts::Group& group_of(WindowFacts& facts, std::uint64_t epoch, std::uint32_t group) {
  for (WindowFacts::Group& known : *facts.mutable_groups())
    if (known.epoch() == epoch && known.group() == group) return known;
  WindowFacts::Group& fresh = *facts.add_groups();
  fresh.set_epoch(epoch);
  fresh.set_group(group);
  return fresh;
}

void note_block(WindowFacts& facts, const wire::EnvelopeHeader& header, std::size_t payload_bytes) {
  if (facts.groups_size() >= kGroupsKeptMax) return;
  const foreframe::wire::Block& block = header.block();
  WindowFacts::Group& group = group_of(facts, header.epoch(), block.group());
  group.set_first_frame(block.first_frame());
  group.set_frame_count(block.frame_count());
  group.set_blocks(group.blocks() + 1);
  group.set_coded_bytes(group.coded_bytes() + payload_bytes);
  if (block.device() < 32) group.set_devices(group.devices() | 1u << block.device());
  if (block.profile() < 32) group.set_profiles(group.profiles() | 1u << block.profile());
  group.set_bound(block.bound().substr(0, kTextKeptMax));
  group.set_policy_generation(block.policy_generation());
}

void note_offsets(WindowFacts& facts, std::int32_t partition, std::int64_t first, std::int64_t last) {
  if (first < 0) return;
  const bool known = facts.first_offset() >= 0 && facts.last_offset() >= 0;
  facts.set_partition(partition);
  facts.set_first_offset(known ? std::min(facts.first_offset(), first) : first);
  facts.set_last_offset(known ? std::max(facts.last_offset(), last) : last);
}

void note_agent(WindowFacts& facts, const std::string& agent) {
  const auto& agents = facts.agents();
  const std::string name = agent.substr(0, kTextKeptMax);
  if (!name.empty() && agents.size() < kAgentsKeptMax &&
      std::find(agents.begin(), agents.end(), name) == agents.end())
    facts.add_agents(name);
}

// A window that is read again has the same blocks again: the larger count stands, they don't add up.
void join_groups(WindowFacts& facts, const WindowFacts& later) {
  for (const WindowFacts::Group& group : later.groups()) {
    WindowFacts::Group& mine = group_of(facts, group.epoch(), group.group());
    if (group.blocks() > mine.blocks()) mine = group;
  }
  std::sort(facts.mutable_groups()->begin(), facts.mutable_groups()->end(), [](const auto& a, const auto& b) {
    return std::pair(a.epoch(), a.group()) < std::pair(b.epoch(), b.group());
  });
}

// What is read again after a crash, or joined twice, has the same offsets: it was not sent twice.
void join_sends(WindowFacts& facts, const WindowFacts& a, const WindowFacts& b) {
  const bool apart = a.partition() == b.partition() &&
                     (a.last_offset() < b.first_offset() || b.last_offset() < a.first_offset());
  facts.set_sends(apart ? a.sends() + b.sends() : std::max(a.sends(), b.sends()));
}

void join_failures(WindowFacts& facts, const WindowFacts& other) {
  for (const WindowFacts::Failure& failure : other.failures()) {
    const bool known = std::any_of(facts.failures().begin(), facts.failures().end(), [&](const auto& mine) {
      return mine.block() == failure.block() && mine.reason() == failure.reason();
    });
    if (!known && facts.failures_size() < kFailuresKeptMax) *facts.add_failures() = failure;
  }
}

}  // namespace

WindowFacts no_facts() {
  WindowFacts facts;
  facts.set_first_offset(-1);
  facts.set_last_offset(-1);
  return facts;
}

void note_sent(WindowFacts& facts) { facts.set_sends(facts.sends() + 1); }

void note_record(WindowFacts& facts, const wire::EnvelopeHeader& header, std::size_t payload_bytes,
                 const RecordTicket& ticket) {
  note_agent(facts, header.agent());
  note_offsets(facts, ticket.partition, ticket.first_offset, ticket.first_offset);
  if (header.has_block()) return note_block(facts, header, payload_bytes);
  if (header.epoch() < facts.record_epoch()) return;
  facts.set_record_epoch(header.epoch());
  facts.set_boot_id(header.window().boot_id().substr(0, kTextKeptMax));
  *facts.mutable_clock() = header.window().clock();
}

void note_failure(WindowFacts& facts, const std::string& block, const Error& why) {
  if (facts.failures_size() >= kFailuresKeptMax) return;
  WindowFacts::Failure& failure = *facts.add_failures();
  failure.set_block(block);
  failure.set_reason(why.message);
}

void note_failure(std::string& facts, const std::string& block, const Error& why) {
  WindowFacts noted = parsed(facts);
  note_failure(noted, block, why);
  facts = noted.SerializeAsString();
}

void refuse_window(FinishedWindow& window, const Error& why) {
  namespace pb = foreframe::wire;
  for (FrameFate& fate : window.fates)
    if (is_stored(fate) || fate.state == pb::SENT || may_improve(fate))
      fate = make_fate(pb::LOST, pb::STAGE_STORE);
  window.frames.clear();
  window.complete = window.dead = false;
  window.refused = true;
  window.failure = std::string(to_string(why.code)) + ": " + why.message;
  note_failure(window.facts, "the window", why);
}

void note_not_stored(WindowFacts& facts, const std::vector<FrameFate>& fates,
                     const std::vector<FrameTimes>& times) {
  for (std::size_t i = 0; i < fates.size() && i < times.size(); ++i) {
    if (is_stored(fates[i]) || (times[i].received_utc_ns == kNoTime && times[i].detector_ns == kNoTime))
      continue;
    WindowFacts::Seen& seen = *facts.add_not_stored();
    seen.set_frame(static_cast<std::uint32_t>(i));
    seen.set_detector_time_ns(times[i].detector_ns);
    seen.set_received_utc_ns(times[i].received_utc_ns);
  }
}

std::string merge_facts(const std::string& known, const std::string& later) {
  if (known.empty() || later.empty()) return known.empty() ? later : known;
  WindowFacts a = parsed(known), b = parsed(later);
  const bool newer = b.record_epoch() > a.record_epoch();
  WindowFacts joined = newer ? b : a;
  join_groups(joined, newer ? a : b);
  for (const std::string& agent : (newer ? a : b).agents()) note_agent(joined, agent);
  const WindowFacts& other = newer ? a : b;
  join_failures(joined, other);
  join_sends(joined, a, b);
  if (other.partition() == joined.partition() || joined.first_offset() < 0)
    note_offsets(joined, other.partition(), other.first_offset(), other.last_offset());
  joined.set_read_utc_ns(std::max(a.read_utc_ns(), b.read_utc_ns()));
  return joined.SerializeAsString();
}

bool newer_record(const std::string& a, const std::string& b) {
  return !a.empty() && parsed(a).record_epoch() > parsed(b).record_epoch();
}

}  // namespace ff::sink
