// SPDX-License-Identifier: Apache-2.0
//
// VirtualLayout: which frames of a virtual dataset lie where in the data files, in as few mappings as
// possible.
//
// Data path  catalogue > [virtual layout] > master file
// A partition's file holds every P-th window: runs of W frames at a stride of P*W, which HDF5 can take as one
// mapping. A reader's time to open and to seek grows with the number of mappings.
// Pure; cost linear in frames.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hpc_sink/store/catalogue.hpp"

namespace ff::sink {

/// `count` runs of `length` frames: run i is file rows [row + i*length, ...) and frames [frame + i*stride,
/// ...).
struct VirtualMapping {
  std::string file;
  std::uint64_t file_rows = 0;  ///< all rows of the file's dataset
  std::uint64_t row = 0, frame = 0, length = 0, stride = 0, count = 0;
  friend bool operator==(const VirtualMapping&, const VirtualMapping&) = default;
};

/// Mappings for frames below `frames_expected`; a frame that is in two files is taken from the first.
[[nodiscard]] std::vector<VirtualMapping> plan_virtual_layout(const std::vector<FileRow>& files,
                                                              std::uint64_t frames_expected);

}  // namespace ff::sink
