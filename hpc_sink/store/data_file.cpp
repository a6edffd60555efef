// SPDX-License-Identifier: Apache-2.0
//
// DataFile: direct chunk writes now, small tables at the end.
#include "hpc_sink/store/data_file.hpp"

#include <algorithm>
#include <unistd.h>

#include "hpc_sink/store/bitshuffle_filter.hpp"
#include "hpc_sink/store/durable_file.hpp"

namespace ff::sink {
namespace {

constexpr std::uint64_t kReserveStep = 64u << 20;
// For HDF5's own structures and our tables, which are written at the end.
constexpr std::uint64_t kMetadataBytes = 1u << 20;
constexpr std::uint64_t kMetadataBytesPerFrame = 256;
constexpr std::uint64_t kGridPositionsMax = 64;

Hdf5Id file_access() {
  Hdf5Id access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_libver_bounds(access.get(), H5F_LIBVER_EARLIEST, H5F_LIBVER_V110);
  H5Pset_fclose_degree(access.get(), H5F_CLOSE_STRONG);
  return access;
}

Hdf5Id dataset_creation(const DataFileHead& head) {
  Hdf5Id creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  const hsize_t chunk[3] = {1, head.geometry.rows(), head.geometry.cols()};
  H5Pset_chunk(creation.get(), 3, chunk);
  H5Pset_fill_time(creation.get(), H5D_FILL_TIME_NEVER);
  H5Pset_obj_track_times(creation.get(), false);
  const std::size_t element_bytes = dtype_bytes(static_cast<Dtype>(head.geometry.dtype()));
  if (head.compression == Compression::bslz4) {
    const auto parameters = bitshuffle_parameters(element_bytes);
    H5Pset_filter(creation.get(), kBitshuffleFilter, H5Z_FLAG_MANDATORY, parameters.size(),
                  parameters.data());
  }
  if (head.compression == Compression::deflate) {
    H5Pset_shuffle(creation.get());
    H5Pset_deflate(creation.get(), kDeflateLevel);
  }
  return creation;
}

bool same_frames(const DataFileHead& head, const FinishedWindow& window) {
  return head.stream == window.key.stream && head.window_frames == window.window_frames &&
         head.geometry.rows() == window.geometry.rows() && head.geometry.cols() == window.geometry.cols() &&
         head.geometry.dtype() == window.geometry.dtype();
}

}  // namespace

WindowFates fates_of(const FinishedWindow& window, std::uint64_t skip) {
  WindowFates fates{.window = window.key.window,
                    .complete = window.complete,
                    .fates = window.fates,
                    .reported = window.reported,
                    .payload_sha256 = window.payload_sha256,
                    .pixel_crcs = std::vector<std::uint32_t>(window.fates.size()),
                    .facts = window.facts};
  for (const DecodedFrame& frame : window.frames) {
    if ((skip >> frame.position & 1) != 0)
      fates.fates[frame.position] = {};
    else
      fates.pixel_crcs[frame.position] = frame.pixel_crc;
  }
  return fates;
}

DataFile::DataFile(std::filesystem::path path, DataFileHead head)
    : path_(std::move(path)), head_(std::move(head)) {}

DataFile::~DataFile() {
  if (!closed_) abandon();
}

Result<std::unique_ptr<DataFile>> DataFile::create(const std::filesystem::path& path, DataFileHead head) {
  std::unique_ptr<DataFile> file(new DataFile(path, std::move(head)));
  FF_TRY(file->open());
  return file;
}

Status DataFile::open() {
  file_ = Hdf5Id(H5Fcreate(path_.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, file_access().get()), H5Fclose);
  if (!file_.valid()) return hdf5_error("making " + path_.string());
  FF_TRY(reserve(0));
  return make_pixel_dataset();
}

Status DataFile::make_pixel_dataset() {
  Hdf5Writer writer(path_.string());
  writer.attribute(file_.get(), "default", "entry");
  const Hdf5Id entry = writer.group(file_.get(), "entry", "NXentry");
  const Hdf5Id data = writer.group(file_.get(), "entry/data", "NXdata");
  FF_TRY(writer.status());
  writer.attribute(entry.get(), "default", "data");
  writer.attribute(data.get(), "signal", "data");
  const hsize_t none[3] = {0, head_.geometry.rows(), head_.geometry.cols()};
  const hsize_t most[3] = {H5S_UNLIMITED, head_.geometry.rows(), head_.geometry.cols()};
  const Hdf5Id space(H5Screate_simple(3, none, most), H5Sclose);
  const Hdf5Id type = pixel_type(static_cast<Dtype>(head_.geometry.dtype()));
  pixels_ = Hdf5Id(H5Dcreate2(data.get(), "data", type.get(), space.get(), H5P_DEFAULT,
                              dataset_creation(head_).get(), H5P_DEFAULT),
                   H5Dclose);
  writer.check(pixels_.valid(), "making the pixel dataset");
  return writer.status();
}

Status DataFile::reserve(std::uint64_t more_bytes) {
  const std::uint64_t needed = chunk_bytes_ + text_bytes_ + more_bytes + kMetadataBytes +
                               kMetadataBytesPerFrame * (frames() + kGridPositionsMax);
  if (needed <= reserved_bytes_) return {};
  void* handle = nullptr;
  if (H5Fget_vfd_handle(file_.get(), H5P_DEFAULT, &handle) < 0)
    return hdf5_error("asking for the file descriptor");
  const int descriptor = *static_cast<int*>(handle);
  // Ahead in large steps where the disk has them; on a nearly full disk exactly what is needed.
  if (reserve_room(descriptor, needed + kReserveStep, path_).ok()) {
    reserved_bytes_ = needed + kReserveStep;
    return {};
  }
  FF_TRY(reserve_room(descriptor, needed, path_));
  reserved_bytes_ = needed;
  return {};
}

Status DataFile::append(const FinishedWindow& window, std::uint64_t skip) {
  if (!same_frames(head_, window))
    return fail(Errc::shape_mismatch,
                path_.string() + ": the window's stream, shape or W differ from the file's");
  std::uint64_t bytes = window.facts.size();
  std::vector<const DecodedFrame*> fresh;
  for (const DecodedFrame& frame : window.frames) {
    if ((skip >> frame.position & 1) != 0) continue;
    fresh.push_back(&frame);
    bytes += frame.chunk.size() + frame.user_data.size();
  }
  FF_TRY(reserve(bytes));
  intact_ = false;
  const hsize_t extent[3] = {frames() + fresh.size(), head_.geometry.rows(), head_.geometry.cols()};
  if (H5Dset_extent(pixels_.get(), extent) < 0) return hdf5_error("growing " + path_.string());
  for (const DecodedFrame* frame : fresh) {
    FF_TRY(write_frame(*frame, frames()));
    note_frame(window, *frame);
  }
  index_.windows.push_back(fates_of(window, skip));
  text_bytes_ += window.facts.size();
  boot_id_ = window.boot_id;
  clock_ = window.clock;
  bounds_.insert(window.bounds.begin(), window.bounds.end());
  intact_ = true;
  return {};
}

Status DataFile::write_frame(const DecodedFrame& frame, hsize_t row) {
  const hsize_t offset[3] = {row, 0, 0};
  // A set bit skips that filter of the pipeline: the chunk holds the pixels as they are.
  const std::uint32_t skipped = frame.chunk_is_filtered                     ? 0
                                : head_.compression == Compression::none    ? 0
                                : head_.compression == Compression::deflate ? 3
                                                                            : 1;
  if (H5Dwrite_chunk(pixels_.get(), H5P_DEFAULT, skipped, offset, frame.chunk.size(), frame.chunk.data()) < 0)
    return hdf5_error("writing a frame to " + path_.string());
  chunk_bytes_ += frame.chunk.size();
  return {};
}

void DataFile::note_frame(const FinishedWindow& window, const DecodedFrame& frame) {
  index_.frame_numbers.push_back(
      static_cast<std::int64_t>(window.key.window * head_.window_frames + frame.position));
  index_.pixel_crcs.push_back(frame.pixel_crc);
  tables_.detector_ns.push_back(frame.times.detector_ns);
  tables_.received_utc_ns.push_back(frame.times.received_utc_ns);
  tables_.received_monotonic_ns.push_back(frame.times.received_monotonic_ns);
  tables_.state.push_back(window.fates[frame.position].state);
  tables_.user_data += frame.user_data;
  text_bytes_ += frame.user_data.size();
  tables_.user_data_end.push_back(tables_.user_data.size());
}

void DataFile::write_tables(Hdf5Writer& writer) {
  const Hdf5Id data(H5Gopen2(file_.get(), "entry/data", H5P_DEFAULT), H5Gclose);
  const std::vector<hsize_t> rows{frames()};
  writer.array(data.get(), "frame", H5T_STD_I64LE, rows, index_.frame_numbers.data());
  writer.array(data.get(), "state", H5T_STD_U8LE, rows, tables_.state.data());
  writer.array(data.get(), "pixel_crc32c", H5T_STD_U32LE, rows, index_.pixel_crcs.data());
  writer.array(data.get(), "detector_time_ns", H5T_STD_I64LE, rows, tables_.detector_ns.data());
  writer.array(data.get(), "received_utc_ns", H5T_STD_I64LE, rows, tables_.received_utc_ns.data());
  writer.array(data.get(), "received_monotonic_ns", H5T_STD_I64LE, rows,
               tables_.received_monotonic_ns.data());
  writer.array(data.get(), "user_data_cbor", H5T_STD_U8LE, {tables_.user_data.size()},
               tables_.user_data.data());
  writer.array(data.get(), "user_data_end", H5T_STD_U64LE, rows, tables_.user_data_end.data());

  const Hdf5Id own = writer.group(file_.get(), "entry/foreframe", "NXcollection");
  if (!writer.good()) return;
  write_head(writer, own.get());
  write_window_tables(writer, own.get());
}

void DataFile::write_window_tables(Hdf5Writer& writer, hid_t own) {
  std::vector<std::uint64_t> windows, facts_end;
  std::vector<std::uint8_t> counts, complete, states, stages, reported;
  std::string digests, facts;
  for (const WindowFates& window : index_.windows) {
    windows.push_back(window.window);
    counts.push_back(static_cast<std::uint8_t>(window.fates.size()));
    complete.push_back(window.complete ? 1 : 0);
    reported.push_back(window.reported ? 1 : 0);
    digests += window.payload_sha256.empty() ? std::string(32, '\0') : window.payload_sha256;
    facts += window.facts;
    facts_end.push_back(facts.size());
    for (std::uint32_t i = 0; i < head_.window_frames; ++i) {
      const FrameFate fate = i < window.fates.size() ? window.fates[i] : FrameFate{};
      states.push_back(fate.state);
      stages.push_back(fate.stage);
    }
  }
  const hsize_t m = windows.size();
  writer.array(own, "window", H5T_STD_U64LE, {m}, windows.data());
  writer.array(own, "window_frame_count", H5T_STD_U8LE, {m}, counts.data());
  writer.array(own, "window_complete", H5T_STD_U8LE, {m}, complete.data());
  writer.array(own, "window_reported", H5T_STD_U8LE, {m}, reported.data());
  writer.array(own, "window_state", H5T_STD_U8LE, {m, head_.window_frames}, states.data());
  writer.array(own, "window_stage", H5T_STD_U8LE, {m, head_.window_frames}, stages.data());
  writer.array(own, "window_payload_sha256", H5T_STD_U8LE, {m, 32}, digests.data());
  writer.array(own, "window_facts", H5T_STD_U8LE, {facts.size()}, facts.data());
  writer.array(own, "window_facts_end", H5T_STD_U64LE, {m}, facts_end.data());
}

void DataFile::write_head(Hdf5Writer& writer, hid_t group) {
  writer.attribute(group, "layout", kDataFileLayout);
  writer.attribute(group, "series_uid", head_.stream.series.to_string());
  writer.attribute(group, "detector", head_.detector);
  writer.attribute(group, "stream", std::uint64_t{head_.stream.stream});
  writer.attribute(group, "channel", head_.geometry.channel());
  writer.attribute(group, "channel_index", std::uint64_t{head_.geometry.channel_index()});
  writer.attribute(group, "partition", static_cast<std::uint64_t>(head_.partition));
  writer.attribute(group, "segment", std::uint64_t{head_.segment});
  writer.attribute(group, "epoch", head_.epoch);
  writer.attribute(group, "window_frames", std::uint64_t{head_.window_frames});
  writer.attribute(group, "compression", to_string(head_.compression));
  writer.attribute(group, "sink", head_.sink);
  writer.attribute(group, "boot_id", boot_id_);
  writer.attribute(group, "clock_source", foreframe::wire::HostClock::Source_Name(clock_.source()));
  writer.attribute(group, "clock_offset_ns", std::int64_t{clock_.offset_ns()});
  writer.attribute(group, "clock_uncertainty_ns", clock_.uncertainty_ns());
  std::string bound;
  for (const std::string& one : bounds_) bound += (bound.empty() ? "" : " ") + one;
  writer.attribute(group, "bound", bound.empty() ? "none" : bound);
  if (!bound.empty()) writer.attribute(pixels_.get(), "bound", bound);
  // Placement in the detector, for readers of a single file: the record's own bytes.
  const std::string geometry = head_.geometry.SerializeAsString();
  writer.array(group, "geometry", H5T_STD_U8LE, {geometry.size()}, geometry.data());
}

Status DataFile::close() {
  Hdf5Writer writer(path_.string());
  intact_ = false;
  write_tables(writer);
  FF_TRY(writer.status());
  if (pixels_.reset() < 0) return hdf5_error("closing the pixels of " + path_.string());
  if (H5Fflush(file_.get(), H5F_SCOPE_GLOBAL) < 0) return hdf5_error("flushing " + path_.string());
  if (file_.reset() < 0) return hdf5_error("closing " + path_.string());
  closed_ = true;
  intact_ = true;
  return {};
}

void DataFile::abandon() noexcept {
  // HDF5 writes what it still holds when it closes, and can't close a file that it can't write: give the disk
  // its room back first.
  if (::truncate(path_.c_str(), 0) == 0) reserved_bytes_ = 0;
  pixels_.reset();
  file_.reset();
  H5Eclear2(H5E_DEFAULT);
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
  closed_ = true;
  intact_ = false;
}

}  // namespace ff::sink
