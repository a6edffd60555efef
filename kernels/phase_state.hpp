// SPDX-License-Identifier: Apache-2.0
//
// PhaseState: what encoder and decoder remember of a tile between two frames of the model `phases`.
//
// Data path  window > [plan > encode] ... [decode] > store
// Meaning    docs/formats/block.md §6.6: five 15-bit planes for each of the four phases of level 1. Every device
//            keeps this layout, so that a tile may change its device between two groups.
// Not here   the arithmetic (kernels/reference/phases.hpp, kernels/cpu/).
#pragma once

#include <array>
#include <cstdint>
#include <new>
#include <vector>

#include "kernels/format/phase_mix.hpp"

namespace ff::kernels {

/// Memory that starts on a cache line, so that a vector never lies across two.
template <typename T>
struct LineAllocator {
  using value_type = T;
  static constexpr std::align_val_t kLine{64};

  LineAllocator() = default;
  template <typename U>
  LineAllocator(const LineAllocator<U>&) noexcept {}
  [[nodiscard]] T* allocate(std::size_t count) {
    return static_cast<T*>(::operator new(count * sizeof(T), kLine));
  }
  void deallocate(T* memory, std::size_t) noexcept { ::operator delete(memory, kLine); }
  friend bool operator==(const LineAllocator&, const LineAllocator&) noexcept { return true; }
};

using LineVector = std::vector<std::uint16_t, LineAllocator<std::uint16_t>>;

/// A plane whose rows have room around them: two elements before the first and at least two behind the last may
/// be read and written (borders), and a vector may be read from any of them. Rows start on 64 bytes. Elements outside
/// [0, cols) are no part of the state.
class PaddedPlane {
 public:
  static constexpr std::size_t kBorder = 2, kVector = 32;

  PaddedPlane() = default;
  PaddedPlane(std::uint32_t rows, std::uint32_t cols)
      : rows_(rows),
        cols_(cols),
        stride_((cols + 2 * kBorder + kVector - 1) / kVector * kVector),
        cells_(stride_ * rows + 2 * kVector, 0) {}

  [[nodiscard]] std::uint16_t* row(std::uint32_t y) noexcept { return cells_.data() + kVector + y * stride_; }
  [[nodiscard]] const std::uint16_t* row(std::uint32_t y) const noexcept {
    return cells_.data() + kVector + y * stride_;
  }
  [[nodiscard]] std::uint32_t rows() const noexcept { return rows_; }
  [[nodiscard]] std::uint32_t cols() const noexcept { return cols_; }
  [[nodiscard]] std::size_t stride() const noexcept { return stride_; }
  [[nodiscard]] static std::size_t bytes(std::uint32_t rows, std::uint32_t cols) noexcept {
    return 2 * ((cols + 2 * kBorder + kVector - 1) / kVector * kVector * rows + 2 * kVector);
  }

 private:
  std::uint32_t rows_ = 0, cols_ = 0;
  std::size_t stride_ = 0;
  LineVector cells_;
};

/// State of one phase of level 1; all 0 ... 32767.
struct PhasePlaneState {
  PaddedPlane mean;   ///< running mean
  PaddedPlane fast;   ///< running mean of the last few frames
  PaddedPlane last;   ///< the frame before
  PaddedPlane scale;  ///< running mean of |seen - expected|
  PaddedPlane next;   ///< the present frame while it is coded; becomes `last`
};

struct PhaseState {
  PhaseState(std::uint32_t rows, std::uint32_t cols, const PhaseSetup& setup);

  std::array<PhasePlaneState, kPhases> planes;
  FrameMix last_mixes;  ///< of frames with a past, in coding order; empty optionals: none yet
};

[[nodiscard]] std::size_t phase_state_bytes(std::uint32_t rows, std::uint32_t cols) noexcept;

}  // namespace ff::kernels
