// SPDX-License-Identifier: Apache-2.0
//
// Real recordings for tests and benchmarks: NAME/NAME.json beside NAME/NAME.<dtype>.raw.zst, found through
// FF_DATA_DIR or ../shared/data beside the repository. An empty list where there are none.
#pragma once

#include <string>
#include <vector>

#include "common/base/frame_view.hpp"

namespace ff::tests {

struct Recording {
  std::string name;
  FrameShape shape;
  std::uint32_t frames = 0;
  std::vector<std::byte> pixels;

  [[nodiscard]] FrameView frame(std::size_t index) const {
    return dense_view(shape, pixels.data() + index * shape.bytes());
  }
};

/// Names in ascending order.
[[nodiscard]] std::vector<std::string> recording_names();
/// Reads and decompresses one recording; stops the test program if its files disagree.
[[nodiscard]] Recording load_recording(const std::string& name);

}  // namespace ff::tests
