// SPDX-License-Identifier: Apache-2.0
//
// Writes HDF5 recordings: [frames, rows, cols], one frame a chunk, bitshuffle + LZ4 written as finished
// chunks.
#include <atomic>
#include <hdf5.h>
#include <optional>
#include <unistd.h>
#include <vector>

#include "common/base/task_pool.hpp"
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
  Hdf5Writer(RecordingInfo info, std::string path, bool force, Hdf5Handle file, Hdf5Handle dataset,
             TaskPool* pool)
      : info_(std::move(info)),
        path_(std::move(path)),
        force_(force),
        file_(std::move(file)),
        dataset_(std::move(dataset)),
        chunks_(pool == nullptr || pool->threads() == 1 ? 1 : 2 * pool->threads()),
        pool_(pool) {
    if (chunks_.size() > 1) chains_.emplace(*pool, chunks_.size());
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
    if (frames_ - written_ == chunks_.size()) FF_TRY(write_oldest());
    Chunk& chunk = chunks_[frames_++ % chunks_.size()];
    if (!chains_) {
      compress(pixels, chunk);
      return write_oldest();
    }
    chunk.pixels.assign(pixels.begin(), pixels.end());
    chunk.ready.store(false, std::memory_order_relaxed);
    chains_->submit((frames_ - 1) % chunks_.size(), [this, &chunk](std::size_t) {
      compress(chunk.pixels, chunk);
      chunk.ready.store(true, std::memory_order_release);
    });
    return {};
  }

  Status finish() override {
    while (written_ < frames_) FF_TRY(write_oldest());
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
  /// A frame on its way into the file. HDF5 itself sees finished chunks, in order, from one thread.
  struct Chunk {
    std::vector<std::byte> pixels, coded;
    Result<std::size_t> bytes = std::size_t{0};
    std::atomic<bool> ready{true};
  };

  void compress(ByteSpan pixels, Chunk& chunk) const {
    const std::size_t element_bytes = dtype_bytes(info_.shape.dtype);
    chunk.coded.resize(
        kernels::detector_compressed_bound(DetectorCompression::bslz4, pixels.size(), element_bytes));
    chunk.bytes = kernels::compress_detector(DetectorCompression::bslz4, pixels, element_bytes, chunk.coded);
  }
  Status write_oldest() {
    const Chunk& chunk = chunks_[written_ % chunks_.size()];
    if (chains_) pool_->run_until([&] { return chunk.ready.load(std::memory_order_acquire); });
    if (!chunk.bytes.ok()) return chunk.bytes.error();
    const hsize_t position[3] = {written_, 0, 0};
    if (H5Dwrite_chunk(dataset_.get(), H5P_DEFAULT, 0, position, *chunk.bytes, chunk.coded.data()) < 0) {
      return fail(Errc::io_error,
                  part() + ": frame " + std::to_string(written_) + " can't be written; is the disk full?");
    }
    ++written_;
    return {};
  }
  [[nodiscard]] std::string part() const { return path_ + ".part"; }
  void close() {
    dataset_ = Hdf5Handle();
    file_ = Hdf5Handle();
  }

  RecordingInfo info_;
  std::string path_;
  bool force_, published_ = false;
  Hdf5Handle file_, dataset_;
  std::vector<Chunk> chunks_;  ///< a ring: frames [written, frames) are in it
  std::uint64_t written_ = 0, frames_ = 0;
  TaskPool* pool_;
  std::optional<TaskChains> chains_;  ///< ends first: its tasks use all of the above
};

}  // namespace

Result<RecordingWriterPtr> create_hdf5_recording(const std::string& path, const std::string& dataset_path,
                                                 const RecordingInfo& info, bool force, TaskPool* pool) {
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
      std::make_unique<Hdf5Writer>(info, path, force, std::move(file), std::move(dataset), pool));
}

}  // namespace ff::tools
