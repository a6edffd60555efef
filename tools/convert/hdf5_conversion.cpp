// SPDX-License-Identifier: Apache-2.0
//
// Reads slabs, codes their chunks beside each other, and makes the HDF5 file when all are in the part.
#include "tools/convert/hdf5_conversion.hpp"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <optional>
#include <unistd.h>

#include "common/base/crc32c.hpp"
#include "hpc_sink/filter/chunk_cache.hpp"
#include "hpc_sink/store/hdf5_writer.hpp"
#include "tools/convert/hdf5_companions.hpp"
#include "tools/recording/hdf5_bitshuffle.hpp"
#include "tools/recording/hdf5_handle.hpp"
#include "tools/recording/part_file.hpp"

namespace ff::tools {

namespace {

namespace fs = std::filesystem;

// A source that was written anew in between is another source.
std::string identity(const std::string& source) {
  const std::string file = source.substr(0, source.find(":/"));
  std::error_code error;
  const auto bytes = fs::file_size(file, error);
  if (error) return source;
  const auto written = fs::last_write_time(file, error).time_since_epoch().count();
  return fs::weakly_canonical(file, error).string() + source.substr(file.size()) + " " +
         std::to_string(bytes) + " B " + std::to_string(written);
}

Error not_written(const std::string& path) {
  return fail(Errc::io_error, path + ": can't be written; is the disk full?");
}

}  // namespace

Hdf5Conversion::Hdf5Conversion(FrameReader& reader, RecordingInfo info, const std::string& target,
                               ChunkCoding coding, TaskPool& pool)
    : reader_(reader), info_(std::move(info)), coding_(std::move(coding)), pool_(pool) {
  const std::size_t colon = target.find(":/");
  path_ = target.substr(0, colon);
  const std::string usual = info_.hdf5_dataset.empty() ? "/entry/data/data" : info_.hdf5_dataset;
  dataset_ = colon == std::string::npos ? usual : target.substr(colon + 1);
  // Tables of a file belong to all its frames, at their place.
  companions_ = dataset_ == info_.hdf5_dataset && info_.frames == reader.info().frames;
  batch_slabs_ = (pool.threads() + coding_.chunks_per_slab() - 1) / coding_.chunks_per_slab();
  if (coding_.slab_frames() == 1) batch_slabs_ *= 4;  // frames alone are small work
}

std::uint64_t Hdf5Conversion::memory_bytes() const noexcept {
  const std::uint64_t slab = coding_.slab_frames() * std::uint64_t{info_.shape.bytes()};
  // Reading back keeps decoded chunks.
  const std::uint64_t kept = coding_.slab_frames() > 1 ? sink::cache_bytes_wanted() : 0;
  return std::max(2 * batch_slabs_ * slab + pool_.threads() * coding_.work_bytes(), 2 * slab + kept);
}

std::string Hdf5Conversion::words() const {
  return identity(info_.source) + " frames " + std::to_string(info_.frames) + " of " +
         std::to_string(info_.shape.rows) + "x" + std::to_string(info_.shape.cols) + " into " + dataset_ +
         " as " + coding_.text();
}

std::uint64_t Hdf5Conversion::slab_frames(std::uint64_t slab) const noexcept {
  return std::min<std::uint64_t>(coding_.slab_frames(), info_.frames - slab * coding_.slab_frames());
}

Result<ConversionReport> Hdf5Conversion::run(bool force, const ConversionProgress& progress) {
  FF_TRY(check_output(path_, force));
  FF_ASSIGN(ConversionPart part, ConversionPart::open(path_ + ".part", words(), force));
  report_.resumed_frames = std::min(part.slabs() * coding_.slab_frames(), info_.frames);
  if (!info_.hdf5_dataset.empty()) {
    const Hdf5Handle source(H5Fopen(info_.hdf5_file.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT));
    known_crcs_ = stored_pixel_crcs(source.get(), info_.hdf5_dataset, reader_.info().frames);
  }
  FF_TRY(code_all(part, progress));
  if (const Status written = write_file(part); !written.ok()) {
    ::unlink((path_ + ".part.h5").c_str());
    return written.error();
  }
  FF_TRY(verify(part, progress));
  FF_TRY(publish_output(path_ + ".part.h5", path_, force));
  part.remove();
  std::error_code error;
  report_.target_bytes = fs::file_size(path_, error);
  report_.companions = companions_;
  return report_;
}

Status Hdf5Conversion::code_all(ConversionPart& part, const ConversionProgress& progress) {
  Batch batch;
  while (part.slabs() < coding_.slabs()) {
    batch.first_slab = part.slabs();
    batch.slabs = std::min(batch_slabs_, coding_.slabs() - part.slabs());
    FF_TRY(read_batch(batch));
    FF_TRY(code_batch(batch));
    for (const CodedSlab& slab : batch.coded) FF_TRY(part.append(slab));
    progress("converting", std::min(part.slabs() * coding_.slab_frames(), info_.frames), info_.frames);
  }
  return {};
}

Status Hdf5Conversion::read_batch(Batch& batch) {
  const std::size_t frame_bytes = info_.shape.bytes();
  batch.pixels.resize(batch.slabs * coding_.slab_frames() * frame_bytes);
  batch.coded.assign(batch.slabs, {});
  for (std::uint64_t i = 0; i < batch.slabs; ++i) {
    CodedSlab& slab = batch.coded[i];
    slab.slab = batch.first_slab + i;
    slab.chunks.resize(coding_.chunks_per_slab());
    for (std::uint64_t f = 0; f < slab_frames(slab.slab); ++f) {
      const std::uint64_t frame = slab.slab * coding_.slab_frames() + f;
      const MutableByteSpan pixels =
          MutableByteSpan(batch.pixels).subspan((i * coding_.slab_frames() + f) * frame_bytes, frame_bytes);
      FF_TRY(reader_.read(frame, pixels));
      slab.pixel_crcs.push_back(crc32c(pixels));
      if (frame < known_crcs_.size() && known_crcs_[frame] != slab.pixel_crcs.back()) {
        return fail(Errc::crc_mismatch,
                    info_.source + ": frame " + std::to_string(frame) +
                        " is not what was stored: its pixels don't match the CRC beside them");
      }
    }
  }
  return {};
}

Status Hdf5Conversion::code_batch(Batch& batch) {
  const std::size_t slab_bytes = coding_.slab_frames() * info_.shape.bytes();
  const std::size_t tasks = batch.slabs * coding_.chunks_per_slab();
  std::vector<std::optional<Error>> errors(tasks);
  std::atomic<std::size_t> left{tasks};
  for (std::size_t task = 0; task < tasks; ++task) {
    pool_.submit([&, task](std::size_t) {
      const std::size_t slab = task / coding_.chunks_per_slab();
      const auto chunk = static_cast<std::uint32_t>(task % coding_.chunks_per_slab());
      auto coded = coding_.encode(ByteSpan(batch.pixels).subspan(slab * slab_bytes, slab_bytes),
                                  static_cast<std::uint32_t>(batch.coded[slab].pixel_crcs.size()), chunk);
      if (coded.ok()) {
        batch.coded[slab].chunks[chunk] = std::move(*coded);
      } else {
        errors[task] = coded.error();
      }
      left.fetch_sub(1, std::memory_order_release);
    });
  }
  pool_.run_until([&left] { return left.load(std::memory_order_acquire) == 0; });
  for (const auto& error : errors)
    if (error) return *error;
  return {};
}

Status Hdf5Conversion::write_file(const ConversionPart& part) {
  // HDF5 puts the names of filters it knows into the file: the same frames give the same file, first or second.
  FF_TRY(ensure_bitshuffle_filter());
  FF_TRY(ensure_foreframe_filter());
  const std::string path = path_ + ".part.h5";
  const Hdf5Handle file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
  if (!file.ok()) return fail(Errc::io_error, path + ": can't be created; is the folder writable?");
  FF_TRY(write_companions(file.get()));
  FF_TRY(write_frames(file.get(), part));
  if (H5Fflush(file.get(), H5F_SCOPE_GLOBAL) < 0) return not_written(path);
  return {};
}

Status Hdf5Conversion::write_companions(hid_t file) {
  if (companions_) {
    const Hdf5Handle source(H5Fopen(info_.hdf5_file.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT));
    FF_TRY(copy_companions(source.get(), file, dataset_));
    // The store's data files say how their chunks are coded.
    const Hdf5Handle about(H5Oopen(file, "/entry/foreframe", H5P_DEFAULT));
    if (!about.ok() || H5Aexists(about.get(), "compression") <= 0) return {};
    H5Adelete(about.get(), "compression");
    sink::Hdf5Writer writer(path_);
    writer.attribute(about.get(), "compression", coding_.name());
    return writer.status();
  }
  if (info_.pixel_mask.empty()) return {};
  sink::Hdf5Writer writer(path_);
  const sink::Hdf5Id detector = writer.group(file, "/entry/instrument/detector", "");
  writer.array(detector.get(), "pixel_mask", H5T_NATIVE_UINT32, {info_.shape.rows, info_.shape.cols},
               info_.pixel_mask.data());
  return writer.status();
}

Status Hdf5Conversion::write_frames(hid_t file, const ConversionPart& part) const {
  const sink::Hdf5Id type = sink::pixel_type(info_.shape.dtype);
  const hsize_t extent[3] = {info_.frames, info_.shape.rows, info_.shape.cols};
  const Hdf5Handle space(H5Screate_simple(3, extent, nullptr)), creation(H5Pcreate(H5P_DATASET_CREATE));
  const Hdf5Handle links(H5Pcreate(H5P_LINK_CREATE));
  H5Pset_create_intermediate_group(links.get(), 1);
  if (coding_.describe(creation.get(), type.get()) < 0) return not_written(path_);
  const Hdf5Handle dataset(
      H5Dcreate2(file, dataset_.c_str(), type.get(), space.get(), links.get(), creation.get(), H5P_DEFAULT));
  if (!dataset.ok()) return fail(Errc::invalid_argument, path_ + ": can't make a dataset called " + dataset_);
  if (companions_) {
    const Hdf5Handle source(H5Fopen(info_.hdf5_file.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT));
    const Hdf5Handle frames(H5Dopen2(source.get(), info_.hdf5_dataset.c_str(), H5P_DEFAULT));
    FF_TRY(copy_attributes(frames.get(), dataset.get()));
  }
  const hsize_t sentinels = info_.sentinels.size();
  if (sentinels > 0 && H5Aexists(dataset.get(), "sentinels") <= 0) {
    const Hdf5Handle list(H5Screate_simple(1, &sentinels, nullptr));
    const Hdf5Handle attribute(
        H5Acreate2(dataset.get(), "sentinels", H5T_STD_I64LE, list.get(), H5P_DEFAULT, H5P_DEFAULT));
    H5Awrite(attribute.get(), H5T_NATIVE_INT64, info_.sentinels.data());
  }
  for (std::uint64_t slab = 0; slab < coding_.slabs(); ++slab) {
    FF_ASSIGN(const CodedSlab coded, part.read(slab));
    for (std::uint32_t i = 0; i < coded.chunks.size(); ++i) {
      const CodedChunk& chunk = coded.chunks[i];
      const std::uint32_t all_filters_left_out = 0xff;
      const std::uint32_t mask = chunk.filtered ? 0 : all_filters_left_out;
      if (H5Dwrite_chunk(dataset.get(), H5P_DEFAULT, mask, coding_.corner(slab, i).at, chunk.bytes.size(),
                         chunk.bytes.data()) < 0)
        return not_written(path_ + ".part.h5");
    }
  }
  return {};
}

Status Hdf5Conversion::verify(const ConversionPart& part, const ConversionProgress& progress) {
  FF_ASSIGN(const FrameReaderPtr written, open_hdf5_recording(path_ + ".part.h5", dataset_));
  std::vector<std::byte> pixels(info_.shape.bytes());
  for (std::uint64_t slab = 0; slab < coding_.slabs(); ++slab) {
    FF_ASSIGN(const CodedSlab coded, part.read(slab));
    for (const std::uint32_t crc : coded.pixel_crcs) {
      FF_TRY(written->read(report_.verified_frames, pixels));
      if (crc32c(pixels) != crc) {
        return fail(Errc::crc_mismatch, path_ + ": frame " + std::to_string(report_.verified_frames) +
                                            " doesn't read back as it was; nothing is published");
      }
      progress("verifying", ++report_.verified_frames, info_.frames);
    }
  }
  return {};
}

}  // namespace ff::tools
