// SPDX-License-Identifier: Apache-2.0
//
// HDF5 recordings: a dataset [frames, rows, cols] (or [rows, cols]: one frame), compressed or not, virtual or
// not.
#include <algorithm>
#include <filesystem>
#include <hdf5.h>
#include <limits>

#include "hpc_sink/filter/chunk_cache.hpp"
#include "hpc_sink/filter/hdf5_filter.hpp"
#include "tools/recording/hdf5_bitshuffle.hpp"
#include "tools/recording/hdf5_handle.hpp"
#include "tools/recording/recording.hpp"

namespace ff::tools {

namespace {

/// Where detectors' files keep their frames, tried in this order when no dataset is named.
constexpr const char* kUsualDatasets[] = {"/entry/data/data", "/entry/instrument/detector/data",
                                          "/entry_1/data_1/data", "/entry/data/data_000001", "/data"};

class Hdf5Reader final : public FrameReader {
 public:
  Hdf5Reader(RecordingInfo info, Hdf5Handle file, Hdf5Handle dataset, Hdf5Handle memory_type)
      : FrameReader(std::move(info)),
        file_(std::move(file)),
        dataset_(std::move(dataset)),
        memory_type_(std::move(memory_type)) {}

  Status read(std::uint64_t index, MutableByteSpan pixels) override {
    FF_TRY(check_read(index, pixels));
    const Hdf5Handle file_space(H5Dget_space(dataset_.get()));
    const hsize_t start[3] = {index, 0, 0}, count[3] = {1, info_.shape.rows, info_.shape.cols};
    const bool single = H5Sget_simple_extent_ndims(file_space.get()) == 2;
    const Hdf5Handle memory_space(single ? H5Screate_simple(2, count + 1, nullptr)
                                         : H5Screate_simple(3, count, nullptr));
    if (!single) H5Sselect_hyperslab(file_space.get(), H5S_SELECT_SET, start, nullptr, count, nullptr);
    if (H5Dread(dataset_.get(), memory_type_.get(), memory_space.get(), file_space.get(), H5P_DEFAULT,
                pixels.data()) < 0) {
      return fail(Errc::malformed, info_.source + ": frame " + std::to_string(index) +
                                       " can't be read; the file is damaged, or needs an HDF5 filter plug-in "
                                       "(HDF5_PLUGIN_PATH names their folder)");
    }
    return {};
  }

  ~Hdf5Reader() override {
    if (ours()) sink::empty_filter_cache();
  }

  // A chunk as it lies in the file, in the chunk cache and on its way through the filters; our filter has a cache too.
  std::uint64_t memory_bytes() const noexcept override {
    const Hdf5Handle creation(H5Dget_create_plist(dataset_.get()));
    hsize_t chunk[3] = {};
    std::uint64_t bytes = 0;
    const int dimensions = H5Pget_chunk(creation.get(), 3, chunk);
    if (dimensions > 0 && dimensions <= 3) bytes = dtype_bytes(info_.shape.dtype);
    for (int i = 0; i < dimensions && i < 3; ++i) bytes *= chunk[i];
    return FrameReader::memory_bytes() + 4 * bytes + (ours() ? sink::cache_bytes_wanted() : 0);
  }

 private:
  // Whether the frames are under Foreframe's filter.
  [[nodiscard]] bool ours() const noexcept {
    const Hdf5Handle creation(H5Dget_create_plist(dataset_.get()));
    unsigned flags = 0;
    std::size_t values = 0;
    return H5Pget_filter_by_id2(creation.get(), sink::kForeframeFilter, &flags, &values, nullptr, 0, nullptr,
                                nullptr) >= 0;
  }

