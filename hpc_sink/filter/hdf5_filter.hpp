// SPDX-License-Identifier: Apache-2.0
//
// The HDF5 filter: chunks of the compact layout for every program that reads or writes HDF5.
//
// Data path  HDF5 file > [filter] > h5py, h5repack, ...;  the plug-in is filter_plugin.cpp with this behind it
// Parameters (cd_values), identifier and error messages: docs/formats/hdf5_filter.md
// Never throws into HDF5, never logs. Any thread.
#pragma once

#include <array>
#include <cstdint>
#include <hdf5.h>
#include <span>

#include "common/base/result.hpp"
#include "hpc_sink/filter/chunk_codec.hpp"

namespace ff::sink {

inline constexpr H5Z_filter_t kForeframeFilter = 57687;
inline constexpr std::size_t kFilterValues = 8;
using FilterValues = std::array<unsigned, kFilterValues>;

/// What the parameters of a dataset say.
struct FilterParameters {
  kernels::Profile profile = kernels::Profile::automatic;
  ChunkShape shape;
  std::uint64_t fill = 0;
};

/// For who makes datasets without the filter being registered. Precondition: check_chunk_shape(shape) is ok.
[[nodiscard]] FilterValues filter_values(const FilterParameters& parameters) noexcept;
/// Errors: unsupported_version, malformed (too few), and those of check_chunk_shape.
[[nodiscard]] Result<FilterParameters> parse_filter_values(std::span<const unsigned> values);

/// What the filter of this process did so far.
struct FilterCounts {
  std::uint64_t decoded = 0;   ///< chunks
  std::uint64_t repeated = 0;  ///< chunks that were decoded before and came from the cache
  std::uint64_t coded = 0;     ///< chunks
};
[[nodiscard]] FilterCounts filter_counts() noexcept;

/// Gives back the decoded chunks that are kept: for programs that have read what they wanted.
void empty_filter_cache();

/// For the plug-in, and for programs that are linked to HDF5: H5Zregister(&filter_class()).
[[nodiscard]] const H5Z_class2_t& filter_class() noexcept;

}  // namespace ff::sink
