// SPDX-License-Identifier: Apache-2.0
#include "common/transport/chunk_set.hpp"

#include <chrono>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "common/base/crc32c.hpp"

namespace ff::transport {
namespace {

using std::chrono::seconds;

constexpr std::int64_t kSecondNs = 1'000'000'000;

struct Chunked {
  std::string whole;
  std::vector<ChunkHeader> headers;
  std::vector<Payload> chunks;
};

Chunked chunk(const std::string& whole, std::size_t chunk_bytes) {
  Chunked out{whole, {}, {}};
  ChunkHeader header{Uuid::mint(), 0, 0, whole.size(), crc32c(as_bytes(whole)), 3};
  header.count = static_cast<std::uint32_t>((whole.size() + chunk_bytes - 1) / chunk_bytes);
  for (; header.index < header.count; ++header.index) {
    out.headers.push_back(header);
    out.chunks.push_back(
        Payload::copy(as_bytes(std::string_view(whole).substr(header.index * chunk_bytes, chunk_bytes))));
  }
  return out;
}

const std::string kText = "a value that is cut into pieces and put together again";

}  // namespace

TEST_CASE("chunks in any order, doubled and mixed with another set, make the value once", "[chunks]") {
  ChunkAssembly assembly(1 << 20, seconds(60));
  const Chunked a = chunk(kText, 10), b = chunk("another value entirely", 10);
  const std::size_t order[] = {4, 0, 0, 3, 5, 1};
  std::int64_t offset = 100;
  for (const std::size_t i : order) {
    const auto got = assembly.add(a.headers[i], a.chunks[i], offset++, 0);
    REQUIRE(got.ok());
    REQUIRE_FALSE(got->has_value());
    if (i < b.chunks.size() - 1)
      REQUIRE_FALSE((*assembly.add(b.headers[i], b.chunks[i], offset++, 0)).has_value());
  }
  CHECK(assembly.first_incomplete_offset() == 100);
  const auto whole = assembly.add(a.headers[2], a.chunks[2], offset++, 0);
  REQUIRE(whole.ok());
  REQUIRE(whole->has_value());
  CHECK(as_text((*whole)->value.bytes()) == kText);
  CHECK((*whole)->first_offset == 100);
  CHECK(assembly.first_incomplete_offset() == 102);  // b's first
  // A chunk that comes once more after the set was whole opens nothing.
  CHECK_FALSE((*assembly.add(a.headers[0], a.chunks[0], offset, 0)).has_value());
  CHECK(assembly.first_incomplete_offset() == 102);
}

TEST_CASE("a set that stays incomplete is given up after the patience and frees its memory", "[chunks]") {
  ChunkAssembly assembly(1 << 20, seconds(60));
  const Chunked a = chunk(kText, 10);
  REQUIRE(assembly.add(a.headers[0], a.chunks[0], 7, 0).ok());
  CHECK(assembly.held_bytes() == 10);
  CHECK(assembly.give_up_old(59 * kSecondNs) == 0);
  CHECK(assembly.give_up_old(61 * kSecondNs) == 1);
  CHECK(assembly.held_bytes() == 0);
  CHECK_FALSE(assembly.first_incomplete_offset().has_value());
}

TEST_CASE("incomplete sets above the memory bound go, the oldest first", "[chunks]") {
  ChunkAssembly assembly(100, seconds(60));
  for (std::int64_t i = 0; i < 30; ++i) {
    const Chunked a = chunk(kText, 10);
    REQUIRE(assembly.add(a.headers[0], a.chunks[0], i, 0).ok());
    CHECK(assembly.held_bytes() <= 100);
  }
  CHECK(assembly.first_incomplete_offset() == 20);
}

TEST_CASE("a damaged or contradictory set is refused", "[chunks]") {
  ChunkAssembly assembly(1 << 20, seconds(60));
  Chunked a = chunk(kText, 30);
  a.chunks[1] = Payload::copy(as_bytes(std::string(a.chunks[1].size(), '?')));
  REQUIRE(assembly.add(a.headers[0], a.chunks[0], 0, 0).ok());
  CHECK(assembly.add(a.headers[1], a.chunks[1], 1, 0).error().code == Errc::crc_mismatch);
  Chunked b = chunk(kText, 30);
  REQUIRE(assembly.add(b.headers[0], b.chunks[0], 2, 0).ok());
  b.headers[1].count = 9;
  CHECK(assembly.add(b.headers[1], b.chunks[1], 3, 0).error().code == Errc::malformed);
  Chunked c = chunk(kText, 30);
  CHECK(assembly.add(c.headers[0], Payload::own(std::vector<std::byte>(1000)), 4, 0).error().code ==
        Errc::malformed);
  c.headers[0].total_bytes = 1ull << 40;
  CHECK(assembly.add(c.headers[0], c.chunks[0], 5, 0).error().code == Errc::malformed);
  CHECK(assembly.held_bytes() == 0);
}

TEST_CASE("chunk headers survive packing, and hostile ones are refused", "[chunks]") {
  const ChunkHeader header{Uuid::mint(), 3, 9, 123456789012, 0xdeadbeef, 77};
  const auto bytes = pack(header);
  const auto back = unpack_chunk_header(bytes);
  REQUIRE(back.ok());
  CHECK(back->set == header.set);
  CHECK(back->index == 3);
  CHECK(back->count == 9);
  CHECK(back->total_bytes == 123456789012);
  CHECK(back->crc == 0xdeadbeef);
  CHECK(back->key_bytes == 77);
  CHECK_FALSE(unpack_chunk_header(ByteSpan(bytes).first(39)).ok());
  CHECK_FALSE(unpack_chunk_header(pack({header.set, 9, 9, 1, 1, 1})).ok());
  CHECK_FALSE(unpack_chunk_header(pack({header.set, 0, 0, 1, 1, 1})).ok());
  CHECK_FALSE(unpack_chunk_header(pack({header.set, 0, 0xffffffff, 1, 1, 1})).ok());
}

}  // namespace ff::transport
