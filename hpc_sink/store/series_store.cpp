// SPDX-License-Identifier: Apache-2.0
//
// SeriesStore: windows into files, files into the catalogue. Series: series_store_close.cpp; start:
// series_store_recover.cpp.
#include "hpc_sink/store/series_store.hpp"

#include <algorithm>

#include "common/base/clock.hpp"
#include "common/service/logging.hpp"
#include "hpc_sink/decode/window_facts.hpp"
#include "hpc_sink/store/file_names.hpp"

namespace ff::sink {
namespace {

constexpr std::uint32_t kSegmentsMax = 1'000'000;
// The ledger topic's statement of a file lists its frames, and must stay one record.
constexpr std::uint64_t kFileFramesMax = 250'000;
constexpr auto kPublishPatience = std::chrono::seconds(5);

std::uint64_t stored_bits(const std::optional<WindowFates>& known) {
  std::uint64_t bits = 0;
  if (known)
    for (std::size_t i = 0; i < known->fates.size() && i < 64; ++i)
      if (is_stored(known->fates[i])) bits |= std::uint64_t{1} << i;
  return bits;
}

bool adds_to(const WindowFates& known, const WindowFates& later) {
  const WindowFates merged = merge_fates(known, later);
  return merged.fates != known.fates || merged.complete != known.complete ||
         merged.reported != known.reported;
}

bool same_shape(const foreframe::wire::StreamGeometry& a, const foreframe::wire::StreamGeometry& b) {
  return a.rows() == b.rows() && a.cols() == b.cols() && a.dtype() == b.dtype();
}

Outcome outcome_of(const FinishedWindow& window, bool complete) {
  if (window.refused) return foreframe::wire::Receipt::REFUSED;
  if (complete) return foreframe::wire::Receipt::STORED;
  return window.dead ? foreframe::wire::Receipt::DEAD_LETTERED
                     : foreframe::wire::Receipt::OUTCOME_UNSPECIFIED;
}

// The window's tickets, and its records if they are dead, are the verdict's from now on.
Verdict take_verdict(FinishedWindow& window, Outcome outcome) {
  Verdict verdict{.stream = window.key.stream,
                  .detector = window.detector,
                  .part = RecordPart::window,
                  .window = window.key.window,
                  .outcome = outcome,
                  .tickets = std::exchange(window.tickets, {})};
  if (outcome != foreframe::wire::Receipt::STORED) {
    verdict.reason = window.failure;
    verdict.letters = std::exchange(window.letters, {});
  }
  return verdict;
}

std::string why_missed(const FinishedWindow& window) {
  if (!window.failure.empty()) return "not decodable: " + window.failure;
  const bool freed = std::ranges::any_of(
      window.fates, [](FrameFate fate) { return fate.stage == foreframe::wire::STAGE_RETENTION; });
  return freed ? "freed by the log before it was read" : "window incomplete";
}

bool same_frames(const DataFileIndex& a, const DataFileIndex& b) {
  return a.frame_numbers == b.frame_numbers && a.pixel_crcs == b.pixel_crcs;
}

// A window waits for room only while nothing of it, and of its file, is gone. From here on the way back is to
// begin again at the committed offsets, whatever the reason.
Status must_begin_again(Status status) {
  if (!status.ok() && status.error().code == Errc::disk_full)
    return fail(Errc::io_error, status.error().message);
  return status;
}

}  // namespace

// A window that comes again while its first half lies in an open file: that file first, so that what the catalogue
// says of the window is all there is, and durable.
Status SeriesStore::finish_files_with(const WindowKey& key) {
  for (auto next = files_.begin(); next != files_.end();) {
    const auto entry = next++;
    if (std::get<0>(entry->first) != key.stream) continue;
    const auto& windows = entry->second.file->index().windows;
    if (std::ranges::any_of(windows, [&](const WindowFates& fates) { return fates.window == key.window; }))
      FF_TRY(finish_file(entry));
  }
  return {};
}

void SeriesStore::count_frames(const FinishedWindow& window, bool known, std::uint64_t skip) {
  (window.complete ? shared_.metrics.windows_complete : shared_.metrics.windows_incomplete).add();
  if (known) {
    for (const DecodedFrame& frame : window.frames)
      if ((skip >> frame.position & 1) == 0) shared_.metrics.frames_late.add();
    return;
  }
  for (const FrameFate fate : window.fates) {
    if (!may_improve(fate)) continue;
    (fate.state == foreframe::wire::DAMAGED ? shared_.metrics.frames_damaged : shared_.metrics.frames_lost)
        .add();
  }
}

Status SeriesStore::add(FinishedWindow& window) {
  if (!window.tickets.empty() && !shared_.offsets.valid(window.tickets.front())) {
    shared_.done.erase(window.key);  // another sink reads it again
    return {};
  }
  blame_retention(window);
  FF_TRY(take_up_files_of_others(window));
  FF_TRY(finish_files_with(window.key));
  FF_ASSIGN(const std::optional<WindowFates> known, catalogue_->window(window.key));
  window.refused = window.refused && !(known && known->complete);
  if (known && (known->complete || ((window.dead || window.refused) && known->fates == window.fates)))
    return say_again(window, outcome_of(window, known->complete));
  FF_TRY(meet({.key = window.key.stream, .window_frames = window.window_frames, .geometry = window.geometry},
              window.detector));
  if (!same_shape(geometries_.at(window.key.stream), window.geometry)) {
    shared_.metrics.refused(Errc::shape_mismatch).add();
    service::log_error("window refused: its frame shape is not that of its stream",
                       {{"series", window.key.stream.series.to_string()}, {"window", window.key.window}});
    refuse_window(window, fail(Errc::shape_mismatch, "its frame shape is not that of its stream"));
    shared_.done.erase(window.key);
  }
  const std::uint64_t skip = stored_bits(known);
  const bool fresh = std::any_of(window.frames.begin(), window.frames.end(), [&](const DecodedFrame& frame) {
    return (skip >> frame.position & 1) == 0;
  });
  const WindowFates fates = fates_of(window, skip);
  const WindowFates merged = known ? merge_fates(*known, fates) : fates;
  const Outcome outcome = outcome_of(window, merged.complete);
  FF_TRY(note_missing(window, outcome));
  if (fresh) {
    FF_TRY(store_frames(window, skip, outcome));
  } else {
    if (!known || adds_to(*known, fates) || outcome != foreframe::wire::Receipt::OUTCOME_UNSPECIFIED)
      FF_TRY(add_and_tell(subject_of(window.key.stream), {fates}, nullptr));
    settle(take_verdict(window, outcome));
  }
  count_frames(window, known.has_value(), skip);
  reported_.insert(window.key);
  series_.at(window.key.stream.series).last_activity_ns = shared_.clock.now_ns();
  window.lease = {};
  options_.step(StoreStep::window_written);
  return {};
}

// What can be stored of it is durable already, perhaps in a series that is closed: nothing but the receipt is new.
Status SeriesStore::say_again(FinishedWindow& window, Outcome outcome) {
  if (outcome == foreframe::wire::Receipt::DEAD_LETTERED) {
    FF_TRY(note_missing(window, outcome));
    const LedgerSubject subject{window.key.stream, window.detector, window.window_frames, window.geometry};
    FF_TRY(add_and_tell(subject, {fates_of(window, ~std::uint64_t{0})}, nullptr));
  }
  met_.insert(window.key.stream.series);
  update_counts();
  shared_.metrics.records_duplicate.add(static_cast<double>(window.tickets.size()));
  settle(take_verdict(window, outcome));
  window.lease = {};
  return {};
}

// A window without an outcome is asked for again.
Status SeriesStore::note_missing(const FinishedWindow& window, Outcome outcome) {
  auto failed = shared_.failed.find(window.key);
  if (outcome != foreframe::wire::Receipt::OUTCOME_UNSPECIFIED) {
    planner_.settled(window.key);
  } else {
    planner_.missed(window.key, window.detector, why_missed(window));
  }
  if (!failed) return {};
  if (outcome == foreframe::wire::Receipt::STORED) {
    shared_.failed.erase(window.key);
    return catalogue_->forget_failed(window.key);
  }
  failed->dead = outcome == foreframe::wire::Receipt::DEAD_LETTERED;
  shared_.failed.insert(window.key, *failed);
  return catalogue_->note_failed(window.key, *failed);
}

// What the verdict is about is durable. Without an outcome its records have been read, but more of them must
// come before there is a receipt.
void SeriesStore::settle(Verdict verdict) {
  if (verdict.outcome == foreframe::wire::Receipt::OUTCOME_UNSPECIFIED)
    return shared_.offsets.done(verdict.tickets);
  if (verdict.part == RecordPart::window && verdict.outcome != foreframe::wire::Receipt::REFUSED) {
    const WindowKey key{verdict.stream, verdict.window};
    shared_.done.insert(key);
    shared_.settled.settle(key, verdict.outcome);
  }
  shared_.receipts.settle(std::move(verdict));
}

Status SeriesStore::store_frames(FinishedWindow& window, std::uint64_t skip, Outcome outcome) {
  FF_ASSIGN(const auto entry, file_for(window));
  DataFile& file = *entry->second.file;
  Status written = file.append(window, skip);
  if (!written.ok() && file.intact() && written.error().code == Errc::disk_full) {
    // What the file holds is whole and has its room: make it durable, and let this window wait.
    if (file.frames() > 0)
      FF_TRY(finish_file(entry));
    else
      abandon_file(entry);
    return written;
  }
  if (!written.ok() && !file.intact()) return must_begin_again(std::move(written));
  if (!written.ok()) return written;
  OpenFile& open = entry->second;
  open.verdicts.push_back(take_verdict(window, outcome));
  open.raw_bytes += window.raw_bytes;
  if (file.bytes() >= options_.file_bytes_max || file.frames() >= kFileFramesMax) return finish_file(entry);
  return {};
}

Result<DataFileHead> SeriesStore::next_head(const FinishedWindow& window) const {
  DataFileHead head{.stream = window.key.stream,
                    .detector = window.detector,
                    .partition = window.partition,
                    .segment = 0,
                    .epoch = window.epoch,
                    .window_frames = window.window_frames,
                    .geometry = window.geometry,
                    .compression = options_.compression,
                    .sink = options_.sink};
  while (head.segment < kSegmentsMax) {
    FF_ASSIGN(const bool known, catalogue_->has_file(data_file_name(head)));
    if (!known && !std::filesystem::exists(options_.folder / data_file_name(head))) return head;
    ++head.segment;
  }
  return fail(Errc::too_large, "more than a million files of one stream: raise file.max_size");
}

Result<SeriesStore::OpenFiles::iterator> SeriesStore::file_for(const FinishedWindow& window) {
  const FileKey key{window.key.stream, window.partition, window.epoch};
  const auto found = files_.find(key);
  if (found != files_.end()) return found;
  FF_ASSIGN(DataFileHead head, next_head(window));
  const std::filesystem::path path = options_.folder / data_file_name(head);
  std::error_code code;
  std::filesystem::create_directories(path.parent_path(), code);
  if (code)
    return fail(code == std::errc::no_space_on_device ? Errc::disk_full : Errc::io_error,
                "making " + path.parent_path().string() + ": " + code.message());
  FF_ASSIGN(std::unique_ptr<DataFile> file,
            DataFile::create(part_path(path, options_.sink), std::move(head)));
  return files_.emplace(key, OpenFile{std::move(file), {}, 0, monotonic_now_ns()}).first;
}

// Renames without replacing. Who finds the name taken compares: equal frames make his own file superfluous,
// other frames get the next free name.
Status SeriesStore::publish_file(DataFile& file, std::string& name) {
  DataFileHead head = file.head();
  for (; head.segment < kSegmentsMax; ++head.segment) {
    name = data_file_name(head);
    Status published = publish(file.path(), options_.folder / name, false);
    if (published.ok() || published.error().code != Errc::already_exists) return published;
    const auto there = read_data_file(options_.folder / name, true);
    if (there.ok() && same_frames(there->index, file.index())) {
      std::error_code ignored;
      std::filesystem::remove(file.path(), ignored);
      return {};
    }
  }
  return fail(Errc::too_large, "more than a million files of one stream: raise file.max_size");
}

Status SeriesStore::finish_file(OpenFiles::iterator entry) { return must_begin_again(make_durable(entry)); }

Status SeriesStore::make_durable(OpenFiles::iterator entry) {
  OpenFile open = std::move(entry->second);
  files_.erase(entry);
  DataFile& file = *open.file;
  FF_TRY(file.close());
  options_.step(StoreStep::file_closed);
  FF_TRY(trim_and_sync(file.path()));
  options_.step(StoreStep::file_synced);
  FileRow row{.name = {},
              .stream = file.head().stream,
              .partition = file.head().partition,
              .segment = file.head().segment,
              .epoch = file.head().epoch,
              .bytes = 0,
              .frame_numbers = file.index().frame_numbers};
  FF_TRY(publish_file(file, row.name));
  options_.step(StoreStep::file_renamed);
  std::error_code ignored;
  row.bytes = std::filesystem::file_size(options_.folder / row.name, ignored);
  FF_TRY(add_and_tell({row.stream, file.head().detector, file.head().window_frames, file.head().geometry},
                      file.index().windows, &row));
  options_.step(StoreStep::catalogued);
  for (Verdict& verdict : open.verdicts) settle(std::move(verdict));
  shared_.metrics.files_published.add();
  shared_.metrics.frames_stored.add(static_cast<double>(file.frames()));
  shared_.metrics.stored_bytes.add(static_cast<double>(row.bytes));
  shared_.metrics.raw_bytes.add(static_cast<double>(open.raw_bytes));
  service::log_info("data file stored",
                    {{"file", row.name}, {"frames", file.frames()}, {"bytes", row.bytes}});
  return {};
}

void SeriesStore::abandon_file(OpenFiles::iterator entry) {
  const StreamKey stream = std::get<0>(entry->first);
  for (const WindowFates& fates : entry->second.file->index().windows) {
    shared_.done.erase({stream, fates.window});
    reported_.erase({stream, fates.window});
  }
  entry->second.file->abandon();
  files_.erase(entry);
  shared_.metrics.files_abandoned.add();
}

Status SeriesStore::finish() {
  while (!files_.empty()) FF_TRY(finish_file(files_.begin()));
  FF_TRY(tick());
  return publisher_->finish(kPublishPatience);
}

}  // namespace ff::sink
