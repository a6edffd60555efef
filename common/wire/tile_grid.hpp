// SPDX-License-Identifier: Apache-2.0
//
// TileGrid: the fixed rectangles into which a stream's frame is cut, from the geometry in every record.
#pragma once

#include <cstdint>

#include "common/base/frame_view.hpp"
#include "common/base/result.hpp"
#include "common/wire/records.pb.h"

namespace ff::wire {

/// Checks a geometry from the wire: known dtype, 1 ... 65536 rows and columns, frame at most 1 GiB,
/// tiles of at most 2^20 pixels and at most 65536 of them, placement inside the detector.
[[nodiscard]] Status check_geometry(const foreframe::wire::StreamGeometry& geometry);

class TileGrid {
 public:
  /// Precondition: check_geometry(geometry) is ok.
  explicit TileGrid(const foreframe::wire::StreamGeometry& geometry) noexcept;

  [[nodiscard]] std::uint32_t count() const noexcept { return down_ * across_; }
  /// Rectangle of tile `index` (row-major, edge tiles smaller). Precondition: index < count().
  [[nodiscard]] TileRect rect(std::uint32_t index) const noexcept;
  [[nodiscard]] const FrameShape& frame() const noexcept { return frame_; }
  [[nodiscard]] FrameShape tile_shape(std::uint32_t index) const noexcept;

 private:
  FrameShape frame_;
  std::uint32_t tile_rows_, tile_cols_, down_, across_;
};

}  // namespace ff::wire
