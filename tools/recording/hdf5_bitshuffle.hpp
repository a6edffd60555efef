// SPDX-License-Identifier: Apache-2.0
//
// HDF5 filter 32008 (bitshuffle + LZ4) inside this process, through kernels/interop/bslz4: detector files can
// be read and written without installing the public plug-in.
//
// Where that plug-in is installed it is used instead, because it also reads bitshuffle + zstd.
#pragma once

#include "common/base/frame_view.hpp"
#include "common/base/result.hpp"

namespace ff::tools {

inline constexpr int kBitshuffleFilter = 32008;

/// Makes filter 32008 available to the HDF5 library; cheap to call again. Not thread-safe, as HDF5 itself.
[[nodiscard]] Status ensure_bitshuffle_filter();

/// The same for Foreframe's own filter (hpc_sink/filter/).
[[nodiscard]] Status ensure_foreframe_filter();

/// The five numbers that the filter keeps with a dataset: version, version, element bytes, block size, LZ4.
struct BitshuffleParameters {
  unsigned values[5];
};
[[nodiscard]] BitshuffleParameters bitshuffle_parameters(Dtype dtype) noexcept;

}  // namespace ff::tools
