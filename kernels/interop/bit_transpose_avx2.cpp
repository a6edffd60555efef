// SPDX-License-Identifier: Apache-2.0
//
// Bit transposition with AVX2, 256 elements at a time: every detector frame that comes as bslz4 passes here, and every
// chunk that goes into a file.
//
//   planes   byte b of the elements: 8 vectors, vector v holds elements 16 v ... 16 v + 15 in its low half and the
//            same 128 elements on in its high half
//   columns  8 vectors, byte k of vector j = that byte of element 8 k + j             bytes turned: planes <> columns
//   rows     8 vectors, bit j of byte k of vector i = bit i of byte k of column j     bits turned: columns <> rows
//
// The bits are turned across the eight vectors, so that each step serves 64 matrices of 8 x 8 at once.
#include "kernels/interop/bit_transpose_avx2.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#include <initializer_list>

// From here on this file's own functions are compiled for AVX2; what the headers above define is not.
#pragma GCC push_options
#pragma GCC target("avx2")

namespace ff::kernels::avx2 {
namespace {

constexpr std::size_t kChunkElements = 256;

// No std::array: its element type would lose the vector's alignment attribute.
struct Vectors {
  __m256i v[8];
};

/// Exchanges the bits of `high` that lie under `mask` with those of `low`, kShift places up: one step of a transposition.
template <int kShift>
inline void swap_bits(__m256i& low, __m256i& high, __m256i mask) noexcept {
  const __m256i change = _mm256_and_si256(_mm256_xor_si256(_mm256_srli_epi64(low, kShift), high), mask);
  high = _mm256_xor_si256(high, change);
  low = _mm256_xor_si256(low, _mm256_slli_epi64(change, kShift));
}

/// Columns to rows and rows to columns: its own inverse.
inline void turn_bits(Vectors& x) noexcept {
  const __m256i by4 = _mm256_set1_epi8(0x0f), by2 = _mm256_set1_epi8(0x33), by1 = _mm256_set1_epi8(0x55);
  for (const std::size_t i : {0, 1, 2, 3}) swap_bits<4>(x.v[i], x.v[i + 4], by4);
  for (const std::size_t i : {0, 1, 4, 5}) swap_bits<2>(x.v[i], x.v[i + 2], by2);
  for (const std::size_t i : {0, 2, 4, 6}) swap_bits<1>(x.v[i], x.v[i + 1], by1);
}

/// Column j, byte k: plane, byte 8 k + j. 8 columns become 16 bytes of each half of 8 vectors.
inline Vectors columns_to_plane(const Vectors& c) noexcept {
  Vectors pairs, fours, out;
  for (std::size_t j = 0; j < 8; j += 2) {
    pairs.v[j] = _mm256_unpacklo_epi8(c.v[j], c.v[j + 1]);
    pairs.v[j + 1] = _mm256_unpackhi_epi8(c.v[j], c.v[j + 1]);
  }
  for (const std::size_t half : {0, 1})
    for (const std::size_t j : {0, 1}) {
      fours.v[4 * half + 2 * j] = _mm256_unpacklo_epi16(pairs.v[4 * j + half], pairs.v[4 * j + 2 + half]);
      fours.v[4 * half + 2 * j + 1] = _mm256_unpackhi_epi16(pairs.v[4 * j + half], pairs.v[4 * j + 2 + half]);
    }
  for (std::size_t quarter = 0; quarter < 4; ++quarter) {
    const std::size_t at = 4 * (quarter / 2) + quarter % 2;
    out.v[2 * quarter] = _mm256_unpacklo_epi32(fours.v[at], fours.v[at + 2]);
    out.v[2 * quarter + 1] = _mm256_unpackhi_epi32(fours.v[at], fours.v[at + 2]);
  }
  return out;
}

inline Vectors plane_to_columns(const Vectors& plane) noexcept {
  // In each half the bytes of two groups of eight elements: a column's two bytes are brought side by side, ...
  const __m256i beside = _mm256_setr_epi8(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15,  //
                                          0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
  Vectors ones, twos, fours, out;
  for (std::size_t v = 0; v < 8; ++v) ones.v[v] = _mm256_shuffle_epi8(plane.v[v], beside);
  // ... and then 8 x 8 of these pairs are turned.
  for (std::size_t v = 0; v < 8; v += 2) {
    twos.v[v] = _mm256_unpacklo_epi16(ones.v[v], ones.v[v + 1]);
    twos.v[v + 1] = _mm256_unpackhi_epi16(ones.v[v], ones.v[v + 1]);
  }
  for (const std::size_t half : {0, 1})
    for (const std::size_t v : {0, 1}) {
      fours.v[4 * half + v] = _mm256_unpacklo_epi32(twos.v[4 * v + half], twos.v[4 * v + 2 + half]);
      fours.v[4 * half + 2 + v] = _mm256_unpackhi_epi32(twos.v[4 * v + half], twos.v[4 * v + 2 + half]);
    }
  for (std::size_t pair = 0; pair < 4; ++pair) {
    out.v[2 * pair] = _mm256_unpacklo_epi64(fours.v[2 * pair], fours.v[2 * pair + 1]);
    out.v[2 * pair + 1] = _mm256_unpackhi_epi64(fours.v[2 * pair], fours.v[2 * pair + 1]);
  }
  return out;
}

inline __m256i load(const std::byte* at) noexcept {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
}
inline void store(std::byte* at, __m256i value) noexcept {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), value);
}

/// Sixteen elements from `low` on and sixteen from `high` on become one vector a byte of the element.
template <std::size_t kElementBytes>
inline void split_bytes(const std::byte* low, const std::byte* high, __m256i* bytes) noexcept {
  if constexpr (kElementBytes == 1) {
    bytes[0] = _mm256_inserti128_si256(
        _mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(low))),
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(high)), 1);
  } else if constexpr (kElementBytes == 2) {
    const __m256i a = load(low), b = load(high), even = _mm256_set1_epi16(0x00ff);
    const __m256i first = _mm256_permute2x128_si256(a, b, 0x20),
                  second = _mm256_permute2x128_si256(a, b, 0x31);
    bytes[0] = _mm256_packus_epi16(_mm256_and_si256(first, even), _mm256_and_si256(second, even));
    bytes[1] = _mm256_packus_epi16(_mm256_srli_epi16(first, 8), _mm256_srli_epi16(second, 8));
  } else {
    // Within 16 bytes: the four elements' first bytes, second bytes, ...
    const __m256i kinds = _mm256_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15,  //
                                           0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m256i four[4];
    for (const std::size_t part : {0, 1}) {
      const __m256i a = load(low + 32 * part), b = load(high + 32 * part);
      four[2 * part] = _mm256_shuffle_epi8(_mm256_permute2x128_si256(a, b, 0x20), kinds);
      four[2 * part + 1] = _mm256_shuffle_epi8(_mm256_permute2x128_si256(a, b, 0x31), kinds);
    }
    const __m256i low01 = _mm256_unpacklo_epi32(four[0], four[1]),
                  low23 = _mm256_unpacklo_epi32(four[2], four[3]);
    const __m256i high01 = _mm256_unpackhi_epi32(four[0], four[1]),
                  high23 = _mm256_unpackhi_epi32(four[2], four[3]);
    bytes[0] = _mm256_unpacklo_epi64(low01, low23);
    bytes[1] = _mm256_unpackhi_epi64(low01, low23);
    bytes[2] = _mm256_unpacklo_epi64(high01, high23);
    bytes[3] = _mm256_unpackhi_epi64(high01, high23);
  }
}

