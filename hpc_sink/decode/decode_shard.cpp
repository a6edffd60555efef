// SPDX-License-Identifier: Apache-2.0
//
// DecodeShard: opening, feeding and closing windows.
#include "hpc_sink/decode/decode_shard.hpp"

#include <algorithm>
#include <utility>

#include "hpc_sink/decode/window_facts.hpp"

namespace ff::sink {
namespace {

constexpr auto kRoomPoll = std::chrono::milliseconds(100);

std::string name_of(const WindowKey& key) {
  return key.stream.series.to_string() + " stream " + std::to_string(key.stream.stream) + " window " +
         std::to_string(key.window);
}

const foreframe::wire::StreamGeometry& geometry_of(const WindowRecord& record) {
  return record.header.has_block() ? record.header.block().geometry() : record.header.window().geometry();
}

// The agent sends again what it has and the log takes all of that: what does not come then is not in its spool.
void give_up_missing(FinishedWindow& window) {
  namespace pb = foreframe::wire;
  for (FrameFate& fate : window.fates)
    if (fate.state == pb::LOST && may_improve(fate)) fate = make_fate(pb::LOST, pb::STAGE_SPOOL);
  const std::string missing = window.missing.empty() ? "a block of its frames" : window.missing;
  const Error why = fail(Errc::not_found, "did not come, also not when the agent sent the window again");
  if (window.failure.empty())
    window.failure = std::string(to_string(why.code)) + ": " + missing + " " + why.message;
  note_failure(window.facts, missing, why);
}

}  // namespace

DecodeShard::DecodeShard(DecodeOptions options, FrameChunkEncoder chunks, DecodeShared shared,
                         std::function<bool(FinishedWindow)> emit, std::function<bool()> stopping)
    : options_(options),
      chunks_(chunks),
      shared_(shared),
      emit_(std::move(emit)),
      stopping_(std::move(stopping)) {}

void DecodeShard::add(WindowRecord record) {
  const auto key = window_key(record.header);
  if (!key.ok()) return refuse(record, key.error());
  if (shared_.done.contains(*key)) return receipt_again(*key, record);
  const auto window = open(*key, record);
  if (window == windows_.end()) return;
  window->second.last_record_ns = shared_.clock.now_ns();
  const Result<Intake> intake = window->second.assembler.add(record);
  if (!intake.ok()) {
    refuse(record, intake.error());
  } else if (*intake == Intake::duplicate) {
    shared_.metrics.records_duplicate.add();
    shared_.offsets.done(record.ticket);
  }
  report_failures(window->second.assembler);
  if (window->second.assembler.complete()) close(window, Closing::whole, "");
}

// A window that is done but not yet in a durable file gets its receipt with that file; the older records of it
// hold the commit until then.
void DecodeShard::receipt_again(const WindowKey& key, WindowRecord& record) {
  shared_.metrics.records_duplicate.add();
  const auto outcome = shared_.settled.outcome(key);
  if (!outcome) return shared_.offsets.done(record.ticket);
  const bool stored = *outcome == foreframe::wire::Receipt::STORED;
  shared_.receipts.settle({.stream = key.stream,
                           .detector = record.header.detector(),
                           .part = RecordPart::window,
                           .window = key.window,
                           .outcome = *outcome,
                           .reason = stored ? "" : "it could not be decoded when it came before",
                           .tickets = {record.ticket}});
}

DecodeShard::Windows::iterator DecodeShard::open(const WindowKey& key, WindowRecord& record) {
  const auto known = windows_.find(key);
  if (known != windows_.end()) return known;
  const std::uint64_t bytes = window_memory_bytes(geometry_of(record), record.header.window_frames());
  if (!shared_.budget.fits(bytes)) {
    refuse_too_large(key, record, bytes);
    return windows_.end();
  }
  std::optional<WindowLease> lease;
  while (!(lease = shared_.budget.take(bytes, kRoomPoll))) {
    if (stopping_()) return windows_.end();
    if (shared_.budget.stuck_for() > options_.memory_patience) close_oldest("memory.max is reached");
  }
  WindowAssembler assembler(record.header, record.ticket.partition, options_.device, std::move(*lease));
  if (shared_.failed.find(key)) assembler.keep_letters();
  return windows_.emplace(key, OpenWindow{std::move(assembler), shared_.clock.now_ns(), arrivals_++}).first;
}

void DecodeShard::close(Windows::iterator window, Closing closing, const char* why) {
  if (closing != Closing::whole) {
    service::log_warning("window closed before it was complete",
                         {{"window", name_of(window->first)}, {"why", why}});
    shared_.metrics.windows_incomplete.add();
  }
  FinishedWindow finished = window->second.assembler.finish(chunks_);
  report_failures(window->second.assembler);
  const WindowKey key = window->first;
  windows_.erase(window);
  if (!finished.failure.empty() || !finished.complete) judge(finished, closing);
  const bool done = finished.complete || finished.dead;
  if (done) shared_.done.insert(key);
  if (!emit_(std::move(finished)) && done) shared_.done.erase(key);
}

// Dead is a window whose records came again, every one of them, and either all of them are here and one fails
// again, or the same ones are missing as before, after the same patience. Without a window record that proves
// nothing before the series' end: the agent may still be filling the window. Else its place in the log is noted, so
// that the next records can be told from these.
void DecodeShard::judge(FinishedWindow& window, Closing closing) {
  const auto before = shared_.failed.find(window.key);
  bool came_again = before.has_value() && window.letters.size() == window.tickets.size();
  FailedRead read{window.partition, 0, false, closing == Closing::made_room ? 0 : window.came};
  for (const RecordTicket& ticket : window.tickets) {
    came_again =
        came_again && (ticket.partition != before->partition || ticket.first_offset >= before->next_offset);
    read.next_offset = std::max(read.next_offset, ticket.first_offset + 1);
  }
  const bool lacks_the_same = closing == Closing::waited && before && before->came == window.came &&
                              (window.reported || ended_.contains(window.key.stream));
  const bool undecodable = window.missing.empty() && !window.failure.empty();
  window.dead = came_again && (undecodable || lacks_the_same);
  if (window.dead && !undecodable) give_up_missing(window);
  if (window.dead) return;
  window.letters.clear();
  shared_.failed.insert(window.key, read);
}

void DecodeShard::close_oldest(const char* why) {
  const auto oldest = std::min_element(windows_.begin(), windows_.end(), [](const auto& a, const auto& b) {
    return a.second.arrival < b.second.arrival;
  });
  if (oldest != windows_.end()) close(oldest, Closing::made_room, why);
}

void DecodeShard::series_ended(const StreamKey& stream) { ended_.insert(stream); }

void DecodeShard::drop_revoked() {
  std::erase_if(windows_, [&](const auto& window) {
    const RecordTickets& tickets = window.second.assembler.tickets();
    return !tickets.empty() && !shared_.offsets.valid(tickets.front());
  });
}

void DecodeShard::tick() {
  drop_revoked();
  const std::int64_t now_ns = shared_.clock.now_ns();
  for (auto next = windows_.begin(); next != windows_.end();) {
    const auto window = next++;
    const bool ended = ended_.contains(window->first.stream);
    const auto patience = ended ? options_.grace : options_.window_timeout;
    if (now_ns - window->second.last_record_ns <= patience.count()) continue;
    close(window, Closing::waited,
          ended ? "its series ended and nothing more came" : "nothing came for store.window_timeout");
  }
  if (shared_.budget.stuck_for() > options_.memory_patience) close_oldest("memory.max is reached");
}

void DecodeShard::report_failures(WindowAssembler& assembler) {
  for (const DecodeFailure& failure : assembler.take_failures()) {
    shared_.metrics.blocks_failed(failure.why.code).add();
    std::uint64_t held_back = 0;
    if (!failure_lines_.allow(held_back)) continue;
    service::log_error("block could not be decoded; its frames are damaged",
                       {{"block", failure.identity}, {"why", failure.why.message}, {"held_back", held_back}});
  }
}

// Wrong with the record itself.
void DecodeShard::refuse(WindowRecord& record, const Error& why) {
  shared_.receipts.settle({.stream = {},
                           .detector = {},
                           .reason = std::string(to_string(why.code)) + ": " + why.message,
                           .letters = {std::move(record.letter)},
                           .tickets = {record.ticket}});
  tell_refused(record, why);
}

// The operator's to mend, but not while the agent waits: it is told with each record, and quarantines them. The
// window's own record says which frames are lost by it.
void DecodeShard::refuse_too_large(const WindowKey& key, WindowRecord& record, std::uint64_t bytes) {
  const Error why = fail(Errc::too_large, "a window of this stream takes " + std::to_string(bytes) +
                                              " bytes, more than memory.max: raise it");
  tell_refused(record, why);
  if (!record.header.has_window())
    return shared_.receipts.settle({.stream = key.stream,
                                    .detector = record.header.detector(),
                                    .part = RecordPart::window,
                                    .window = key.window,
                                    .outcome = foreframe::wire::Receipt::REFUSED,
                                    .reason = std::string(to_string(why.code)) + ": " + why.message,
                                    .tickets = {record.ticket}});
  WindowAssembler assembler(record.header, record.ticket.partition, options_.device, WindowLease());
  if (const auto taken = assembler.add(record); !taken.ok()) return refuse(record, taken.error());
  FinishedWindow window = assembler.finish(chunks_);
  refuse_window(window, why);
  static_cast<void>(emit_(std::move(window)));
}

void DecodeShard::tell_refused(const WindowRecord& record, const Error& why) {
  shared_.metrics.refused(why.code).add();
  std::uint64_t held_back = 0;
  if (!refusal_lines_.allow(held_back)) return;
  service::log_warning(
      "record refused",
      {{"record", wire::describe(record.header)}, {"why", why.message}, {"held_back", held_back}});
}

}  // namespace ff::sink
