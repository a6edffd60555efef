// SPDX-License-Identifier: Apache-2.0
#include "common/base/crc32c.hpp"

#include <vector>

#include <catch2/catch.hpp>

using ff::as_bytes;
using ff::crc32c;
using ff::crc32c_by_tables;

namespace {

std::vector<std::byte> bytes_mod_251(std::size_t count) {
  std::vector<std::byte> bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(i % 251);
  return bytes;
}

/// One bit at a time, straight from the polynomial.
std::uint32_t crc32c_by_bits(ff::ByteSpan bytes) {
  std::uint32_t crc = ~0u;
  for (const std::byte byte : bytes) {
    crc ^= static_cast<std::uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0u);
  }
  return ~crc;
}

}  // namespace

TEST_CASE("CRC-32C gives the values of RFC 3720 B.4", "[crc32c]") {
  std::vector<std::byte> bytes(32, std::byte{0});
  CHECK(crc32c(bytes) == 0x8a9136aau);
  bytes.assign(32, std::byte{0xff});
  CHECK(crc32c(bytes) == 0x62a8ab43u);
  for (std::size_t i = 0; i < 32; ++i) bytes[i] = static_cast<std::byte>(i);
  CHECK(crc32c(bytes) == 0x46dd794eu);
  for (std::size_t i = 0; i < 32; ++i) bytes[i] = static_cast<std::byte>(31 - i);
  CHECK(crc32c(bytes) == 0x113fdb5cu);
  CHECK(crc32c(as_bytes("123456789")) == 0xe3069283u);
  CHECK(crc32c({}) == 0);
}

TEST_CASE("instruction, tables and single bits agree at every edge of the lanes", "[crc32c]") {
  const std::vector<std::byte> bytes = bytes_mod_251(3 * 3072 + 17);
  for (const std::size_t length :
       {0u, 1u, 7u, 8u, 9u, 15u, 1023u, 1024u, 3071u, 3072u, 3073u, 3080u, 6143u, 6145u, 9216u, 9233u})
    for (const std::size_t offset : {0u, 1u, 3u}) {
      if (offset + length > bytes.size()) continue;
      const ff::ByteSpan part = ff::ByteSpan(bytes).subspan(offset, length);
      INFO("length " << length << " offset " << offset);
      CHECK(crc32c(part) == crc32c_by_bits(part));
      CHECK(crc32c_by_tables(part) == crc32c_by_bits(part));
    }
}

TEST_CASE("a CRC can be carried over pieces, wherever they are cut", "[crc32c]") {
  const std::vector<std::byte> bytes = bytes_mod_251(5000);
  const ff::ByteSpan all(bytes);
  for (const std::size_t cut : {0u, 1u, 1000u, 3072u, 4999u, 5000u}) {
    CHECK(crc32c(all.subspan(cut), crc32c(all.first(cut))) == crc32c(all));
    CHECK(crc32c_by_tables(all.subspan(cut), crc32c(all.first(cut))) == crc32c(all));
  }
}

TEST_CASE("one flipped bit changes the CRC", "[crc32c]") {
  std::vector<std::byte> bytes = bytes_mod_251(4096);
  const std::uint32_t before = crc32c(bytes);
  for (const std::size_t at : {0u, 2047u, 4095u}) {
    bytes[at] ^= std::byte{0x10};
    CHECK(crc32c(bytes) != before);
    bytes[at] ^= std::byte{0x10};
  }
}