/// The other way.
template <std::size_t kElementBytes>
inline void join_bytes(const __m256i* bytes, std::byte* low, std::byte* high) noexcept {
  if constexpr (kElementBytes == 1) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(low), _mm256_castsi256_si128(bytes[0]));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(high), _mm256_extracti128_si256(bytes[0], 1));
  } else if constexpr (kElementBytes == 2) {
    const __m256i first = _mm256_unpacklo_epi8(bytes[0], bytes[1]);
    const __m256i second = _mm256_unpackhi_epi8(bytes[0], bytes[1]);
    store(low, _mm256_permute2x128_si256(first, second, 0x20));
    store(high, _mm256_permute2x128_si256(first, second, 0x31));
  } else {
    const __m256i low01 = _mm256_unpacklo_epi8(bytes[0], bytes[1]),
                  low23 = _mm256_unpacklo_epi8(bytes[2], bytes[3]);
    const __m256i high01 = _mm256_unpackhi_epi8(bytes[0], bytes[1]),
                  high23 = _mm256_unpackhi_epi8(bytes[2], bytes[3]);
    const __m256i four[4] = {_mm256_unpacklo_epi16(low01, low23), _mm256_unpackhi_epi16(low01, low23),
                             _mm256_unpacklo_epi16(high01, high23), _mm256_unpackhi_epi16(high01, high23)};
    for (const std::size_t part : {0, 1}) {
      store(low + 32 * part, _mm256_permute2x128_si256(four[2 * part], four[2 * part + 1], 0x20));
      store(high + 32 * part, _mm256_permute2x128_si256(four[2 * part], four[2 * part + 1], 0x31));
    }
  }
}

}  // namespace

