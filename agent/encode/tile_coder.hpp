// SPDX-License-Identifier: Apache-2.0
//
// TileCoder: plans and codes the groups of one tile, one after another, and decides which of them are key
// groups. The agent's encode workers and `foreframe encode` both code through it.
//
// Data path  window > [plan > encode] > spool
// Windowing  static: only the first group of a window is a key group. dynamic:FACTOR: a group whose code length
//            per frame is more than FACTOR times the mean since the last key group (the scene has changed:
//            shutter, sample, beam) is coded a second time as a key group, and the smaller one is kept. Groups
//            and windows stay on their fixed grid; the decision looks at sizes only, so it is the same on every
//            device and with any number of threads.
// Not here   the arithmetic (kernels/codec.hpp), threads (encode_stage.hpp).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "kernels/codec.hpp"

namespace ff::agent {

struct Windowing {
  std::uint32_t factor_per_mille = 0;  ///< 0: static; else above 1000
  friend bool operator==(const Windowing&, const Windowing&) = default;
};

/// "static", or "dynamic:FACTOR" with FACTOR from 1.01 to 100. Errors: invalid_argument.
[[nodiscard]] Result<Windowing> parse_windowing(std::string_view text);

struct CodedGroup {
  std::size_t bytes = 0;
  bool key = false;                                     ///< as coded, which may be more than was asked for
  kernels::Device device = kernels::Device::reference;  ///< that did it
  std::string bound{};                                  ///< within which the pixels come back; empty: exactly
};

/// Memory: one TileState; while a group is coded twice also a second one and a block's bound. One thread at a
/// time.
class TileCoder {
 public:
  /// Errors: those of TileState::create.
  [[nodiscard]] static Result<TileCoder> create(const FrameShape& tile, Windowing windowing);

  /// Codes the next group into `out` (encoded_size_bound bytes or more) on `device`, or on the reference where
  /// the device can't. Errors: those of plan_group and encode_group; the next group must then be a key group.
  [[nodiscard]] Result<CodedGroup> encode(kernels::Device device, const kernels::GroupPlace& place,
                                          kernels::GroupFrames frames, const kernels::EncodeOptions& options,
                                          MutableByteSpan out);
  [[nodiscard]] const FrameShape& shape() const noexcept { return state_.shape(); }

 private:
  TileCoder(kernels::TileState state, Windowing windowing)
      : state_(std::move(state)), windowing_(windowing) {}
  [[nodiscard]] bool jumped(std::size_t bytes, std::size_t frames) const noexcept;
  void try_key(const kernels::GroupPlace& place, kernels::GroupFrames frames,
               const kernels::EncodeOptions& options, MutableByteSpan out, CodedGroup& coded);

  kernels::TileState state_;
  Windowing windowing_;
  std::uint64_t bytes_ = 0, frames_ = 0;  ///< coded since the last key group
};

}  // namespace ff::agent
