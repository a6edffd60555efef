// SPDX-License-Identifier: Apache-2.0
//
// The bodies of the CPU codec, one namespace per instruction set, and what they share.
//
// Data path  window > plan > [encode] > envelope > ... > [decode] > store
// Meaning    kernels/cpu/codec_cpu.hpp, which alone is for the rest of kernels/.
// Not here   which one runs (codec_cpu.cpp).
#pragma once

#include "common/base/bytes.hpp"
#include "kernels/model_coder.hpp"

#define FF_CPU_PATH(name)                                                                              \
  namespace name {                                                                                     \
  EncodeStreams encode_smooth, encode_phases, encode_cells;                                            \
  DecodeStreams decode_smooth, decode_phases, decode_cells;                                            \
  inline constexpr ModelCoders kCoders{                                                                \
      {{encode_smooth, decode_smooth}, {encode_phases, decode_phases}, {encode_cells, decode_cells}}}; \
  }

namespace ff::kernels::cpu {

FF_CPU_PATH(generic)  ///< any processor
#if defined(__x86_64__)
FF_CPU_PATH(avx2)    ///< the same source, compiled for AVX2
FF_CPU_PATH(avx512)  ///< levels 32 to a register, or 16 where they have 32 bits
#endif

/// Calls code(level), a level of the type that the loops of this group work on; its value says nothing.
template <typename Code>
auto with_level_type(const TileState::Body& body, Code&& code) {
  return body.predictor->setup.levels.level_bits == 32 ? code(std::uint32_t{}) : code(std::uint16_t{});
}

/// Masked pixels of a row get their values. One loop a value, so that it becomes vectors.
template <typename Pixel>
void write_masked_as(const MaskMap& mask, const std::uint8_t* classes, std::size_t cols,
                     std::byte* pixels) noexcept {
  for (std::size_t c = 0; c < mask.values.size(); ++c) {
    const auto value = static_cast<Pixel>(mask.values[c]);
    for (std::size_t col = 0; col < cols; ++col) {
      const Pixel now = load_le<Pixel>(pixels + col * sizeof(Pixel));
      store_le(pixels + col * sizeof(Pixel), classes[col] == c + 1 ? value : now);
    }
  }
}

inline void write_masked(const PredictorState& state, std::uint32_t row,
                         const MutableFrameView& frame) noexcept {
  if (state.mask == nullptr) return;
  const std::size_t cols = frame.shape.cols;
  const std::uint8_t* classes = &state.mask->classes[row * cols];
  switch (dtype_bytes(frame.shape.dtype)) {
    case 1: write_masked_as<std::uint8_t>(*state.mask, classes, cols, frame.row(row)); break;
    case 2: write_masked_as<std::uint16_t>(*state.mask, classes, cols, frame.row(row)); break;
    default: write_masked_as<std::uint32_t>(*state.mask, classes, cols, frame.row(row)); break;
  }
}

/// One decoded row: levels to pixels, and masked pixels to their values.
template <typename Level>
void write_row(const PredictorState& state, const Level* levels, std::uint32_t row,
               const MutableFrameView& frame) noexcept {
  state.codec.values_of_row(levels, frame.shape.cols, frame.row(row));
  write_masked(state, row, frame);
}

}  // namespace ff::kernels::cpu

#undef FF_CPU_PATH