template <std::size_t kElementBytes>
std::size_t bitshuffle_chunks(const std::byte* in, std::size_t elements, std::byte* out) noexcept {
  const std::size_t row_bytes = elements / 8, half = kChunkElements / 2 * kElementBytes;
  std::size_t e = 0;
  for (; e + kChunkElements <= elements; e += kChunkElements) {
    Vectors planes[kElementBytes];
    for (std::size_t v = 0; v < 8; ++v) {
      const std::byte* const at = in + (e + 16 * v) * kElementBytes;
      __m256i bytes[kElementBytes];
      split_bytes<kElementBytes>(at, at + half, bytes);
      for (std::size_t b = 0; b < kElementBytes; ++b) planes[b].v[v] = bytes[b];
    }
    for (std::size_t b = 0; b < kElementBytes; ++b) {
      Vectors rows = plane_to_columns(planes[b]);
      turn_bits(rows);
      for (std::size_t i = 0; i < 8; ++i) store(out + (8 * b + i) * row_bytes + e / 8, rows.v[i]);
    }
  }
  return e;
}

template <std::size_t kElementBytes>
std::size_t bitunshuffle_chunks(const std::byte* in, std::size_t elements, std::byte* out) noexcept {
  const std::size_t row_bytes = elements / 8, half = kChunkElements / 2 * kElementBytes;
  std::size_t e = 0;
  for (; e + kChunkElements <= elements; e += kChunkElements) {
    Vectors planes[kElementBytes];
    for (std::size_t b = 0; b < kElementBytes; ++b) {
      Vectors columns;
      for (std::size_t i = 0; i < 8; ++i) columns.v[i] = load(in + (8 * b + i) * row_bytes + e / 8);
      turn_bits(columns);
      planes[b] = columns_to_plane(columns);
    }
    for (std::size_t v = 0; v < 8; ++v) {
      std::byte* const at = out + (e + 16 * v) * kElementBytes;
      __m256i bytes[kElementBytes];
      for (std::size_t b = 0; b < kElementBytes; ++b) bytes[b] = planes[b].v[v];
      join_bytes<kElementBytes>(bytes, at, at + half);
    }
  }
  return e;
}

template std::size_t bitshuffle_chunks<1>(const std::byte*, std::size_t, std::byte*) noexcept;
template std::size_t bitshuffle_chunks<2>(const std::byte*, std::size_t, std::byte*) noexcept;
template std::size_t bitshuffle_chunks<4>(const std::byte*, std::size_t, std::byte*) noexcept;
template std::size_t bitunshuffle_chunks<1>(const std::byte*, std::size_t, std::byte*) noexcept;
template std::size_t bitunshuffle_chunks<2>(const std::byte*, std::size_t, std::byte*) noexcept;
template std::size_t bitunshuffle_chunks<4>(const std::byte*, std::size_t, std::byte*) noexcept;

}  // namespace ff::kernels::avx2

#pragma GCC pop_options
#endif
