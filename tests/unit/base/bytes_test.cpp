// SPDX-License-Identifier: Apache-2.0
#include "common/base/bytes.hpp"

#include <array>

#include <catch2/catch.hpp>

using ff::ByteReader;

namespace {
constexpr std::array<std::byte, 5> kBytes{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4},
                                          std::byte{5}};
}

TEST_CASE("little-endian and big-endian loads read the same bytes both ways", "[bytes]") {
  CHECK(ff::load_le<std::uint32_t>(kBytes.data()) == 0x04030201u);
  CHECK(ff::load_be32(kBytes.data()) == 0x01020304u);
  CHECK(ff::load_be16(kBytes.data()) == 0x0102u);
  std::array<std::byte, 8> out{};
  ff::store_be64(out.data(), 0x0102030405060708ull);
  CHECK(out[0] == std::byte{1});
  CHECK(ff::load_be64(out.data()) == 0x0102030405060708ull);
}

TEST_CASE("a reader takes what is there and stays failed after the first short read", "[bytes]") {
  ByteReader reader{kBytes};
  CHECK(reader.read<std::uint16_t>() == 0x0201);
  CHECK(reader.ok());
  CHECK(reader.read<std::uint32_t>() == 0);  // three bytes are left
  CHECK_FALSE(reader.ok());
  CHECK(reader.read<std::uint8_t>() == 0);  // not the byte that would still fit
  CHECK(reader.take(1).empty());
  CHECK(reader.rest().empty());
}

TEST_CASE("a reader refuses a count that no memory holds", "[bytes]") {
  ByteReader reader{kBytes};
  CHECK(reader.take(SIZE_MAX).empty());
  CHECK_FALSE(reader.ok());
  ByteReader whole{kBytes};
  CHECK(whole.take(5).size() == 5);
  CHECK(whole.take(0).empty());
  CHECK(whole.ok());
}
