// SPDX-License-Identifier: Apache-2.0
//
// SeriesStore, the series: meeting them, knowing when this sink has done its part, leaving them to their sealer.
#include <algorithm>

#include "common/base/clock.hpp"
#include "common/service/logging.hpp"
#include "hpc_sink/store/series_store.hpp"

namespace ff::sink {
namespace {

constexpr std::int64_t kLookNs = 10'000'000;

Verdict verdict_of(const SeriesRecord& record) {
  return {.stream = {Uuid::from_bytes(as_bytes(record.header.series_uid())).value(), record.header.stream()},
          .detector = record.header.detector(),
          .part = record.header.has_series_start() ? RecordPart::series_start : RecordPart::series_end,
          .outcome = foreframe::wire::Receipt::STORED,
          .tickets = {record.ticket}};
}

}  // namespace

void SeriesStore::update_counts() {
  series_met_.store(met_.size());
  quiet_.store(false);
  shared_.metrics.series_open.set(static_cast<double>(series_.size()));
}

Status SeriesStore::meet(const StreamRow& stream, const std::string& detector) {
  const Uuid& uid = stream.key.series;
  met_.insert(uid);
  const auto known = series_.find(uid);
  if (known != series_.end() && known->second.streams.contains(stream.key.stream)) return {};
  FF_TRY(catalogue_->add_stream(stream, detector, utc_now_ns()));
  FF_ASSIGN([[maybe_unused]] const auto heard, catalogue_->take_heard(uid));
  FF_TRY(catalogue_->set_open(uid));
  FF_TRY(catalogue_->set_left(uid, false));
  left_.erase(uid);
  FF_ASSIGN(const auto row, catalogue_->find_series(uid));
  if (row) FF_TRY(load_series(*row));
  FF_TRY(add_and_tell(subject_of(stream.key), {}, nullptr));
  if (known == series_.end())
    service::log_info("series opened", {{"series", uid.to_string()}, {"detector", detector}});
  update_counts();
  return {};
}

void SeriesStore::note_start(OpenSeries& series, const wire::EnvelopeHeader& header) {
  const foreframe::wire::SeriesStart& start = header.series_start();
  series.streams[header.stream()].started = true;
  series.announced.insert(start.streams().begin(), start.streams().end());
}

void SeriesStore::note_end(OpenSeries& series, const wire::EnvelopeHeader& header) {
  OpenStream& stream = series.streams[header.stream()];
  stream.ended = true;
  stream.windows_expected = header.series_end().windows();
  stream.frames_expected = header.series_end().frames_expected();
  stream.partition_count = header.partition_count();
  stream.partition_base = header.partition_base();
  series.ended_ns = shared_.clock.now_ns();
}

Status SeriesStore::add(const SeriesRecord& record) {
  FF_ASSIGN(const Uuid uid, Uuid::from_bytes(as_bytes(record.header.series_uid())));
  const StreamKey key{uid, record.header.stream()};
  const bool is_start = record.header.has_series_start();
  StreamRow row{.key = key, .window_frames = record.header.window_frames()};
  row.geometry = is_start ? record.header.series_start().geometry() : record.header.series_end().geometry();

  // A record that comes again after its series was closed must not open it again.
  FF_ASSIGN(const std::vector<StreamRow> known, catalogue_->streams(uid));
  const std::string bytes = record.header.SerializeAsString();
  for (const StreamRow& stream : known) {
    if (stream.key != key || (is_start ? stream.start_header : stream.end_header) != bytes) continue;
    met_.insert(uid);
    update_counts();
    shared_.metrics.records_duplicate.add();
    settle(verdict_of(record));
    return {};
  }
  FF_TRY(meet(row, record.header.detector()));
  OpenSeries& series = series_.at(uid);
  series.last_activity_ns = shared_.clock.now_ns();
  if (is_start) {
    FF_TRY(catalogue_->add_start(key, bytes, std::string(as_text(record.payload.bytes())),
                                 record.header.epoch()));
    note_start(series, record.header);
  } else {
    FF_TRY(catalogue_->add_end(key, bytes, record.header.epoch()));
    note_end(series, record.header);
  }
  settle(verdict_of(record));
  return desk_->heard(uid);
}

// Windows are spread over the partitions of the blocks topic; only those of partitions that are read here are missed
// here.
bool SeriesStore::is_ours(const OpenStream& stream, std::uint64_t window) const {
  if (stream.partition_count == 0) return true;
  return shared_.offsets.assigned(
      transport::Topic::blocks,
      static_cast<std::int32_t>((stream.partition_base + window) % stream.partition_count));
}

// Stops counting at one: whether there are any is all that is asked.
std::uint64_t SeriesStore::windows_missed(const StreamKey& key, const OpenStream& stream) const {
  if (reported_.count(key) >= stream.windows_expected) return 0;
  for (const auto& [first, past] : reported_.gaps(key, stream.windows_expected, SIZE_MAX))
    for (std::uint64_t window = first; window < std::min(past, first + stream.partition_count + 1); ++window)
      if (is_ours(stream, window)) return 1;
  return 0;
}

bool SeriesStore::all_ended(const OpenSeries& series) const {
  bool ended = !series.streams.empty();
  for (const std::uint32_t stream : series.announced) ended = ended && series.streams.contains(stream);
  for (const auto& [stream, state] : series.streams) ended = ended && state.ended;
  return ended;
}

// True when this sink waits for nothing more of the series. Whether the series is over, its sealer says.
bool SeriesStore::is_over(const Uuid& uid, const OpenSeries& series) const {
  const std::int64_t now_ns = shared_.clock.now_ns(), waited_ns = now_ns - series.last_activity_ns;
  const bool ended = all_ended(series);
  const bool misses = planner_.misses(uid) || std::ranges::any_of(series.streams, [&](const auto& entry) {
                        return windows_missed({uid, entry.first}, entry.second) > 0;
                      });
  if (ended && !misses && !series.announced.empty()) return true;
  // What was asked for again gets its time to arrive; as long as some of it does, it gets it anew.
  const std::int64_t patience_ns = options_.grace.count() + (misses ? options_.replay_timeout.count() : 0);
  if (ended && (waited_ns > patience_ns || now_ns - series.ended_ns > options_.grace_max.count()))
    return true;
  return waited_ns > options_.idle_timeout.count();
}

Status SeriesStore::finish_files_of(const Uuid& uid) {
  for (auto next = files_.begin(); next != files_.end();) {
    const auto entry = next++;
    if (std::get<0>(entry->first).series == uid) FF_TRY(finish_file(entry));
  }
  return {};
}

// A file is closed early where its series' sealer waits for it: a sealer hears of a window when its file is durable.
Status SeriesStore::finish_due_files() {
  const std::int64_t age_max_ns =
      std::min(options_.file_max_time.count(), std::max<std::int64_t>(options_.idle_timeout.count() / 2, 1));
  const bool unsure = away_.unsure(monotonic_now_ns());  // another sink may have stored these windows
  for (auto next = files_.begin(); next != files_.end();) {
    const auto entry = next++;
    const std::vector<Verdict>& verdicts = entry->second.verdicts;
    const auto series = series_.find(std::get<0>(entry->first).series);
    const bool wanted = series != series_.end() && all_ended(series->second) &&
                        shared_.clock.now_ns() - series->second.last_activity_ns > options_.grace.count() / 2;
    if (!verdicts.empty() && !verdicts.front().tickets.empty() &&
        !shared_.offsets.valid(verdicts.front().tickets.front()))
      abandon_file(entry);
    else if (!unsure && (wanted || monotonic_now_ns() - entry->second.opened_ns > age_max_ns))
      FF_TRY(finish_file(entry));
  }
  return {};
}

Status SeriesStore::tick() {
  FF_TRY(finish_due_files());
  if (monotonic_now_ns() >= next_look_ns_) FF_TRY(tick_series());
  FF_TRY(publisher_->tick());
  has_ledger_.store(publisher_->partitions() > 0);
  return {};
}

Status SeriesStore::tick_series() {
  next_look_ns_ = monotonic_now_ns() + kLookNs;
  plan_never_seen();
  std::vector<Uuid> over;
  for (const auto& [uid, series] : series_)
    if (is_over(uid, series)) over.push_back(uid);
  for (const Uuid& uid : over) FF_TRY(leave_series(uid));
  for (ReplayAsk& ask : planner_.due(shared_.clock.now_ns())) shared_.receipts.ask(std::move(ask));
  FF_TRY(desk_->tick());
  return look_for_quiet();
}

// The end record says how many windows there are; those of which nothing came are only known by that.
void SeriesStore::plan_never_seen() {
  for (const auto& [uid, series] : series_) {
    if (shared_.clock.now_ns() - series.last_activity_ns <= options_.grace.count()) continue;
    for (const auto& [stream, state] : series.streams)
      if (state.ended)
        planner_.never_seen(
            {uid, stream}, series.detector, state.windows_expected,
            overtaken(uid, std::nullopt) ? "freed by the log before it was read" : "window never came",
            [this, state = state](std::uint64_t window) { return is_ours(state, window); });
    plan_records(uid, series);
  }
}

// A start is sent before all else. An end may be long in coming, unless the series' other streams have theirs.
void SeriesStore::plan_records(const Uuid& uid, const OpenSeries& series) {
  const bool idle = shared_.clock.now_ns() - series.last_activity_ns > options_.idle_timeout.count() / 2;
  const bool over = std::ranges::any_of(series.streams, [](const auto& each) { return each.second.ended; });
  std::set<std::uint32_t> streams = series.announced;
  for (const auto& [stream, state] : series.streams) streams.insert(stream);
  for (const std::uint32_t stream : streams) {
    const auto known = series.streams.find(stream);
    const OpenStream state = known == series.streams.end() ? OpenStream() : known->second;
    planner_.missing_records({uid, stream}, series.detector, !state.started, !state.ended && (idle || over));
  }
}

Status SeriesStore::leave_series(const Uuid& uid) {
  FF_TRY(finish_files_of(uid));
  for (const auto& [stream, state] : series_.at(uid).streams) FF_TRY(settle_overtaken({uid, stream}, state));
  FF_TRY(catalogue_->set_left(uid, true));
  left_.insert(uid);
  series_.erase(uid);
  planner_.forget(uid);
  update_counts();
  return {};
}

// A series that was left is waited for while its seal may be this sink's to make.
Status SeriesStore::look_for_quiet() {
  for (auto next = left_.begin(); next != left_.end();) {
    const auto uid = next++;
    FF_ASSIGN(const auto row, catalogue_->find_series(*uid));
    const bool foreign = row && desk_->ready() && !desk_->ours(row->detector);
    if (!row || row->closed_utc_ns != 0 || foreign) left_.erase(uid);
  }
  quiet_.store(series_.empty() && left_.empty() && desk_->open_count() == 0 &&
               (desk_->ready() || !options_.open_ledger));
  return {};
}

}  // namespace ff::sink
