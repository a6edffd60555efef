// SPDX-License-Identifier: Apache-2.0
//
// Chunk sets: a value larger than one Kafka record travels as several, all in the same partition.
// Private to common/transport.
//
// Format     docs/formats/log.md: the record header "foreframe-chunk", 40 bytes.
// Contract   chunks may come twice, in any order among others, or not all: a set that never becomes whole is
//            given up after a time, since its writer never called it delivered and sends it again.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/base/payload.hpp"
#include "common/base/result.hpp"
#include "common/base/uuid.hpp"

namespace ff::transport {

inline constexpr const char* kChunkHeaderName = "foreframe-chunk";
inline constexpr std::size_t kChunkHeaderBytes = 40;

struct ChunkHeader {
  Uuid set;
  std::uint32_t index = 0;
  std::uint32_t count = 1;
  std::uint64_t total_bytes = 0;
  std::uint32_t crc = 0;        ///< of the whole value
  std::uint32_t key_bytes = 0;  ///< of the whole value's key; the record's own key may be longer
};

[[nodiscard]] std::array<std::byte, kChunkHeaderBytes> pack(const ChunkHeader& header);
/// Errors: malformed (index, count and total contradict each other).
[[nodiscard]] Result<ChunkHeader> unpack_chunk_header(ByteSpan bytes);
/// Key of chunk `index`: chunks of one value must survive compaction beside each other.
[[nodiscard]] std::string chunk_key(std::string_view key, std::uint32_t index);

/// Puts the chunks of one partition together again. Holds the chunks' own bytes, without copies, until a set
/// is whole; then the value is copied once.
class ChunkAssembly {
 public:
  struct Whole {
    Payload value;
    std::int64_t first_offset = 0;
  };

  ChunkAssembly(std::uint64_t bytes_max, std::chrono::nanoseconds patience) noexcept
      : bytes_max_(bytes_max), patience_ns_(patience.count()) {}

  /// The whole value if this chunk was the last one missing. Errors: malformed, crc_mismatch (the set is
  /// dropped).
  [[nodiscard]] Result<std::optional<Whole>> add(const ChunkHeader& header, Payload chunk,
                                                 std::int64_t offset, std::int64_t now_ns);
  /// Drops sets that got no chunk for `patience`; returns how many.
  std::size_t give_up_old(std::int64_t now_ns);
  /// No chunk could come since the reader itself held the partition back: patience begins anew.
  void forgive(std::int64_t now_ns);
  /// No offset above this may be committed: the first chunk of the oldest incomplete set.
  [[nodiscard]] std::optional<std::int64_t> first_incomplete_offset() const;
  [[nodiscard]] std::uint64_t held_bytes() const noexcept { return held_bytes_; }

 private:
  struct Set {
    ChunkHeader header;
    std::map<std::uint32_t, Payload> chunks;
    std::uint64_t bytes = 0;
    std::int64_t first_offset = 0;
    std::int64_t last_chunk_ns = 0;
  };
  using Sets = std::map<Uuid, Set>;

  void drop(Sets::iterator set);
  void drop_oldest();
  void remember_finished(const Uuid& set);

  std::uint64_t bytes_max_;
  std::int64_t patience_ns_;
  std::uint64_t held_bytes_ = 0;
  Sets sets_;
  std::vector<Uuid>
      finished_;  ///< ring of the last ones: a chunk that comes twice must not open its set again
  std::size_t finished_next_ = 0;
};

}  // namespace ff::transport