  Hdf5Handle file_, dataset_, memory_type_;
};

/// Our Dtype and HDF5's name for it in memory.
Result<std::pair<Dtype, hid_t>> memory_type_of(hid_t type, const std::string& source) {
  const std::size_t bytes = H5Tget_size(type);
  const bool is_signed = H5Tget_sign(type) == H5T_SGN_2;
  if (H5Tget_class(type) == H5T_INTEGER) {
    if (bytes == 1)
      return is_signed ? std::pair{Dtype::i8, H5T_NATIVE_INT8} : std::pair{Dtype::u8, H5T_NATIVE_UINT8};
    if (bytes == 2)
      return is_signed ? std::pair{Dtype::i16, H5T_NATIVE_INT16} : std::pair{Dtype::u16, H5T_NATIVE_UINT16};
    if (bytes == 4)
      return is_signed ? std::pair{Dtype::i32, H5T_NATIVE_INT32} : std::pair{Dtype::u32, H5T_NATIVE_UINT32};
  }
  if (H5Tget_class(type) == H5T_FLOAT && bytes == 4) return std::pair{Dtype::f32, H5T_NATIVE_FLOAT};
  return fail(Errc::dtype_unsupported,
              source + ": pixels are neither 8-, 16- or 32-bit integers nor float32");
}

Status check_filters(hid_t dataset, const std::string& source) {
  const Hdf5Handle creation(H5Dget_create_plist(dataset));
  const int count = H5Pget_nfilters(creation.get());
  for (int i = 0; i < count; ++i) {
    unsigned flags = 0, config = 0, values[16] = {};
    std::size_t value_count = 16;
    char name[64] = {};
    const H5Z_filter_t id = H5Pget_filter2(creation.get(), static_cast<unsigned>(i), &flags, &value_count,
                                           values, sizeof name, name, &config);
    if (H5Zfilter_avail(id) > 0) continue;
    return fail(Errc::unsupported_feature, source + ": compressed with HDF5 filter " + std::to_string(id) +
                                               " (" + name +
                                               "); install its plug-in and set HDF5_PLUGIN_PATH");
  }
  return {};
}

/// The first of `paths` that is a dataset, opened.
Hdf5Handle open_first(hid_t file, std::initializer_list<const char*> paths) {
  for (const char* path : paths) {
    if (Hdf5Handle found(H5Dopen2(file, path, H5P_DEFAULT)); found.ok()) return found;
  }
  return {};
}

void read_pixel_mask(hid_t file, RecordingInfo& info) {
  const Hdf5Handle mask = open_first(file, {"/entry/instrument/detector/pixel_mask",
                                            "/entry/instrument/detector/detectorSpecific/pixel_mask"});
  if (!mask.ok()) return;
  const Hdf5Handle space(H5Dget_space(mask.get()));
  hsize_t shape[2] = {};
  if (H5Sget_simple_extent_ndims(space.get()) != 2) return;
  H5Sget_simple_extent_dims(space.get(), shape, nullptr);
  if (shape[0] != info.shape.rows || shape[1] != info.shape.cols) return;
  info.pixel_mask.resize(info.shape.pixels());
  if (H5Dread(mask.get(), H5T_NATIVE_UINT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, info.pixel_mask.data()) < 0)
    info.pixel_mask.clear();
}

void read_frame_time(hid_t file, RecordingInfo& info) {
  const Hdf5Handle time = open_first(file, {"/entry/instrument/detector/frame_time"});
  if (!time.ok()) return;
  const Hdf5Handle space(H5Dget_space(time.get()));
  double seconds = 0;
  if (H5Sget_simple_extent_npoints(space.get()) == 1 &&
      H5Dread(time.get(), H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, &seconds) >= 0 && seconds > 0) {
    info.frame_time_s = seconds;
  }
}

/// Our own writer keeps the declared list as an attribute; other files with masked pixels follow the
/// convention.
void read_sentinels(hid_t dataset, RecordingInfo& info) {
  if (H5Aexists(dataset, "sentinels") > 0) {
    const Hdf5Handle attribute(H5Aopen(dataset, "sentinels", H5P_DEFAULT));
    const Hdf5Handle space(H5Aget_space(attribute.get()));
    const hssize_t count = H5Sget_simple_extent_npoints(space.get());
    if (count < 1 || count > 8) return;
    info.sentinels.resize(static_cast<std::size_t>(count));
    if (H5Aread(attribute.get(), H5T_NATIVE_INT64, info.sentinels.data()) < 0) info.sentinels.clear();
    return;
  }
  const auto masked = [](std::uint32_t bits) { return bits != 0; };
  if (std::any_of(info.pixel_mask.begin(), info.pixel_mask.end(), masked)) {
    info.sentinels = conventional_sentinels(info.shape.dtype);
  }
}

Result<Hdf5Handle> open_dataset(hid_t file, const std::string& path, std::string& dataset) {
  if (!dataset.empty()) {
    Hdf5Handle found(H5Dopen2(file, dataset.c_str(), H5P_DEFAULT));
    if (found.ok()) return found;
    return fail(Errc::not_found,
                path + ": has no dataset " + dataset + "; `h5ls -r " + path + "` lists what it has");
  }
  for (const char* usual : kUsualDatasets) {
    dataset = usual;
    if (Hdf5Handle found(H5Dopen2(file, usual, H5P_DEFAULT)); found.ok()) return found;
  }
  return fail(
      Errc::not_found,
      path + ": has no dataset at the usual places (/entry/data/data ...); name it: " + path + ":/path");
}

Status read_extent(hid_t dataset, RecordingInfo& info) {
  const Hdf5Handle space(H5Dget_space(dataset));
  const int dimensions = H5Sget_simple_extent_ndims(space.get());
  if (dimensions != 2 && dimensions != 3) {
    return fail(Errc::malformed, info.source + ": has " + std::to_string(dimensions) +
                                     " dimensions; frames are [frames, rows, cols]");
  }
  hsize_t extent[3] = {1, 0, 0};
  H5Sget_simple_extent_dims(space.get(), dimensions == 3 ? extent : extent + 1, nullptr);
  if (extent[1] > kRecordingRowsMax || extent[2] > kRecordingRowsMax) {
    return fail(Errc::too_large, info.source + ": frames of more than 65536 rows or columns");
  }
  info.frames = extent[0];
  info.shape.rows = static_cast<std::uint32_t>(extent[1]);
  info.shape.cols = static_cast<std::uint32_t>(extent[2]);
  return check_recording_shape(info.source, info.shape, info.frames);
}

}  // namespace

Result<FrameReaderPtr> open_hdf5_recording(const std::string& path, const std::string& dataset_path) {
  silence_hdf5();
  FF_TRY(ensure_bitshuffle_filter());
  FF_TRY(ensure_foreframe_filter());
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return fail(Errc::not_found, path + ": no such file");
  Hdf5Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT));
  if (!file.ok()) {
    return fail(Errc::malformed,
                path + ": can't be opened as HDF5; is it complete, and closed by its writer?");
  }
  std::string name = dataset_path;
  FF_ASSIGN(Hdf5Handle dataset, open_dataset(file.get(), path, name));
  RecordingInfo info;
  info.source = path + ":" + name;
  info.hdf5_file = path;
  info.hdf5_dataset = name;
  const Hdf5Handle type(H5Dget_type(dataset.get()));
  FF_ASSIGN(const auto types, memory_type_of(type.get(), info.source));
  info.shape.dtype = types.first;
  FF_TRY(read_extent(dataset.get(), info));
  FF_TRY(check_filters(dataset.get(), info.source));
  read_pixel_mask(file.get(), info);
  read_frame_time(file.get(), info);
  read_sentinels(dataset.get(), info);
  Hdf5Handle memory_type(H5Tcopy(types.second));
  return FrameReaderPtr(std::make_unique<Hdf5Reader>(std::move(info), std::move(file), std::move(dataset),
                                                     std::move(memory_type)));
}

}  // namespace ff::tools
