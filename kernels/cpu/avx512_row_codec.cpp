// SPDX-License-Identifier: Apache-2.0
//
// RowCodec: 8-bit pixels are widened to 16-bit levels and back, by a table of byte pairs where they are not the same.
#include "kernels/cpu/avx512_row_codec.hpp"

#include <numeric>

#include "kernels/cpu/avx512_levels.hpp"

// From here on this file's own functions are compiled for AVX-512; what the headers above define is not.
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,bmi2,popcnt")

namespace ff::kernels::cpu::avx512 {
namespace {

using Vector = __m512i;

// 256 bytes as 128 words.
struct WordTable {
  Vector a, b, c, d;

  explicit WordTable(const RowCodec::ByteTable& bytes) noexcept
      : a(_mm512_loadu_si512(&bytes[0])),
        b(_mm512_loadu_si512(&bytes[64])),
        c(_mm512_loadu_si512(&bytes[128])),
        d(_mm512_loadu_si512(&bytes[192])) {}

  // Words of 0 ... 255.
  [[nodiscard]] Vector at(Vector index) const noexcept {
    const Vector pair = _mm512_srli_epi16(index, 1);
    const Vector low = _mm512_permutex2var_epi16(a, pair, b), high = _mm512_permutex2var_epi16(c, pair, d);
    const Vector words = _mm512_mask_mov_epi16(low, _mm512_test_epi16_mask(index, set16(128)), high);
    const Vector shift = _mm512_slli_epi16(_mm512_and_si512(index, set16(1)), 3);
    return _mm512_and_si512(_mm512_srlv_epi16(words, shift), set16(255));
  }
};

// The table of a map that changes nothing.
struct NoTable {
  [[nodiscard]] Vector at(Vector words) const noexcept { return words; }
};

template <typename Table>
void widen_row(const std::byte* pixels, std::size_t count, std::uint16_t* levels,
               const Table& table) noexcept {
  for (std::size_t i = 0; i < count; i += 32) {
    const __mmask32 valid = tail_mask(count - i);
    const Vector bytes = _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(valid, pixels + i));
    _mm512_mask_storeu_epi16(levels + i, valid, table.at(bytes));
  }
}

// Levels above 255, which no encoder writes, count modulo 256.
template <typename Table>
void narrow_row(const std::uint16_t* levels, std::size_t count, std::byte* pixels,
                const Table& table) noexcept {
  for (std::size_t i = 0; i < count; i += 32) {
    const __mmask32 valid = tail_mask(count - i);
    const Vector words = _mm512_and_si512(_mm512_maskz_loadu_epi16(valid, levels + i), set16(255));
    _mm256_mask_storeu_epi8(pixels + i, valid, _mm512_cvtepi16_epi8(table.at(words)));
  }
}

}  // namespace

RowCodec::RowCodec(const LevelCodec& codec, Dtype dtype) : codec_(codec), bytes_(dtype_bytes(dtype) == 1) {
  if (!bytes_ || codec.identity()) return;
  std::array<std::uint16_t, 256> levels{};
  ByteTable all{};
  std::iota(all.begin(), all.end(), std::uint8_t{0});
  codec.levels_of_row(reinterpret_cast<const std::byte*>(all.data()), all.size(), levels.data());
  for (std::size_t i = 0; i < levels.size(); ++i) level_of_[i] = static_cast<std::uint8_t>(levels[i]);
  std::iota(levels.begin(), levels.end(), std::uint16_t{0});
  codec.values_of_row(levels.data(), levels.size(), reinterpret_cast<std::byte*>(pixel_of_.data()));
}

void RowCodec::levels_of_row(const std::byte* pixels, std::size_t count,
                             std::uint16_t* levels) const noexcept {
  if (!bytes_) {
    codec_.levels_of_row(pixels, count, levels);
  } else if (identity()) {
    widen_row(pixels, count, levels, NoTable{});
  } else {
    widen_row(pixels, count, levels, WordTable(level_of_));
  }
}

void RowCodec::values_of_row(const std::uint16_t* levels, std::size_t count,
                             std::byte* pixels) const noexcept {
  if (!bytes_) {
    codec_.values_of_row(levels, count, pixels);
  } else if (identity()) {
    narrow_row(levels, count, pixels, NoTable{});
  } else {
    narrow_row(levels, count, pixels, WordTable(pixel_of_));
  }
}

}  // namespace ff::kernels::cpu::avx512

#pragma GCC pop_options
