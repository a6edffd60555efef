// SPDX-License-Identifier: Apache-2.0
//
// HDF5 filter 32008 (bitshuffle+LZ4), in this process: needed to declare it in files and to verify them.
//
// Data path  [store]; readers elsewhere use the public bitshuffle plug-in (hdf5plugin and others)
// Not here   the compressed bytes (kernels/interop/bslz4.hpp).
#pragma once

#include <array>
#include <cstddef>

#include "common/base/result.hpp"

namespace ff::sink {

inline constexpr int kBitshuffleFilter = 32008;

/// Parameters as the public plug-in stores them: its version 0.4, element bytes, block size 0 (automatic), 2
/// = LZ4.
[[nodiscard]] constexpr std::array<unsigned, 5> bitshuffle_parameters(std::size_t element_bytes) noexcept {
  return {0, 4, static_cast<unsigned>(element_bytes), 0, 2};
}

/// Registers the filter unless HDF5 has it already. Errors: io_error.
[[nodiscard]] Status register_bitshuffle_filter();

}  // namespace ff::sink
