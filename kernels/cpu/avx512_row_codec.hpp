// SPDX-License-Identifier: Apache-2.0
//
// RowCodec: the level map for rows in AVX-512. A map of 8-bit pixels, whatever it does, is 256 bytes: four registers.
//
// Data path  window > [level map] > predict > context > token > lanes
// Meaning    docs/formats/block.md §5.2.
// Not here   maps of wider pixels (kernels/format/level_map.hpp, which also says what the 256 bytes are).
//
// Cost: making one maps 256 pixels and 256 levels. Include only from files compiled for AVX-512.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/format/level_map.hpp"

namespace ff::kernels::cpu::avx512 {

class RowCodec {
 public:
  using ByteTable = std::array<std::uint8_t, 256>;

  /// `codec` is referred to.
  RowCodec(const LevelCodec& codec, Dtype dtype);

  [[nodiscard]] bool identity() const noexcept { return codec_.identity(); }

  /// As LevelCodec's; all touch `count` pixels and levels, no more.
  void levels_of_row(const std::byte* pixels, std::size_t count, std::uint16_t* levels) const noexcept;
  void levels_of_row(const std::byte* pixels, std::size_t count, std::uint32_t* levels) const noexcept {
    codec_.levels_of_row(pixels, count, levels);
  }
  void values_of_row(const std::uint16_t* levels, std::size_t count, std::byte* pixels) const noexcept;
  void values_of_row(const std::uint32_t* levels, std::size_t count, std::byte* pixels) const noexcept {
    codec_.values_of_row(levels, count, pixels);
  }

 private:
  const LevelCodec& codec_;
  bool bytes_;
  alignas(64) ByteTable level_of_{}, pixel_of_{};
};

}  // namespace ff::kernels::cpu::avx512
