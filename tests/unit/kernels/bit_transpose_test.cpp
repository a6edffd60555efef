// SPDX-License-Identifier: Apache-2.0
//
// Bit transposition and the field's LZ4 framings, against bytes made by the bitshuffle library 0.5.2.
#include <array>
#include <random>
#include <vector>

#include <catch2/catch.hpp>

#include "kernels/interop/bslz4.hpp"

namespace {

using ff::kernels::DetectorCompression;

std::vector<std::byte> random_bytes(std::size_t count, unsigned bits, unsigned seed) {
  std::mt19937 rng(seed);
  std::vector<std::byte> bytes(count);
  for (auto& byte : bytes) byte = static_cast<std::byte>(rng() & ((1u << bits) - 1));
  return bytes;
}

// What "bit-transposed" means, one bit at a time.
std::vector<std::byte> transpose_by_definition(const std::vector<std::byte>& in, std::size_t element_bytes) {
  const std::size_t elements = in.size() / element_bytes;
  std::vector<std::byte> out(in.size());
  for (std::size_t e = 0; e < elements; ++e) {
    for (std::size_t bit = 0; bit < 8 * element_bytes; ++bit) {
      const auto value = std::to_integer<unsigned>(in[e * element_bytes + bit / 8]) >> (bit % 8) & 1u;
      out[bit * (elements / 8) + e / 8] |= static_cast<std::byte>(value << (e % 8));
    }
  }
  return out;
}

}  // namespace

TEST_CASE("bit transposition follows its definition for every element size and odd counts of eight",
          "[bslz4]") {
  for (const std::size_t element_bytes : {1u, 2u, 4u}) {
    for (const std::size_t groups : {0u, 1u, 7u, 8u, 9u, 130u}) {
      const auto raw = random_bytes(groups * 8 * element_bytes, 8, 3);
      std::vector<std::byte> planes(raw.size()), back(raw.size());
      ff::kernels::bitshuffle(raw, element_bytes, planes);
      CHECK(planes == transpose_by_definition(raw, element_bytes));
      ff::kernels::bitunshuffle(planes, element_bytes, back);
      CHECK(back == raw);
    }
  }
}

TEST_CASE("detector compressions give back every byte, also of frames that end inside a group of eight",
          "[bslz4]") {
  for (const auto kind : {DetectorCompression::none, DetectorCompression::lz4, DetectorCompression::bslz4}) {
    for (const std::size_t element_bytes : {1u, 2u, 4u}) {
      for (const std::size_t elements : {1u, 7u, 8u, 4096u, 10000u, 65543u}) {
        const auto raw = random_bytes(elements * element_bytes, elements % 2 == 0 ? 2 : 8, 5);
        std::vector<std::byte> coded(ff::kernels::detector_compressed_bound(kind, raw.size(), element_bytes));
        const auto bytes = ff::kernels::compress_detector(kind, raw, element_bytes, coded);
        REQUIRE(bytes.ok());
        coded.resize(*bytes);
        std::vector<std::byte> back(raw.size());
        REQUIRE(ff::kernels::decompress_detector(kind, coded, element_bytes, back).ok());
        CHECK(back == raw);
      }
    }
  }
}

TEST_CASE("bytes written by the bitshuffle library decode to its input", "[bslz4]") {
  // bitshuffle.compress_lz4(numpy.arange(40, dtype='<u2')) behind the HDF5 header (80 bytes, blocks of 8192).
  static constexpr unsigned kArange40U16[] = {
      0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x50, 0x00, 0x00, 0x20, 0x00, 0x00, 0x00,
      0x00, 0x25, 0x10, 0xaa, 0x01, 0x00, 0x10, 0xcc, 0x01, 0x00, 0x10, 0xf0, 0x01, 0x00,
      0x80, 0x00, 0xff, 0x00, 0xff, 0x00, 0x00, 0x00, 0xff, 0x05, 0x00, 0x11, 0x00, 0x0b,
      0x00, 0x0f, 0x02, 0x00, 0x17, 0x50, 0x00, 0x00, 0x00, 0x00, 0x00,
  };
  std::vector<std::byte> coded;
  for (const unsigned value : kArange40U16) coded.push_back(static_cast<std::byte>(value));
  std::vector<std::byte> raw(80);
  REQUIRE(ff::kernels::decompress_detector(DetectorCompression::bslz4, coded, 2, raw).ok());
  for (unsigned i = 0; i < 40; ++i) CHECK(ff::load_le<std::uint16_t>(raw.data() + 2 * i) == i);
}

TEST_CASE("damaged detector data is refused by name and never read past its end", "[bslz4]") {
  const auto raw = random_bytes(20000, 3, 9);
  std::vector<std::byte> coded(
      ff::kernels::detector_compressed_bound(DetectorCompression::bslz4, raw.size(), 2));
  coded.resize(*ff::kernels::compress_detector(DetectorCompression::bslz4, raw, 2, coded));
  std::vector<std::byte> back(raw.size());
  for (std::size_t cut = 0; cut < coded.size(); cut += 1 + cut / 16) {
    const auto status =
        ff::kernels::decompress_detector(DetectorCompression::bslz4, ff::ByteSpan(coded).first(cut), 2, back);
    REQUIRE_FALSE(status.ok());
    CHECK(status.error().code == ff::Errc::truncated);
  }
  std::mt19937 rng(11);
  for (int round = 0; round < 2000; ++round) {
    auto damaged = coded;
    damaged[rng() % damaged.size()] ^= static_cast<std::byte>(1u << (rng() % 8));
    (void)ff::kernels::decompress_detector(DetectorCompression::bslz4, damaged, 2, back);
  }
  std::vector<std::byte> other(raw.size() + 2);
  CHECK(ff::kernels::decompress_detector(DetectorCompression::bslz4, coded, 2, other).error().code ==
        ff::Errc::shape_mismatch);
}
