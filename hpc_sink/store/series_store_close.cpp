// SPDX-License-Identifier: Apache-2.0
//
// SeriesStore, the series: meeting them, knowing when they are over, closing them, their master file.
#include <algorithm>

#include "common/base/clock.hpp"
#include "common/service/logging.hpp"
#include "hpc_sink/store/file_names.hpp"
#include "hpc_sink/store/series_store.hpp"

namespace ff::sink {
namespace {

Verdict verdict_of(const SeriesRecord& record) {
  return {.stream = {Uuid::from_bytes(as_bytes(record.header.series_uid())).value(), record.header.stream()},
          .detector = record.header.detector(),
          .part = record.header.has_series_start() ? RecordPart::series_start : RecordPart::series_end,
          .outcome = foreframe::wire::Receipt::STORED,
          .tickets = {record.ticket}};
}

}  // namespace

void SeriesStore::update_counts() {
  series_open_.store(series_.size());
  series_met_.store(met_.size());
  shared_.metrics.series_open.set(static_cast<double>(series_.size()));
}

Status SeriesStore::meet(const StreamRow& stream, const std::string& detector) {
  const Uuid& uid = stream.key.series;
  met_.insert(uid);
  const auto known = series_.find(uid);
  if (known != series_.end() && known->second.streams.contains(stream.key.stream)) return {};
  FF_TRY(catalogue_->add_stream(stream, detector, utc_now_ns()));
  FF_TRY(catalogue_->set_open(uid));
  FF_ASSIGN(const std::vector<SeriesRow> rows, catalogue_->series());
  for (const SeriesRow& row : rows)
    if (row.uid == uid) FF_TRY(load_series(row));
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
  return {};
}

// Why the series is over, or "".
std::string SeriesStore::close_reason(const Uuid& uid, const OpenSeries& series) const {
  const std::int64_t now_ns = shared_.clock.now_ns(), waited_ns = now_ns - series.last_activity_ns;
  const bool misses = planner_.misses(uid);
  bool all_ended = !series.streams.empty(), all_reported = true;
  for (const std::uint32_t stream : series.announced)
    all_ended = all_ended && series.streams.contains(stream);
  for (const auto& [stream, state] : series.streams) {
    all_ended = all_ended && state.ended;
    all_reported = all_reported && reported_.count({uid, stream}) >= state.windows_expected;
  }
  if (all_ended && all_reported && !misses && !series.announced.empty()) return "complete";
  // What was asked for again gets its time to arrive; as long as some of it does, it gets it anew.
  const std::int64_t patience_ns = options_.grace.count() + (misses ? options_.replay_timeout.count() : 0);
  if (all_ended && (waited_ns > patience_ns || now_ns - series.ended_ns > options_.grace_max.count()))
    return "grace over";
  if (waited_ns > options_.idle_timeout.count()) return "idle";
  return "";
}

Status SeriesStore::tick() {
  const std::int64_t now_ns = monotonic_now_ns();
  for (auto next = files_.begin(); next != files_.end();) {
    const auto entry = next++;
    const std::vector<Verdict>& verdicts = entry->second.verdicts;
    if (!verdicts.empty() && !verdicts.front().tickets.empty() &&
        !shared_.offsets.valid(verdicts.front().tickets.front()))
      abandon_file(entry);
    else if (now_ns - entry->second.opened_ns > options_.file_max_time.count())
      FF_TRY(finish_file(entry));
  }
  plan_never_seen();
  std::vector<std::pair<Uuid, std::string>> over;
  for (const auto& [uid, series] : series_)
    if (std::string reason = close_reason(uid, series); !reason.empty())
      over.emplace_back(uid, std::move(reason));
  for (const auto& [uid, reason] : over) FF_TRY(close_series(uid, reason));
  for (ReplayAsk& ask : planner_.due(shared_.clock.now_ns())) shared_.receipts.ask(std::move(ask));
  return publisher_->tick();
}

// The end record says how many windows there are; those of which nothing came are only known by that.
void SeriesStore::plan_never_seen() {
  for (const auto& [uid, series] : series_) {
    if (shared_.clock.now_ns() - series.last_activity_ns <= options_.grace.count()) continue;
    for (const auto& [stream, state] : series.streams)
      if (state.ended)
        planner_.never_seen(
            {uid, stream}, series.detector, state.windows_expected,
            overtaken(uid, std::nullopt) ? "freed by the log before it was read" : "window never came");
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

Status SeriesStore::close_series(const Uuid& uid, const std::string& reason) {
  for (auto next = files_.begin(); next != files_.end();) {
    const auto entry = next++;
    if (std::get<0>(entry->first).series == uid) FF_TRY(finish_file(entry));
  }
  for (const auto& [stream, state] : series_.at(uid).streams) FF_TRY(settle_overtaken({uid, stream}, state));
  FF_ASSIGN(const std::vector<SeriesRow> rows, catalogue_->series());
  const auto row = std::find_if(rows.begin(), rows.end(), [&](const SeriesRow& r) { return r.uid == uid; });
  if (row == rows.end())
    return fail(Errc::not_found, "series " + uid.to_string() + " is not in the catalogue");
  SeriesRow closed = *row;
  closed.closed_utc_ns = utc_now_ns();
  closed.close_reason = reason;
  FF_TRY(seal_and_show(closed));
  // Last of all: a sink killed before this line closes the series again, with the same result.
  FF_TRY(catalogue_->set_closed(closed));
  publisher_->look_again();
  series_.erase(uid);
  planner_.forget(uid);
  update_counts();
  return {};
}

/// Seals the series as it is when closed. The seal is durable before any file shows it.
Status SeriesStore::seal_and_show(SeriesRow& series) {
  const auto ledger = build_ledger(*catalogue_, series);
  if (!ledger.ok() && ledger.error().code == Errc::out_of_range) {
    service::log_error("no seal and no master file: the series' end says more frames than a ledger holds",
                       {{"series", series.uid.to_string()}, {"why", ledger.error().message}});
    return {};
  }
  if (!ledger.ok()) return ledger.error();
  FF_ASSIGN(const std::vector<SealRow> seals, seal_series(*catalogue_, *ledger, *sealer_));
  options_.step(StoreStep::sealed);
  return write_master_of(series, *ledger, seals);
}

/// Writes the master and names it in `series`.
Status SeriesStore::write_master_of(SeriesRow& series, const SeriesLedger& ledger,
                                    const std::vector<SealRow>& seals) {
  const std::string name = master_file_name(series.uid, series.detector);
  const std::filesystem::path path = options_.folder / name, part = part_path(path, options_.sink);
  std::filesystem::create_directories(path.parent_path());
  Status written = write_master(part, *catalogue_, ledger, seals, options_.master);
  if (written.ok()) written = trim_and_sync(part);
  if (written.ok()) written = publish(part, path, true);
  if (!written.ok()) {
    std::error_code ignored;
    std::filesystem::remove(part, ignored);
    return written;
  }
  options_.step(StoreStep::master_renamed);
  series.master = name;
  shared_.metrics.masters_written.add();
  service::log_info("series closed", {{"series", series.uid.to_string()},
                                      {"reason", series.close_reason},
                                      {"master", name},
                                      {"ledger_closes", ledger.closes()}});
  return {};
}

}  // namespace ff::sink
