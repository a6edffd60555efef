// SPDX-License-Identifier: Apache-2.0
//
// generic_codec.inl compiled for any processor.
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

namespace ff::kernels::cpu::generic {

#include "kernels/cpu/generic_codec.inl"
}  // namespace ff::kernels::cpu::generic
