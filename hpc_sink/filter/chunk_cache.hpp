// SPDX-License-Identifier: Apache-2.0
//
// ChunkCache: decoded chunks by the content of their coded bytes, so that reading frame by frame decodes each once.
//
// Why not by file and offset? A filter is told neither. A rewritten chunk has other bytes, hence another key.
// Drops what was used longest ago; once chunks come back that it had to drop before anybody asked for them again (more
// tiles than fit, read in turn), it drops the newest, so that a part stays: of 16 tiles where 10 fit, 6 of 16 reads hit.
// Memory     at most bytes_max of pixels; a pixel buffer that somebody still copies from lives a little longer.
// Any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>

#include "common/base/bytes.hpp"
#include "hpc_sink/filter/chunk_format.hpp"

namespace ff::sink {

/// Length and XXH3 of the coded bytes; the hash is seeded per process, so that no file can be made to meet another.
struct ChunkKey {
  std::uint64_t low = 0, high = 0, length = 0;
  friend bool operator==(const ChunkKey&, const ChunkKey&) = default;
};
[[nodiscard]] ChunkKey chunk_key(ByteSpan coded) noexcept;

struct CachedChunk {
  ChunkShape shape;
  std::unique_ptr<std::byte[]> pixels;  ///< shape.bytes()
};

class ChunkCache {
 public:
  explicit ChunkCache(std::size_t bytes_max) noexcept : bytes_max_(bytes_max) {}

  /// Null where it isn't; then its `put` is awaited soon.
  [[nodiscard]] std::shared_ptr<const CachedChunk> find(const ChunkKey& key);
  /// Keeps the chunk if there is room for it at all.
  void put(const ChunkKey& key, std::shared_ptr<const CachedChunk> chunk);

  /// Gives all of it back.
  void clear();

  /// Whether a chunk of this size could be kept.
  [[nodiscard]] bool holds(std::size_t bytes) const noexcept { return bytes <= bytes_max_; }
  [[nodiscard]] std::size_t bytes() const;

 private:
  struct Entry {
    ChunkKey key;
    std::shared_ptr<const CachedChunk> chunk;
    bool used = false;  // found since it was put
  };
  static constexpr std::size_t kDroppedKeys = 1024;

  [[nodiscard]] bool dropped_unused(const ChunkKey& key) const noexcept;
  void drop(std::list<Entry>::iterator entry);

  const std::size_t bytes_max_;
  mutable std::mutex mutex_;
  std::list<Entry> entries_;  // used last in front
  std::size_t bytes_ = 0;
  std::array<ChunkKey, kDroppedKeys> dropped_{};  // a ring, of those that were never found
  std::size_t next_dropped_ = 0;
};

/// FOREFRAME_FILTER_CACHE, or an eighth of the machine's memory and at most 1 GiB.
[[nodiscard]] std::size_t cache_bytes_wanted();

}  // namespace ff::sink
