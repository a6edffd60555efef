// SPDX-License-Identifier: Apache-2.0
//
// SeriesStore, the start: what an earlier run left behind is removed, adopted or taken up again.
#include <algorithm>
#include <string_view>

#include "common/service/logging.hpp"
#include "hpc_sink/store/file_names.hpp"
#include "hpc_sink/store/series_store.hpp"

namespace ff::sink {

Result<std::unique_ptr<SeriesStore>> SeriesStore::open(StoreOptions options, StoreShared shared) {
  FF_TRY(prepare_hdf5());
  std::error_code code;
  std::filesystem::create_directories(options.folder, code);
  if (code) return fail(Errc::io_error, "store.path " + options.folder.string() + ": " + code.message());
  std::unique_ptr<SeriesStore> store(new SeriesStore(std::move(options), shared));
  FF_ASSIGN(const SealKey key, SealKey::load_or_create(store->options_.seal_key_file));
  service::log_info("seals are signed with", {{"public_key", to_text(key.public_key())}});
  FF_TRY(store->open_catalogue());
  store->open_desk(key);
  FF_TRY(store->recover());
  return store;
}

Status SeriesStore::open_catalogue() {
  FF_TRY(take_up_old_catalogue(options_.folder, options_.sink));
  const std::filesystem::path own = catalogue_path(options_.folder, options_.sink);
  std::error_code code;
  for (const auto& entry : std::filesystem::directory_iterator(options_.folder, code)) {
    const std::string name = entry.path().filename().string();
    alone_ = alone_ && !(name.starts_with("catalogue.") && name.ends_with(".sqlite") && entry.path() != own);
  }
  if (code) return fail(Errc::io_error, "reading " + options_.folder.string() + ": " + code.message());
  FF_ASSIGN(catalogue_, Catalogue::open(own));
  publisher_.emplace(options_.open_ledger, options_.destination, *catalogue_, shared_.metrics);
  return {};
}

void SeriesStore::open_desk(const SealKey& key) {
  desk_.emplace(DeskOptions{.folder = options_.folder,
                            .sink = options_.sink,
                            .destination = options_.destination,
                            .master = options_.master,
                            // Time for the other sinks' last statements to come through the topic.
                            .grace = options_.grace + options_.grace / 2,
                            .replay_timeout = options_.replay_timeout,
                            .grace_max = options_.grace_max,
                            .idle_timeout = options_.idle_timeout,
                            .step = options_.step},
                key,
                DeskSurroundings{.catalogue = *catalogue_,
                                 .publisher = *publisher_,
                                 .ownership = shared_.ownership,
                                 .clock = shared_.clock,
                                 .metrics = shared_.metrics,
                                 .storing = [this](const Uuid& uid) { return series_.contains(uid); }});
  publisher_->set_owner([this](const std::string& detector) { return desk_->ours(detector); });
}

Status SeriesStore::recover() {
  std::error_code code;
  for (const auto& entry : std::filesystem::directory_iterator(options_.folder, code)) {
    const auto uid = Uuid::parse(entry.path().filename().string());
    if (!entry.is_directory() || !uid.ok()) continue;
    FF_ASSIGN(const bool looked_at, may_hold_own_files(*uid));
    if (looked_at) FF_TRY(recover_folder(entry.path()));
  }
  if (code) return fail(Errc::io_error, "reading " + options_.folder.string() + ": " + code.message());
  FF_ASSIGN(gaps_, catalogue_->log_gaps());
  std::erase_if(gaps_,
                [](const LogGapRow& gap) { return gap.topic != topic_word(transport::Topic::blocks); });
  FF_ASSIGN(const auto failed, catalogue_->failed_windows());
  for (const auto& [key, read] : failed) shared_.failed.insert(key, read);
  FF_ASSIGN(const std::vector<SeriesRow> rows, catalogue_->series());
  if (catalogue_->lacks_pixel_crcs()) FF_TRY(take_pixel_crcs(rows));
  FF_ASSIGN(left_, catalogue_->left_series());
  for (const SeriesRow& row : rows) {
    if (row.closed_utc_ns != 0) continue;
    if (catalogue_->never_noted() && options_.open_ledger) FF_TRY(say_all_of(row));
    if (!left_.contains(row.uid)) FF_TRY(load_series(row));
  }
  update_counts();
  return {};
}

// A sink meets a series before it makes a file of it. Where it is alone, also files that no catalogue knows are its own.
Result<bool> SeriesStore::may_hold_own_files(const Uuid& series) const {
  if (alone_) return true;
  FF_ASSIGN(const auto row, catalogue_->find_series(series));
  return row && row->closed_utc_ns == 0;
}

Status SeriesStore::recover_folder(const std::filesystem::path& folder) {
  const std::string own_part = "." + options_.sink + ".part";
  std::error_code code;
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder, code)) paths.push_back(entry.path());
  if (code) return fail(Errc::io_error, "reading " + folder.string() + ": " + code.message());
  for (const std::filesystem::path& path : paths) {
    const std::string name = path.filename().string();
    if (name.ends_with(own_part)) {
      std::filesystem::remove(path, code);
      service::log_info("unfinished file removed; its windows will be read again", {{"file", path.string()}});
    } else if (name.ends_with(".h5") && !name.ends_with("_master.h5")) {
      const std::string in_store = folder.filename().string() + "/" + name;
      FF_ASSIGN(const bool known, catalogue_->has_file(in_store));
      if (!known) adopt(path, in_store, true);
    }
  }
  return {};
}

