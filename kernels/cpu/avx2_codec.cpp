// SPDX-License-Identifier: Apache-2.0
//
// generic_codec.inl compiled for AVX2.
#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "kernels/cpu/cpu_paths.hpp"
#include "kernels/cpu/phase_levels.hpp"
#include "kernels/format/cell_values.hpp"
#include "kernels/format/frequencies.hpp"
#include "kernels/format/phase_root.hpp"

// From here on this file's own functions are compiled for AVX2; what the headers above define is not.
#pragma GCC push_options
#pragma GCC target("avx2,bmi2,popcnt")
namespace ff::kernels::cpu::avx2 {

#include "kernels/cpu/generic_codec.inl"
}  // namespace ff::kernels::cpu::avx2

#pragma GCC pop_options
