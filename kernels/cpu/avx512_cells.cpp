// SPDX-License-Identifier: Apache-2.0
//
// The model cells in AVX-512: rows by the compiler's vectors, lanes by the steps of avx512_steps.hpp.
#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "kernels/cpu/avx512_lanes.hpp"
#include "kernels/cpu/avx512_predict.hpp"
#include "kernels/cpu/avx512_steps.hpp"
#include "kernels/cpu/cpu_paths.hpp"
#include "kernels/format/cell_values.hpp"
#include "kernels/format/frequencies.hpp"

// From here on this file's own functions are compiled for AVX-512; what the headers above define is not.
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,bmi2,popcnt")

namespace ff::kernels::cpu::avx512 {

using CellSymbol = std::uint16_t;
using CellEntries = std::vector<std::uint32_t>;
using CellRowPredictor = RowPredictor;
struct CellStream;

namespace {

CellEntries cell_encoder_entries(const ContextTables& tables) { return encoder_entries(tables, 0); }

void put_cells(CellStream& stream, const std::uint16_t* symbols, const CellEntries& entries,
               unsigned bits) noexcept;
bool get_cells(CellStream& stream, const std::uint16_t* contexts, const std::uint32_t* entries, unsigned bits,
               std::uint16_t* tokens) noexcept;

}  // namespace

#include "kernels/cpu/cell_codec.inl"

namespace {

void put_cells(CellStream& stream, const std::uint16_t* symbols, const CellEntries& entries,
               unsigned bits) noexcept {
  for (const std::size_t half : {16u, 0u}) {
    const Half entry = _mm512_i32gather_epi32(load16(symbols + half), entries.data(), 4);
    const Half x = _mm512_load_si512(&stream.state[half]);
    _mm512_store_si512(&stream.state[half], put_token(x, entry, 0xffff, set32(bits), stream.out));
  }
}

bool get_cells(CellStream& stream, const std::uint16_t* contexts, const std::uint32_t* entries, unsigned bits,
               std::uint16_t* tokens) noexcept {
  __mmask16 valued = 0;
  for (const std::size_t half : {0u, 16u}) {
    const Half context = load16(contexts + half);
    const __mmask16 active = _mm512_testn_epi32_mask(context, set32(kInactive));
    const Half x = _mm512_load_si512(&stream.state[half]);
    const Decoded decoded = get_token(x, context, entries, active, set32(bits));
    _mm512_store_si512(&stream.state[half], refill(decoded.state, stream.in));
    const Half threes = _mm512_and_si512(decoded.token, _mm512_srli_epi32(decoded.token, 1));
    valued = static_cast<__mmask16>(valued | _mm512_test_epi32_mask(threes, set32(0x55)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(tokens + half), _mm512_cvtepi32_epi16(decoded.token));
  }
  return valued != 0;
}

}  // namespace

}  // namespace ff::kernels::cpu::avx512

#pragma GCC pop_options
