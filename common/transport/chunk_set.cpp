// SPDX-License-Identifier: Apache-2.0
#include "common/transport/chunk_set.hpp"

#include <algorithm>
#include <cstring>

#include "common/base/crc32c.hpp"

namespace ff::transport {
namespace {

constexpr std::uint32_t kChunksMax = 1u << 20;
constexpr std::size_t kFinishedRemembered = 256;
constexpr std::size_t kSetsMax = 1024;

Payload join(const std::map<std::uint32_t, Payload>& chunks, std::uint64_t total_bytes) {
  const auto whole = std::make_shared_for_overwrite<std::byte[]>(total_bytes);
  std::uint64_t at = 0;
  for (const auto& [index, chunk] : chunks) {
    if (!chunk.empty()) std::memcpy(whole.get() + at, chunk.bytes().data(), chunk.size());
    at += chunk.size();
  }
  return {whole, ByteSpan(whole.get(), total_bytes)};
}

}  // namespace

std::array<std::byte, kChunkHeaderBytes> pack(const ChunkHeader& header) {
  std::array<std::byte, kChunkHeaderBytes> bytes{};
  std::byte* p = bytes.data();
  std::memcpy(p, header.set.bytes.data(), 16);
  store_le(p + 16, header.index);
  store_le(p + 20, header.count);
  store_le(p + 24, header.total_bytes);
  store_le(p + 32, header.crc);
  store_le(p + 36, header.key_bytes);
  return bytes;
}

Result<ChunkHeader> unpack_chunk_header(ByteSpan bytes) {
  if (bytes.size() != kChunkHeaderBytes)
    return fail(Errc::malformed, "chunk header of " + std::to_string(bytes.size()) + " bytes, not 40");
  const std::byte* p = bytes.data();
  ChunkHeader header;
  std::memcpy(header.set.bytes.data(), p, 16);
  header.index = load_le<std::uint32_t>(p + 16);
  header.count = load_le<std::uint32_t>(p + 20);
  header.total_bytes = load_le<std::uint64_t>(p + 24);
  header.crc = load_le<std::uint32_t>(p + 32);
  header.key_bytes = load_le<std::uint32_t>(p + 36);
  if (header.count == 0 || header.count > kChunksMax || header.index >= header.count)
    return fail(Errc::malformed,
                "chunk " + std::to_string(header.index) + " of " + std::to_string(header.count));
  return header;
}

std::string chunk_key(std::string_view key, std::uint32_t index) {
  return index == 0 ? std::string(key) : std::string(key) + "/chunk-" + std::to_string(index);
}

Result<std::optional<ChunkAssembly::Whole>> ChunkAssembly::add(const ChunkHeader& header, Payload chunk,
                                                               std::int64_t offset, std::int64_t now_ns) {
  if (std::ranges::find(finished_, header.set) != finished_.end()) return std::optional<Whole>{};
  if (header.total_bytes > bytes_max_)
    return fail(Errc::malformed, "chunk set of " + std::to_string(header.total_bytes) + " bytes; at most " +
                                     std::to_string(bytes_max_));
  const auto [found, is_new] = sets_.try_emplace(header.set);
  Set& set = found->second;
  if (is_new) {
    set.header = header;
    set.first_offset = offset;
  }
  const std::uint64_t chunk_bytes = chunk.size();
  if (set.header.count != header.count || set.header.total_bytes != header.total_bytes ||
      set.bytes + chunk_bytes > header.total_bytes + (set.chunks.contains(header.index) ? chunk_bytes : 0)) {
    drop(found);
    return fail(Errc::malformed, "chunk set " + header.set.to_string() + " contradicts itself");
  }
  set.last_chunk_ns = now_ns;
  if (set.chunks.try_emplace(header.index, std::move(chunk)).second) {
    set.bytes += chunk_bytes;
    held_bytes_ += chunk_bytes;
  }
  if (set.chunks.size() == set.header.count) {
    const bool all_there = set.bytes == set.header.total_bytes;
    Whole whole{all_there ? join(set.chunks, set.bytes) : Payload{}, set.first_offset};
    drop(found);
    remember_finished(header.set);
    if (!all_there || crc32c(whole.value.bytes()) != header.crc)
      return fail(Errc::crc_mismatch, "chunk set " + header.set.to_string() + " is damaged");
    return std::optional(std::move(whole));
  }
  while (held_bytes_ > bytes_max_ || sets_.size() > kSetsMax) drop_oldest();
  return std::optional<Whole>{};
}

std::size_t ChunkAssembly::give_up_old(std::int64_t now_ns) {
  std::size_t given_up = 0;
  for (auto set = sets_.begin(); set != sets_.end();) {
    const auto following = std::next(set);
    if (now_ns - set->second.last_chunk_ns > patience_ns_) {
      drop(set);
      ++given_up;
    }
    set = following;
  }
  return given_up;
}

void ChunkAssembly::forgive(std::int64_t now_ns) {
  for (auto& [id, set] : sets_) set.last_chunk_ns = now_ns;
}

std::optional<std::int64_t> ChunkAssembly::first_incomplete_offset() const {
  std::optional<std::int64_t> lowest;
  for (const auto& [id, set] : sets_) lowest = std::min(lowest.value_or(set.first_offset), set.first_offset);
  return lowest;
}

void ChunkAssembly::drop(Sets::iterator set) {
  held_bytes_ -= set->second.bytes;
  sets_.erase(set);
}

void ChunkAssembly::drop_oldest() {
  drop(std::ranges::min_element(sets_, {}, [](const auto& entry) { return entry.second.first_offset; }));
}

void ChunkAssembly::remember_finished(const Uuid& set) {
  if (finished_.size() < kFinishedRemembered) {
    finished_.push_back(set);
  } else {
    finished_[finished_next_++ % kFinishedRemembered] = set;
  }
}

}  // namespace ff::transport
