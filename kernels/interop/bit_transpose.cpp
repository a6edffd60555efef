// SPDX-License-Identifier: Apache-2.0
//
// Bit transposition as the bitshuffle library does it: row 8 b + i of the output holds bit i of byte b of
// every element, eight elements to a byte, the first in the lowest bit.
//
// Works on 64-element chunks: bytes of one kind are collected first, then 8 x 8 bits are turned by three
// swaps in a 64-bit word, eight words at a time so that the compiler can use whatever vectors there are.
// Processors with AVX2 do all but the last elements in bit_transpose_avx2.cpp.
#include <array>
#include <cstdint>
#include <cstring>

#include "common/base/check.hpp"
#include "kernels/interop/bit_transpose_avx2.hpp"
#include "kernels/interop/bslz4.hpp"

namespace ff::kernels {
namespace {

constexpr std::size_t kChunk = 64;  // elements turned at once: 8 words of 8 bytes
using Words = std::array<std::uint64_t, 8>;

// Turns the 8 x 8 bit matrix whose row r is byte r; its own inverse.
constexpr std::uint64_t turn8x8(std::uint64_t x) noexcept {
  std::uint64_t t = (x ^ (x >> 7)) & 0x00aa00aa00aa00aaull;
  x ^= t ^ (t << 7);
  t = (x ^ (x >> 14)) & 0x0000cccc0000ccccull;
  x ^= t ^ (t << 14);
  t = (x ^ (x >> 28)) & 0x00000000f0f0f0f0ull;
  return x ^ t ^ (t << 28);
}

// Turns the 8 x 8 byte matrix whose row r is word r; its own inverse.
inline void turn_bytes(Words& w) noexcept {
  for (std::size_t shift = 32, step = 4; step >= 1; shift /= 2, step /= 2) {
    const std::uint64_t low = shift == 32   ? 0x00000000ffffffffull
                              : shift == 16 ? 0x0000ffff0000ffffull
                                            : 0x00ff00ff00ff00ffull;
    for (std::size_t r = 0; r < 8; ++r) {
      if ((r & step) != 0) continue;
      const std::uint64_t t = ((w[r] >> shift) ^ w[r + step]) & low;
      w[r] ^= t << shift;
      w[r + step] ^= t;
    }
  }
}

template <std::size_t kElementBytes>
void collect(const std::byte* in, std::size_t byte, Words& words) noexcept {
  alignas(64) std::array<std::byte, kChunk> plane;
  for (std::size_t i = 0; i < kChunk; ++i) plane[i] = in[i * kElementBytes + byte];
  std::memcpy(words.data(), plane.data(), kChunk);
}

template <std::size_t kElementBytes>
void spread(const Words& words, std::size_t byte, std::byte* out) noexcept {
  alignas(64) std::array<std::byte, kChunk> plane;
  std::memcpy(plane.data(), words.data(), kChunk);
  for (std::size_t i = 0; i < kChunk; ++i) out[i * kElementBytes + byte] = plane[i];
}

#if defined(__x86_64__)

bool has_avx2() noexcept {
  static const bool has = __builtin_cpu_supports("avx2") != 0;
  return has;
}
template <std::size_t kElementBytes>
std::size_t forward_by_vectors(const std::byte* in, std::size_t elements, std::byte* out) noexcept {
  return has_avx2() ? avx2::bitshuffle_chunks<kElementBytes>(in, elements, out) : 0;
}
template <std::size_t kElementBytes>
std::size_t backward_by_vectors(const std::byte* in, std::size_t elements, std::byte* out) noexcept {
  return has_avx2() ? avx2::bitunshuffle_chunks<kElementBytes>(in, elements, out) : 0;
}

#else

template <std::size_t kElementBytes>
std::size_t forward_by_vectors(const std::byte*, std::size_t, std::byte*) noexcept {
  return 0;
}
template <std::size_t kElementBytes>
std::size_t backward_by_vectors(const std::byte*, std::size_t, std::byte*) noexcept {
  return 0;
}

#endif

template <std::size_t kElementBytes>
void forward(const std::byte* in, std::size_t elements, std::byte* out) noexcept {
  const std::size_t row_bytes = elements / 8;
  std::size_t e = forward_by_vectors<kElementBytes>(in, elements, out);
  for (; e + kChunk <= elements; e += kChunk) {
    for (std::size_t b = 0; b < kElementBytes; ++b) {
      Words words;
      collect<kElementBytes>(in + e * kElementBytes, b, words);
      for (auto& word : words) word = turn8x8(word);
      turn_bytes(words);
      for (std::size_t i = 0; i < 8; ++i) std::memcpy(out + (8 * b + i) * row_bytes + e / 8, &words[i], 8);
    }
  }
  for (; e < elements; e += 8) {
    for (std::size_t b = 0; b < kElementBytes; ++b) {
      std::uint64_t word = 0;
      for (std::size_t j = 0; j < 8; ++j) {
        word |= std::to_integer<std::uint64_t>(in[(e + j) * kElementBytes + b]) << (8 * j);
      }
      word = turn8x8(word);
      for (std::size_t i = 0; i < 8; ++i)
        out[(8 * b + i) * row_bytes + e / 8] = static_cast<std::byte>(word >> (8 * i));
    }
  }
}

template <std::size_t kElementBytes>
void backward(const std::byte* in, std::size_t elements, std::byte* out) noexcept {
  const std::size_t row_bytes = elements / 8;
  std::size_t e = backward_by_vectors<kElementBytes>(in, elements, out);
  for (; e + kChunk <= elements; e += kChunk) {
    for (std::size_t b = 0; b < kElementBytes; ++b) {
      Words words;
      for (std::size_t i = 0; i < 8; ++i) std::memcpy(&words[i], in + (8 * b + i) * row_bytes + e / 8, 8);
      turn_bytes(words);
      for (auto& word : words) word = turn8x8(word);
      spread<kElementBytes>(words, b, out + e * kElementBytes);
    }
  }
  for (; e < elements; e += 8) {
    for (std::size_t b = 0; b < kElementBytes; ++b) {
      std::uint64_t word = 0;
      for (std::size_t i = 0; i < 8; ++i) {
        word |= std::to_integer<std::uint64_t>(in[(8 * b + i) * row_bytes + e / 8]) << (8 * i);
      }
      word = turn8x8(word);
      for (std::size_t j = 0; j < 8; ++j)
        out[(e + j) * kElementBytes + b] = static_cast<std::byte>(word >> (8 * j));
    }
  }
}

}  // namespace

void bitshuffle(ByteSpan in, std::size_t element_bytes, MutableByteSpan out) noexcept {
  FF_CHECK(out.size() == in.size() && in.size() % (8 * element_bytes) == 0);
  const std::size_t elements = in.size() / element_bytes;
  switch (element_bytes) {
    case 1: return forward<1>(in.data(), elements, out.data());
    case 2: return forward<2>(in.data(), elements, out.data());
    case 4: return forward<4>(in.data(), elements, out.data());
    default: FF_CHECK(!"elements have 1, 2 or 4 bytes");
  }
}

void bitunshuffle(ByteSpan in, std::size_t element_bytes, MutableByteSpan out) noexcept {
  FF_CHECK(out.size() == in.size() && in.size() % (8 * element_bytes) == 0);
  const std::size_t elements = in.size() / element_bytes;
  switch (element_bytes) {
    case 1: return backward<1>(in.data(), elements, out.data());
    case 2: return backward<2>(in.data(), elements, out.data());
    case 4: return backward<4>(in.data(), elements, out.data());
    default: FF_CHECK(!"elements have 1, 2 or 4 bytes");
  }
}

}  // namespace ff::kernels
