// SPDX-License-Identifier: Apache-2.0
//
// SealingDesk: what comes in. Closing: sealing_desk_close.cpp.
#include "hpc_sink/seal/sealing_desk.hpp"

#include <algorithm>

#include "common/base/clock.hpp"
#include "common/wire/control_record.hpp"
#include "hpc_sink/seal/sealed_series.hpp"

namespace ff::sink {
namespace {

// A seal of a body that is for another destination, or of a record that nobody should have written, is no seal for us.
Result<SealRow> row_of(const Seal& seal, const std::string& destination) {
  FF_ASSIGN(const SealBody body, open_seal(seal));
  if (body.destination() != destination) return fail(Errc::not_found, "another destination's seal");
  FF_ASSIGN(const Uuid uid, Uuid::from_bytes(as_bytes(body.series_uid())));
  return SealRow{uid, body.number(), body.detector(), seal};
}

bool sealed_by(const SealRow& row, const std::string& sink) {
  SealBody body;
  return body.ParseFromString(row.seal.body()) && body.sealer() == sink;
}

}  // namespace

SealingDesk::SealingDesk(DeskOptions options, const SealKey& key, DeskSurroundings around)
    : options_(std::move(options)),
      sealer_{key, options_.sink, options_.destination},
      around_(std::move(around)) {}

bool SealingDesk::ours(const std::string& detector) const {
  const std::uint32_t partitions = around_.publisher.partitions();
  return partitions > 0 &&
         around_.ownership.generation(static_cast<std::int32_t>(ledger_partition(detector, partitions)))
             .has_value();
}

bool SealingDesk::still_ours(const OpenSeries& series) const {
  return around_.ownership.generation(series.partition) == series.generation;
}

void SealingDesk::take(const LedgerRead& read) {
  for (const auto& [partition, generation] : read.partitions) read_[partition] = generation;
  ready_ = true;
  around_.publisher.look_again();  // seals that were made before the partition was lost
}

Status SealingDesk::take(const LedgerNews& news) {
  if (around_.ownership.generation(news.partition) != news.generation) return {};  // the next owner reads it
  if (news.value.empty()) {
    for (auto& [uid, series] : open_) series.keys.erase(news.key);
    return {};
  }
  const auto record = wire::parse_ledger_record(news.value.bytes());
  auto statement =
      record.ok() ? statement_of(*record) : Result<std::optional<LedgerStatement>>(record.error());
  if (!statement.ok()) {
    around_.metrics.refused(statement.error().code).add();
    std::uint64_t held_back = 0;
    if (troubles_.allow(held_back))
      service::log_error("a record of the ledger topic can't be used; it stays there",
                         {{"key", news.key}, {"why", statement.error().message}, {"held_back", held_back}});
    return {};
  }
  if (record->has_seal()) return take_seal(record->seal());
  if (!*statement || (*statement)->destination != options_.destination) return {};
  around_.metrics.ledger_joined.add();
  return take_statement(news, **statement);
}

// What the topic has is what was said in public: a seal of this sink that did not get there in time gives way to it.
Status SealingDesk::take_seal(const Seal& seal) {
  const auto row = row_of(seal, options_.destination);
  if (!row.ok()) return {};
  FF_ASSIGN(const bool is_new, around_.catalogue.join_seal(*row));
  if (is_new) completed_.erase(row->series);
  return {};
}

Status SealingDesk::take_statement(const LedgerNews& news, const LedgerStatement& statement) {
  const Uuid& uid = statement.subject.key.series;
  const std::string& detector = statement.subject.detector;
  FF_ASSIGN(const std::vector<SealRow> seals, around_.catalogue.seals(uid));
  if (!seals.empty() && !open_.contains(uid)) FF_TRY(complete_from_files(uid, detector));
  FF_ASSIGN(const bool is_new, join_statement(around_.catalogue, statement, utc_now_ns()));
  FF_ASSIGN(const auto row, around_.catalogue.find_series(uid));
  const bool closed = row && row->closed_utc_ns != 0;
  if (!open_.contains(uid) && closed && !is_new) {
    around_.publisher.bury(uid, static_cast<std::uint32_t>(news.partition), {news.key});
    return {};
  }
  if (closed) FF_TRY(around_.catalogue.set_open(uid));
  FF_TRY(open(uid, news.partition, news.generation));
  OpenSeries& series = open_.at(uid);
  series.detector = detector;
  series.keys.insert(news.key);
  series.last_activity_ns = around_.clock.now_ns();
  for (const std::uint64_t window : statement.settled) series.settled.insert({statement.subject.key, window});
  return {};
}

Status SealingDesk::open(const Uuid& uid, std::int32_t partition, std::uint64_t generation) {
  if (open_.contains(uid)) return {};
  FF_ASSIGN([[maybe_unused]] const auto heard, around_.catalogue.take_heard(uid));
  OpenSeries& series = open_[uid];
  series.partition = partition;
  series.generation = generation;
  FF_ASSIGN(const auto row, around_.catalogue.find_series(uid));
  if (row) series.detector = row->detector;
  series.last_activity_ns = around_.clock.now_ns();
  FF_ASSIGN(const auto failed, around_.catalogue.failed_windows());
  FF_ASSIGN(const std::vector<StreamRow> streams, around_.catalogue.streams(uid));
  for (const StreamRow& stream : streams)
    FF_TRY(around_.catalogue.for_each_window(stream.key, [&, key = stream.key](const WindowFates& window) {
      const auto found = failed.find({key, window.window});
      if (window.complete || (found != failed.end() && found->second.dead))
        series.settled.insert({key, window.window});
      return Status{};
    }));
  return load_streams(uid, series);
}

Status SealingDesk::load_streams(const Uuid& uid, OpenSeries& series) {
  FF_ASSIGN(const std::vector<StreamRow> streams, around_.catalogue.streams(uid));
  for (const StreamRow& row : streams) {
    OpenStream& stream = series.streams[row.key.stream];
    wire::EnvelopeHeader header;
    if (!row.start_header.empty() && header.ParseFromString(row.start_header))
      series.announced.insert(header.series_start().streams().begin(), header.series_start().streams().end());
    if (row.end_header.empty() || !header.ParseFromString(row.end_header)) continue;
    if (!stream.ended) series.ended_ns = around_.clock.now_ns();
    stream.ended = true;
    stream.windows_expected = header.series_end().windows();
  }
  return {};
}

Status SealingDesk::heard(const Uuid& uid) {
  const auto known = open_.find(uid);
  if (known != open_.end()) {
    known->second.last_activity_ns = around_.clock.now_ns();
    return load_streams(uid, known->second);
  }
  FF_ASSIGN(const auto row, around_.catalogue.find_series(uid));
  FF_ASSIGN(const std::vector<SealRow> seals, around_.catalogue.seals(uid));
  if (!row || seals.empty() || !ours(row->detector)) return {};  // a statement opens it
  FF_TRY(complete_from_files(uid, row->detector));
  FF_TRY(around_.catalogue.set_open(uid));
  const auto partition =
      static_cast<std::int32_t>(ledger_partition(row->detector, around_.publisher.partitions()));
  const auto generation = around_.ownership.generation(partition);
  return generation ? open(uid, partition, *generation) : Status{};
}

// Once per series and process, where the last seal is another sink's: its statements are gone, its files are not.
Status SealingDesk::complete_from_files(const Uuid& uid, const std::string& detector) {
  FF_ASSIGN(const std::vector<SealRow> seals, around_.catalogue.seals(uid));
  if (seals.empty() || sealed_by(seals.back(), options_.sink) || completed_.contains(uid)) return {};
  Status joined = join_sealed_series(around_.catalogue, options_.folder, uid, detector);
  if (joined.ok()) {
    completed_.insert(uid);
    return {};
  }
  if (joined.error().code == Errc::disk_full) return joined;
  service::log_error("what another sink sealed could not be taken over from its files",
                     {{"series", uid.to_string()}, {"why", joined.error().message}});
  return {};
}

void SealingDesk::drop_lost() {
  const std::size_t dropped =
      std::erase_if(open_, [&](const auto& entry) { return !still_ours(entry.second); });
  if (dropped > 0) service::log_info("series left to another sealer", {{"series", dropped}});
}

}  // namespace ff::sink
