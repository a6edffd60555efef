// SPDX-License-Identifier: Apache-2.0
//
// What stands beside the frames in an HDF5 file: metadata, per-frame tables, links. A conversion takes it along.
//
// Main thread only, as HDF5 itself.
#pragma once

#include <cstdint>
#include <hdf5.h>
#include <string>
#include <vector>

#include "common/base/result.hpp"

namespace ff::tools {

/// Copies all of `from` but the dataset `frames` into `to`: groups with their attributes, other datasets as they lie
/// in the file, soft and external links as links. Groups on the way to `frames` are made. Errors: io_error.
[[nodiscard]] Status copy_companions(hid_t from, hid_t to, const std::string& frames);
/// Attributes of one object to another; those that it has stay. Errors: io_error.
[[nodiscard]] Status copy_attributes(hid_t from, hid_t to);

/// The CRC-32C of each frame's pixels, which Foreframe's data files keep beside their frames; empty: the file has none.
[[nodiscard]] std::vector<std::uint32_t> stored_pixel_crcs(hid_t file, const std::string& frames,
                                                           std::uint64_t count);

}  // namespace ff::tools
