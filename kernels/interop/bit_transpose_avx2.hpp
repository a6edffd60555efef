// SPDX-License-Identifier: Apache-2.0
//
// Bit transposition of whole chunks with AVX2; what it leaves, and other processors, are bit_transpose.cpp's,
// which also asks whether this one has AVX2.
#pragma once

#include <cstddef>

namespace ff::kernels::avx2 {

/// Transposes the first elements, whole chunks of 256, of `elements` (a multiple of 8, of 1, 2 or 4 bytes each) and
/// returns how many these were. Reads and writes only what lies inside `elements`.
template <std::size_t kElementBytes>
std::size_t bitshuffle_chunks(const std::byte* in, std::size_t elements, std::byte* out) noexcept;
template <std::size_t kElementBytes>
std::size_t bitunshuffle_chunks(const std::byte* in, std::size_t elements, std::byte* out) noexcept;

}  // namespace ff::kernels::avx2
