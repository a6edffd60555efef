// SPDX-License-Identifier: Apache-2.0
//
// Decoded chunks by content: a list, its order of use, and the keys that were dropped lately.
#include "hpc_sink/filter/chunk_cache.hpp"

#include <algorithm>
#include <cstdlib>
#include <random>
#include <unistd.h>
#include <utility>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "common/base/units.hpp"

namespace ff::sink {

ChunkKey chunk_key(ByteSpan coded) noexcept {
  static const std::uint64_t seed = [] {
    std::random_device random;
    return std::uint64_t{random()} << 32 | random();
  }();
  const XXH128_hash_t hash = XXH3_128bits_withSeed(coded.data(), coded.size(), seed);
  return {hash.low64, hash.high64, coded.size()};
}

std::shared_ptr<const CachedChunk> ChunkCache::find(const ChunkKey& key) {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(entries_, key, &Entry::key);
  if (found == entries_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found);
  found->used = true;
  return found->chunk;
}

void ChunkCache::put(const ChunkKey& key, std::shared_ptr<const CachedChunk> chunk) {
  const std::size_t bytes = chunk->shape.bytes();
  if (!holds(bytes)) return;
  const std::lock_guard lock(mutex_);
  if (std::ranges::find(entries_, key, &Entry::key) != entries_.end()) return;  // another thread was quicker
  const bool in_turn = dropped_unused(key);
  while (bytes_ + bytes > bytes_max_) drop(in_turn ? entries_.begin() : std::prev(entries_.end()));
  entries_.push_front({key, std::move(chunk)});
  bytes_ += bytes;
}

void ChunkCache::clear() {
  const std::lock_guard lock(mutex_);
  entries_.clear();
  dropped_.fill({});
  bytes_ = 0;
}

std::size_t ChunkCache::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

bool ChunkCache::dropped_unused(const ChunkKey& key) const noexcept {
  return std::ranges::find(dropped_, key) != dropped_.end();
}

void ChunkCache::drop(std::list<Entry>::iterator entry) {
  if (!entry->used) dropped_[next_dropped_++ % kDroppedKeys] = entry->key;
  bytes_ -= entry->chunk->shape.bytes();
  entries_.erase(entry);
}

std::size_t cache_bytes_wanted() {
  if (const char* const text = std::getenv("FOREFRAME_FILTER_CACHE"); text != nullptr) {
    if (const auto bytes = parse_size_bytes(text); bytes.ok()) return *bytes;
  }
  const auto memory = static_cast<std::size_t>(std::max(::sysconf(_SC_PHYS_PAGES), 0L)) *
                      static_cast<std::size_t>(std::max(::sysconf(_SC_PAGESIZE), 0L));
  return std::min(memory / 8, std::size_t{1} << 30);
}

}  // namespace ff::sink
