// SPDX-License-Identifier: Apache-2.0
//
// SealingDesk, the end of a series: when it is over, its seal, its master file, and the statements that are not needed
// any more.
#include <algorithm>

#include "common/base/clock.hpp"
#include "hpc_sink/seal/sealing_desk.hpp"
#include "hpc_sink/store/file_names.hpp"

namespace ff::sink {
namespace {

constexpr std::int64_t kDeskLookNs = 10'000'000;

Error not_ours() { return fail(Errc::stopped, "the detector's ledger partition went to another sink"); }

}  // namespace

// Why the series is over, or "".
std::string SealingDesk::close_reason(const Uuid& uid, const OpenSeries& series) const {
  if (around_.storing(uid)) return "";
  const std::int64_t now_ns = around_.clock.now_ns(), waited_ns = now_ns - series.last_activity_ns;
  bool all_ended = !series.streams.empty(), all_settled = true;
  for (const std::uint32_t stream : series.announced)
    all_ended = all_ended && series.streams.contains(stream);
  for (const auto& [stream, state] : series.streams) {
    all_ended = all_ended && state.ended;
    all_settled = all_settled && series.settled.count({uid, stream}) >= state.windows_expected;
  }
  if (all_ended && all_settled && !series.announced.empty()) return "complete";
  const std::int64_t patience_ns =
      options_.grace.count() + (all_settled ? 0 : options_.replay_timeout.count());
  if (all_ended && (waited_ns > patience_ns || now_ns - series.ended_ns > options_.grace_max.count()))
    return "grace over";
  return waited_ns > options_.idle_timeout.count() ? "idle" : "";
}

Status SealingDesk::tick() {
  if (monotonic_now_ns() < next_look_ns_) return {};
  next_look_ns_ = monotonic_now_ns() + kDeskLookNs;
  drop_lost();
  std::vector<std::pair<Uuid, std::string>> over;
  for (const auto& [uid, series] : open_) {
    const auto read = read_.find(series.partition);
    if (read == read_.end() || read->second != series.generation) continue;  // there may be more of it
    if (std::string reason = close_reason(uid, series); !reason.empty())
      over.emplace_back(uid, std::move(reason));
  }
  for (const auto& [uid, reason] : over) {
    Status closed = close(uid, open_.at(uid), reason);
    if (!closed.ok() && closed.error().code != Errc::stopped) return closed;
  }
  around_.metrics.series_sealing.set(static_cast<double>(open_.size()));
  around_.metrics.ledger_partitions.set(static_cast<double>(around_.ownership.held().size()));
  return {};
}

Status SealingDesk::close(const Uuid& uid, OpenSeries& series, const std::string& reason) {
  FF_TRY(complete_from_files(uid, series.detector));
  FF_ASSIGN(auto row, around_.catalogue.find_series(uid));
  if (!row) return fail(Errc::not_found, "series " + uid.to_string() + " is not in the catalogue");
  row->closed_utc_ns = utc_now_ns();
  row->close_reason = reason;
  FF_TRY(seal_and_show(*row, series));
  // Last of all: a sink killed before this line closes the series again, with the same result.
  FF_TRY(around_.catalogue.set_closed(*row));
  around_.publisher.look_again();
  around_.publisher.bury(uid, static_cast<std::uint32_t>(series.partition), series.keys);
  open_.erase(uid);
  return {};
}

/// Seals the series as it is when closed. The seal is durable before any file shows it.
Status SealingDesk::seal_and_show(SeriesRow& row, const OpenSeries& series) {
  const auto ledger = build_ledger(around_.catalogue, row);
  if (!ledger.ok() && ledger.error().code == Errc::out_of_range) {
    service::log_error("no seal and no master file: the series' end says more frames than a ledger holds",
                       {{"series", row.uid.to_string()}, {"why", ledger.error().message}});
    return {};
  }
  if (!ledger.ok()) return ledger.error();
  FF_ASSIGN(const SealedSeries sealed,
            seal_series(around_.catalogue, *ledger, sealer_, [&] { return still_ours(series); }));
  if (sealed.is_new) around_.metrics.seals_made.add();
  options_.step(StoreStep::sealed);
  return write_master_of(row, *ledger, sealed.seals, series);
}

/// Writes the master and names it in `row`.
Status SealingDesk::write_master_of(SeriesRow& row, const SeriesLedger& ledger,
                                    const std::vector<SealRow>& seals, const OpenSeries& series) {
  const std::string name = master_file_name(row.uid, row.detector);
  const std::filesystem::path path = options_.folder / name, part = part_path(path, options_.sink);
  std::error_code ignored;
  std::filesystem::create_directories(path.parent_path(), ignored);
  Status written = write_master(part, around_.catalogue, ledger, seals, options_.master);
  if (written.ok()) written = trim_and_sync(part);
  if (written.ok() && !still_ours(series)) written = not_ours();
  if (written.ok()) written = publish(part, path, true);
  if (!written.ok()) {
    std::filesystem::remove(part, ignored);
    return written;
  }
  options_.step(StoreStep::master_renamed);
  row.master = name;
  around_.metrics.masters_written.add();
  service::log_info("series closed", {{"series", row.uid.to_string()},
                                      {"reason", row.close_reason},
                                      {"master", name},
                                      {"ledger_closes", ledger.closes()}});
  return {};
}

}  // namespace ff::sink
