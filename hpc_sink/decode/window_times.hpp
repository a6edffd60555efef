// SPDX-License-Identifier: Apache-2.0
//
// Times of a window's frames, unpacked from a Window record (first absolute, then differences).
#pragma once

#include <vector>

#include "hpc_sink/decode/finished_window.hpp"

namespace ff::sink {

/// One entry per grid position of `window`; kNoTime where the record says nothing. Sums wrap, so hostile
/// differences give nonsense times and no undefined behaviour.
[[nodiscard]] std::vector<FrameTimes> unpack_times(const foreframe::wire::Window& window);

}  // namespace ff::sink
