// SPDX-License-Identifier: Apache-2.0
//
// Writes HDF5 recordings: [frames, rows, cols], one frame a chunk, bitshuffle + LZ4 written as finished
// chunks.
#include <hdf5.h>
#include <unistd.h>

#include "kernels/interop/bslz4.hpp"
#include "tools/recording/hdf5_bitshuffle.hpp"
#include "tools/recording/hdf5_handle.hpp"
#include "tools/recording/part_file.hpp"
#include "tools/recording/recording_writer.hpp"

namespace ff::tools {

namespace {

using kernels::DetectorCompression;

Result<hid_t> file_type_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::u8: return H5T_STD_U8LE;
    case Dtype::u16: return H5T_STD_U16LE;
    case Dtype::u32: return H5T_STD_U32LE;
    case Dtype::i8: return H5T_STD_I8LE;
    case Dtype::i16: return H5T_STD_I16LE;
    case Dtype::i32: return H5T_STD_I32LE;
    case Dtype::f32: return H5T_IEEE_F32LE;
    case Dtype::f16: break;
  }
  return fail(Errc::dtype_unsupported, "float16 pixels can't be written as HDF5; write .json and .raw");
}

void write_attribute(hid_t dataset, const char* name, hid_t type, hsize_t count, const void* values) {
  if (count == 0) return;
  const Hdf5Handle space(H5Screate_simple(1, &count, nullptr));
  const Hdf5Handle attribute(H5Acreate2(dataset, name, type, space.get(), H5P_DEFAULT, H5P_DEFAULT));
  H5Awrite(attribute.get(), type, values);
}

Hdf5Handle create_dataset(hid_t file, const std::string& path, const RecordingInfo& info, hid_t type) {
  const hsize_t extent[3] = {info.frames, info.shape.rows, info.shape.cols};
  const hsize_t chunk[3] = {1, info.shape.rows, info.shape.cols};
  const Hdf5Handle space(H5Screate_simple(3, extent, nullptr));
  const Hdf5Handle creation(H5Pcreate(H5P_DATASET_CREATE));
  H5Pset_chunk(creation.get(), 3, chunk);
  const BitshuffleParameters parameters = bitshuffle_parameters(info.shape.dtype);
  H5Pset_filter(creation.get(), kBitshuffleFilter, H5Z_FLAG_OPTIONAL, 5, parameters.values);
  const Hdf5Handle links(H5Pcreate(H5P_LINK_CREATE));
  H5Pset_create_intermediate_group(links.get(), 1);
  return Hdf5Handle(
      H5Dcreate2(file, path.c_str(), type, space.get(), links.get(), creation.get(), H5P_DEFAULT));
}

/// The mask where NXmx keeps it, so that our own reader and others find it.
void write_pixel_mask(hid_t file, const RecordingInfo& info) {
  if (info.pixel_mask.empty()) return;
  const hsize_t extent[2] = {info.shape.rows, info.shape.cols};
  const Hdf5Handle space(H5Screate_simple(2, extent, nullptr));
  const Hdf5Handle links(H5Pcreate(H5P_LINK_CREATE));
  H5Pset_create_intermediate_group(links.get(), 1);
  const Hdf5Handle mask(H5Dcreate2(file, "/entry/instrument/detector/pixel_mask", H5T_STD_U32LE, space.get(),
                                   links.get(), H5P_DEFAULT, H5P_DEFAULT));
  H5Dwrite(mask.get(), H5T_NATIVE_UINT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, info.pixel_mask.data());
}

class Hdf5Writer final : public RecordingWriter {
 public:
  Hdf5Writer(RecordingInfo info, std::string path, bool force, Hdf5Handle file, Hdf5Handle dataset)
      : info_(std::move(info)),
        path_(std::move(path)),
        force_(force),
        file_(std::move(file)),
        dataset_(std::move(dataset)) {
    coded_.resize(kernels::detector_compressed_bound(DetectorCompression::bslz4, info_.shape.bytes(),
                                                     dtype_bytes(info_.shape.dtype)));
  }
  ~Hdf5Writer() override {
    close();
    if (!published_) ::unlink(part().c_str());
  }

  Status write(ByteSpan pixels) override {
    if (pixels.size() != info_.shape.bytes() || frames_ >= info_.frames) {
      return fail(Errc::shape_mismatch,
                  path_ + ": frame " + std::to_string(frames_) + " has the wrong size or is one too many");
    }
    FF_ASSIGN(const std::size_t bytes, kernels::compress_detector(DetectorCompression::bslz4, pixels,
                                                                  dtype_bytes(info_.shape.dtype), coded_));
    const hsize_t position[3] = {frames_, 0, 0};
    if (H5Dwrite_chunk(dataset_.get(), H5P_DEFAULT, 0, position, bytes, coded_.data()) < 0) {
      return fail(Errc::io_error,
                  part() + ": frame " + std::to_string(frames_) + " can't be written; is the disk full?");
    }
    ++frames_;
    return {};
  }

  Status finish() override {
    if (frames_ != info_.frames) {
      return fail(Errc::truncated, path_ + ": " + std::to_string(frames_) + " of " +
                                       std::to_string(info_.frames) + " frames came");
    }
    if (H5Fflush(file_.get(), H5F_SCOPE_GLOBAL) < 0)
      return fail(Errc::io_error, part() + ": can't be written; is the disk full?");
    close();
    FF_TRY(publish_output(part(), path_, force_));
    published_ = true;
    return {};
  }

 private:
  [[nodiscard]] std::string part() const { return path_ + ".part"; }
  void close() {
    dataset_ = Hdf5Handle();
    file_ = Hdf5Handle();
  }

  RecordingInfo info_;
  std::string path_;
  bool force_, published_ = false;
  Hdf5Handle file_, dataset_;
  std::vector<std::byte> coded_;
  std::uint64_t frames_ = 0;
};

}  // namespace

Result<RecordingWriterPtr> create_hdf5_recording(const std::string& path, const std::string& dataset_path,
                                                 const RecordingInfo& info, bool force) {
  silence_hdf5();
  FF_TRY(ensure_bitshuffle_filter());
  FF_TRY(check_output(path, force));
  FF_ASSIGN(const hid_t type, file_type_of(info.shape.dtype));
  Hdf5Handle file(H5Fcreate((path + ".part").c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
  if (!file.ok()) return fail(Errc::io_error, path + ".part: can't be created; is the folder writable?");
  Hdf5Handle dataset = create_dataset(file.get(), dataset_path, info, type);
  if (!dataset.ok())
    return fail(Errc::invalid_argument, path + ": can't make a dataset called " + dataset_path);
  write_attribute(dataset.get(), "sentinels", H5T_NATIVE_INT64, info.sentinels.size(), info.sentinels.data());
  write_pixel_mask(file.get(), info);
  return RecordingWriterPtr(
      std::make_unique<Hdf5Writer>(info, path, force, std::move(file), std::move(dataset)));
}

}  // namespace ff::tools