// Once, after the catalogue was brought up from version 1. A file that can't be read keeps its frames without CRC.
Status SeriesStore::take_pixel_crcs(const std::vector<SeriesRow>& series) {
  for (const SeriesRow& row : series) {
    FF_ASSIGN(const std::vector<FileRow> files, catalogue_->files(row.uid));
    for (const FileRow& file : files) {
      const auto content = read_data_file(options_.folder / file.name, false);
      if (content.ok())
        FF_TRY(catalogue_->add_windows(file.stream, content->index.windows, nullptr));
      else
        service::log_error("no pixel CRCs for the catalogue",
                           {{"file", file.name}, {"why", content.error().message}});
    }
  }
  return catalogue_->has_pixel_crcs();
}

// The file was renamed but its row did not get into the catalogue. A file that doesn't verify stays where it
// is, for people to look at; its windows are read again from the log under another name.
void SeriesStore::adopt(const std::filesystem::path& path, const std::string& name, bool verify) {
  if (verify && !alone_) {
    const auto head = read_data_file(path, false);
    if (head.ok() && head->head.sink != options_.sink) return;  // another sink's
  }
  const auto content = read_data_file(path, verify);
  Status adopted = content.ok() ? Status{} : Status{content.error()};
  if (content.ok() && data_file_name(content->head) != name)
    adopted =
        fail(Errc::malformed, "its name is not the one it should have: " + data_file_name(content->head));
  if (adopted.ok()) {
    const DataFileHead& head = content->head;
    std::error_code ignored;
    const FileRow row{.name = name,
                      .stream = head.stream,
                      .partition = head.partition,
                      .segment = head.segment,
                      .epoch = head.epoch,
                      .bytes = std::filesystem::file_size(path, ignored),
                      .frame_numbers = content->index.frame_numbers};
    adopted = meet({.key = head.stream, .window_frames = head.window_frames, .geometry = head.geometry},
                   head.detector);
    if (adopted.ok())
      adopted = add_and_tell({head.stream, head.detector, head.window_frames, head.geometry},
                             content->index.windows, &row);
  }
  if (!adopted.ok()) {
    service::log_error("a data file that the catalogue does not know could not be adopted",
                       {{"file", name}, {"why", adopted.error().message}});
    return;
  }
  shared_.metrics.files_adopted.add();
  service::log_info("data file adopted", {{"file", name}, {"frames", content->index.frame_numbers.size()}});
}

Status SeriesStore::load_series(const SeriesRow& row) {
  FF_ASSIGN(const std::vector<StreamRow> streams, catalogue_->streams(row.uid));
  OpenSeries& series = series_[row.uid];
  series.detector = row.detector;
  series.last_activity_ns = shared_.clock.now_ns();
  for (const StreamRow& stream : streams) {
    geometries_[stream.key] = stream.geometry;
    series.streams[stream.key.stream].window_frames = stream.window_frames;
    wire::EnvelopeHeader header;
    if (!stream.start_header.empty() && header.ParseFromString(stream.start_header))
      note_start(series, header);
    if (!stream.end_header.empty() && header.ParseFromString(stream.end_header)) note_end(series, header);
    FF_ASSIGN(const std::vector<WindowFates> windows, catalogue_->windows(stream.key));
    load_windows(series, stream.key, windows);
  }
  return {};
}

// A window is whole, dead, or missed and asked for again. Dead letters are written after their window was noted,
// perhaps not all of them: a dead window whose records come to a new process is decoded again, and fails again.
void SeriesStore::load_windows(OpenSeries& series, const StreamKey& stream,
                               const std::vector<WindowFates>& windows) {
  for (const WindowFates& window : windows) {
    const WindowKey key{stream, window.window};
    reported_.insert(key);
    const auto failed = shared_.failed.find(key);
    if (window.complete) {
      shared_.done.insert(key);
      shared_.settled.settle(key, foreframe::wire::Receipt::STORED);
    } else if (!failed || !failed->dead) {
      planner_.missed(key, series.detector, "window incomplete");
    }
  }
}

}  // namespace ff::sink
