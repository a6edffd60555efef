// SPDX-License-Identifier: Apache-2.0
//
// generic_codec.inl compiled for AVX2, with lanes and sums of its own.
#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <immintrin.h>
#include <memory>
#include <type_traits>

#include "kernels/cpu/cpu_paths.hpp"
#include "kernels/cpu/mix_rows.hpp"
#include "kernels/cpu/phase_levels.hpp"
#include "kernels/cpu/reciprocals.hpp"
#include "kernels/cpu/scratch.hpp"
#include "kernels/format/cell_values.hpp"
#include "kernels/format/frequencies.hpp"
#include "kernels/format/phase_root.hpp"

// From here on this file's own functions are compiled for AVX2; what the headers above define is not.
#pragma GCC push_options
#pragma GCC target("avx2,bmi2,popcnt")
namespace ff::kernels::cpu::avx2 {

// Each stands on the ones before.
// clang-format off
#include "kernels/cpu/lane_tables.inl"
#include "kernels/cpu/avx2_lane_words.inl"
#include "kernels/cpu/avx2_encode_lanes.inl"
#include "kernels/cpu/avx2_decode_lanes.inl"
#include "kernels/cpu/avx2_mix.inl"
#include "kernels/cpu/generic_codec.inl"
// clang-format on
}  // namespace ff::kernels::cpu::avx2

#pragma GCC pop_options
