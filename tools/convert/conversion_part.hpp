// SPDX-License-Identifier: Apache-2.0
//
// ConversionPart: the coded chunks of a conversion while it runs, in NAME.part, in the order in which they came.
//
// A conversion of an hour survives kill -9, a full disk and a reboot: what is whole in the part is not done again. An
// HDF5 file half written would not do, its tables are in memory until it is closed.
//
//     "FFCP", u32 version 1, u32 length of the words, u32 CRC of the words, the words
//     records: u64 slab, u32 frames, u32 chunks, frames x u32 pixel CRC, chunks x (u32 length, u32 filtered),
//              u32 CRC of the bytes of the chunks, u32 CRC of all before it, the chunks
//
// The words say what is converted into what; a part with other words is not gone on with.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/bytes.hpp"
#include "common/base/result.hpp"
#include "tools/convert/chunk_coding.hpp"

namespace ff::tools {

struct CodedSlab {
  std::uint64_t slab = 0;
  std::vector<std::uint32_t> pixel_crcs;  ///< of its frames, as they were read from the source
  std::vector<CodedChunk> chunks;
};

class ConversionPart {
 public:
  /// Goes on with the part at `path` if its words are the same, cutting off what is not whole; else begins anew, where
  /// there is none or `force`. Errors: already_exists (other words, or another conversion is at it), io_error.
  [[nodiscard]] static Result<ConversionPart> open(const std::string& path, const std::string& words,
                                                   bool force);
  ConversionPart(ConversionPart&& other) noexcept;
  ConversionPart& operator=(ConversionPart&&) = delete;
  ~ConversionPart();  ///< leaves the part where it is

  /// Slabs 0 ... slabs() - 1 are in it.
  [[nodiscard]] std::uint64_t slabs() const noexcept { return positions_.size(); }
  /// Appends slab number slabs(); made durable every few seconds. Errors: io_error, disk_full.
  [[nodiscard]] Status append(const CodedSlab& slab);
  /// Errors: io_error, crc_mismatch.
  [[nodiscard]] Result<CodedSlab> read(std::uint64_t slab) const;
  void remove() noexcept;

 private:
  ConversionPart(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  [[nodiscard]] Status recover(const std::string& words, bool force);
  [[nodiscard]] Status begin_anew(const std::string& words);
  [[nodiscard]] Result<CodedSlab> read_at(std::uint64_t position, std::uint64_t& next) const;
  [[nodiscard]] Status write_all(ByteSpan bytes);

  std::string path_;
  int fd_ = -1;
  std::uint64_t end_ = 0;
  std::int64_t synced_ns_ = 0;
  std::vector<std::uint64_t> positions_;  // of the records
};

}  // namespace ff::tools
