// SPDX-License-Identifier: Apache-2.0
//
// SeriesStore among other sinks: what it tells the ledger topic, what it hears, and files that others left behind.
#include <algorithm>

#include "common/base/clock.hpp"
#include "common/service/logging.hpp"
#include "hpc_sink/store/file_names.hpp"
#include "hpc_sink/store/series_store.hpp"

namespace ff::sink {

LedgerSubject SeriesStore::subject_of(const StreamKey& key) const {
  const OpenSeries& series = series_.at(key.series);
  const auto geometry = geometries_.find(key);
  return {key, series.detector, series.streams.at(key.stream).window_frames,
          geometry == geometries_.end() ? foreframe::wire::StreamGeometry() : geometry->second};
}

bool SeriesStore::is_settled(const StreamKey& key, const WindowFates& window) const {
  const bool refused = std::ranges::any_of(
      window.fates, [](FrameFate fate) { return fate.stage == foreframe::wire::STAGE_STORE; });
  if (window.complete || refused) return true;
  const auto failed = shared_.failed.find({key, window.window});
  return failed && failed->dead;
}

// One transaction: what is durable is said sooner or later, whenever this process ends.
Status SeriesStore::add_and_tell(const LedgerSubject& subject, const std::vector<WindowFates>& windows,
                                 const FileRow* file) {
  if (!options_.open_ledger) return catalogue_->add_windows(subject.key, windows, file);
  const LedgerSpeaker speaker{options_.sink, options_.destination, options_.note_bytes_max};
  const IsSettled settled = [&](const WindowFates& window) { return is_settled(subject.key, window); };
  const std::int64_t now_ns = utc_now_ns();
  FF_ASSIGN(const std::vector<LedgerNote> notes,
            file != nullptr ? file_notes(speaker, subject, *file, windows, settled, now_ns)
                            : window_notes(speaker, subject, windows, settled, now_ns));
  publisher_->look_again();
  return catalogue_->add_windows(subject.key, windows, file, notes);
}

Status SeriesStore::add(const FeedNews& news) {
  quiet_.store(false);
  if (const auto* record = std::get_if<LedgerNews>(&news)) return desk_->take(*record);
  if (const auto* heard = std::get_if<SeriesHeard>(&news)) return hear(*heard);
  desk_->take(std::get<LedgerRead>(news));
  return {};
}

// Of a series that this store knows the records belong into the catalogue, whoever reads them in the group; of another
// one they are kept aside.
Status SeriesStore::hear(const SeriesHeard& heard) {
  const wire::EnvelopeHeader& header = heard.header;
  FF_ASSIGN(const Uuid uid, Uuid::from_bytes(as_bytes(header.series_uid())));
  const bool is_start = header.has_series_start();
  HeardRecord record{.stream = {.key = {uid, header.stream()}, .window_frames = header.window_frames()},
                     .detector = header.detector(),
                     .epoch = header.epoch(),
                     .is_end = !is_start};
  record.stream.geometry = is_start ? header.series_start().geometry() : header.series_end().geometry();
  (is_start ? record.stream.start_header : record.stream.end_header) = header.SerializeAsString();
  if (is_start) record.stream.start_payload = std::string(as_text(heard.payload.bytes()));
  FF_ASSIGN(const auto row, catalogue_->find_series(uid));
  if (!row) return catalogue_->hear(record);
  FF_ASSIGN(const std::vector<StreamRow> known, catalogue_->streams(uid));
  for (const StreamRow& stream : known)
    if (stream.key == record.stream.key && (is_start ? stream.start_header == record.stream.start_header
                                                     : stream.end_header == record.stream.end_header))
      return {};
  FF_TRY(catalogue_->hear(record));
  FF_ASSIGN([[maybe_unused]] const auto taken, catalogue_->take_heard(uid));
  const auto open = series_.find(uid);
  if (open != series_.end()) FF_TRY(load_series(*row));
  return desk_->heard(uid);
}

// Whole files of other sinks in the same stream and partition hold windows that were read before this sink got the
// partition: what is in them is not stored twice.
Status SeriesStore::take_up_files_of_others(const FinishedWindow& window) {
  const std::uint64_t generation = window.tickets.empty() ? 0 : window.tickets.front().generation;
  auto& looked = looked_[{window.key.stream, window.partition}];
  if (looked == generation + 1) return {};
  looked = generation + 1;
  const DataFileHead like{.stream = window.key.stream,
                          .detector = window.detector,
                          .partition = window.partition,
                          .segment = 0,
                          .epoch = 0,
                          .window_frames = window.window_frames,
                          .geometry = {}};
  const std::string first = data_file_name(like);
  const std::string stem = first.substr(0, first.rfind("_000000_"));
  const std::filesystem::path folder = options_.folder / window.key.stream.series.to_string();
  std::error_code code;
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder, code)) paths.push_back(entry.path());
  for (const std::filesystem::path& path : paths) {
    const std::string name = folder.filename().string() + "/" + path.filename().string();
    if (!name.starts_with(stem + "_") || !name.ends_with(".h5")) continue;
    FF_ASSIGN(const bool known, catalogue_->has_file(name));
    if (!known) adopt(path, name, false);
  }
  return {};
}

// Once, on a catalogue of a version that told the ledger topic nothing but seals.
Status SeriesStore::say_all_of(const SeriesRow& row) {
  const LedgerSpeaker speaker{options_.sink, options_.destination, options_.note_bytes_max};
  FF_ASSIGN(const std::vector<StreamRow> streams, catalogue_->streams(row.uid));
  FF_ASSIGN(const std::vector<FileRow> files, catalogue_->files(row.uid));
  for (const StreamRow& stream : streams) {
    const LedgerSubject subject{stream.key, row.detector, stream.window_frames, stream.geometry};
    const IsSettled settled = [&](const WindowFates& window) { return is_settled(stream.key, window); };
    FF_ASSIGN(const std::vector<WindowFates> windows, catalogue_->windows(stream.key));
    for (const FileRow& file : files) {
      if (file.stream != stream.key) continue;
      FF_ASSIGN(const auto notes, file_notes(speaker, subject, file, {}, settled, utc_now_ns()));
      FF_TRY(catalogue_->add_notes(notes));
    }
    FF_ASSIGN(const auto notes, window_notes(speaker, subject, windows, settled, utc_now_ns()));
    FF_TRY(catalogue_->add_notes(notes));
  }
  return {};
}

}  // namespace ff::sink
