// SPDX-License-Identifier: Apache-2.0
//
// generic_codec.inl compiled for any processor.
#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>
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

namespace ff::kernels::cpu::generic {

// Each stands on the ones before.
// clang-format off
#include "kernels/cpu/lane_tables.inl"
#include "kernels/cpu/generic_lanes.inl"
#include "kernels/cpu/generic_mix.inl"
#include "kernels/cpu/generic_codec.inl"
// clang-format on
}  // namespace ff::kernels::cpu::generic
