// SPDX-License-Identifier: Apache-2.0
//
// Hdf5Conversion: any recording into an HDF5 file of any layout; goes on where it was killed, and reads back what it
// wrote before anybody sees it.
//
// Data path  recording > slabs > [code on all threads] > NAME.part > NAME.part.h5 > read back > NAME
// Not here   how frames are cut and coded (chunk_coding.hpp), the part (conversion_part.hpp).
// Memory     memory_bytes(); one window of frames for each thread at most.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "common/base/task_pool.hpp"
#include "tools/convert/chunk_coding.hpp"
#include "tools/convert/conversion_part.hpp"
#include "tools/recording/recording.hpp"

namespace ff::tools {

struct ConversionReport {
  std::uint64_t resumed_frames = 0;  ///< that the part had already
  std::uint64_t verified_frames = 0;
  std::uint64_t target_bytes = 0;
  bool companions = false;  ///< everything else in the source's file was taken along
};

/// `what`: "converting", "verifying"; `done` of `total` frames.
using ConversionProgress = std::function<void(const char* what, std::uint64_t done, std::uint64_t total)>;

class Hdf5Conversion {
 public:
  /// `frames`: the first so many. `target` is FILE.h5 or FILE.h5:/path; without a path the source's own, or
  /// /entry/data/data. The pool must outlive it.
  Hdf5Conversion(FrameReader& reader, RecordingInfo info, const std::string& target, ChunkCoding coding,
                 TaskPool& pool);

  /// Errors: already_exists, not_found (folder), io_error, disk_full; those of the reader; crc_mismatch (the source's
  /// pixels are not those whose CRC it keeps, or the new file's are not the source's).
  [[nodiscard]] Result<ConversionReport> run(bool force, const ConversionProgress& progress);

  [[nodiscard]] std::uint64_t memory_bytes() const noexcept;

 private:
  struct Batch {
    std::uint64_t first_slab = 0, slabs = 0;
    std::vector<std::byte> pixels;
    std::vector<CodedSlab> coded;
  };
  [[nodiscard]] std::string words() const;
  [[nodiscard]] std::uint64_t slab_frames(std::uint64_t slab) const noexcept;
  [[nodiscard]] Status code_all(ConversionPart& part, const ConversionProgress& progress);
  [[nodiscard]] Status read_batch(Batch& batch);
  [[nodiscard]] Status code_batch(Batch& batch);
  [[nodiscard]] Status write_file(const ConversionPart& part);
  [[nodiscard]] Status write_companions(hid_t file);
  [[nodiscard]] Status write_frames(hid_t file, const ConversionPart& part) const;
  [[nodiscard]] Status verify(const ConversionPart& part, const ConversionProgress& progress);

  FrameReader& reader_;
  RecordingInfo info_;
  std::string path_, dataset_;
  bool companions_ = false;
  ChunkCoding coding_;
  TaskPool& pool_;
  std::uint64_t batch_slabs_ = 1;
  std::vector<std::uint32_t> known_crcs_;  // of the source's frames, where it keeps them
  ConversionReport report_;
};

}  // namespace ff::tools
