// SPDX-License-Identifier: Apache-2.0
//
// Mask planning: candidates come from the first frame, the other frames can only take away.
#include "kernels/reference/plan_mask.hpp"

#include <algorithm>
#include <array>

#include "kernels/format/level_map.hpp"

namespace ff::kernels::reference {
namespace {

// Values that mean "no count" on the detectors we know, beside those that the operator has declared.
std::vector<std::int64_t> candidate_values(const FrameShape& tile, const EncodeOptions& options) {
  std::vector<std::int64_t> values(options.sentinels.begin(), options.sentinels.end());
  const auto add = [&](std::int64_t value) {
    if (std::ranges::find(values, value) == values.end()) values.push_back(value);
  };
  if (dtype_is_signed(tile.dtype)) {
    add(-1);
    add(-2);
  } else {
    add(value_range(tile.dtype).high);
  }
  return values;
}

// A run of masked pixels in one row.
struct MaskedRun {
  std::uint32_t row = 0, first = 0, last = 0;
};

std::vector<MaskedRun> masked_runs(const MaskMap& mask, const FrameShape& tile) {
  std::vector<MaskedRun> runs;
  const std::uint8_t* classes = mask.classes.data();
  for (std::uint32_t row = 0; row < tile.rows; ++row, classes += tile.cols) {
    for (std::uint32_t col = 0; col < tile.cols;) {
      while (col + 8 <= tile.cols && load_le<std::uint64_t>(classes + col) == 0) col += 8;
      while (col < tile.cols && classes[col] == 0) ++col;
      const std::uint32_t first = col;
      while (col < tile.cols && classes[col] != 0) ++col;
      if (col != first) runs.push_back({row, first, col});
    }
  }
  return runs;
}

// Unmasks pixels that do not hold their values in a frame; true where there were any.
template <typename Pixel>
bool drop_deviating(const FrameView& frame, const std::vector<MaskedRun>& runs, MaskMap& mask) {
  std::array<Pixel, kMaskValuesMax + 1> values{};
  for (std::size_t c = 0; c < mask.values.size(); ++c) values[c + 1] = static_cast<Pixel>(mask.values[c]);
  bool changed = false;
  for (const MaskedRun& run : runs) {
    std::uint8_t* classes = mask.classes.data() + std::size_t{run.row} * frame.shape.cols;
    const std::byte* pixels = frame.row(run.row);
    for (std::uint32_t col = run.first; col < run.last; ++col) {
      const bool holds = load_le<Pixel>(pixels + col * sizeof(Pixel)) == values[classes[col]];
      if (holds || classes[col] == 0) continue;
      classes[col] = 0;
      changed = true;
    }
  }
  return changed;
}

// Which pixels of the first frame have a candidate value, or are declared masked with any value.
template <typename Pixel>
void find_candidates(const FrameView& frame, const EncodeOptions& options, MaskMap& mask) {
  const std::size_t fixed = mask.values.size();
  std::size_t p = 0;
  for (std::uint32_t row = 0; row < frame.shape.rows; ++row) {
    const std::byte* pixels = frame.row(row);
    for (std::uint32_t col = 0; col < frame.shape.cols; ++col, ++p) {
      const Pixel pixel = load_le<Pixel>(pixels + col * sizeof(Pixel));
      std::uint8_t found = 0;
      for (std::size_t c = 0; c < fixed; ++c)
        found = pixel == static_cast<Pixel>(mask.values[c]) ? static_cast<std::uint8_t>(c + 1) : found;
      mask.classes[p] = found;
      if (found != 0 || options.mask.empty() || options.mask[p] == 0) continue;
      const auto value = static_cast<std::int64_t>(pixel);
      const auto known = std::ranges::find(mask.values, value);
      if (known == mask.values.end() && mask.values.size() == kMaskValuesMax) continue;
      mask.classes[p] = static_cast<std::uint8_t>(known - mask.values.begin() + 1);
      if (known == mask.values.end()) mask.values.push_back(value);
    }
  }
}

template <typename Pixel>
std::shared_ptr<const MaskMap> plan_typed(const FrameShape& tile, GroupFrames frames,
                                          const EncodeOptions& options,
                                          const std::shared_ptr<const MaskMap>& previous, bool rebuild) {
  if (previous != nullptr) {
    MaskMap kept = *previous;
    bool changed = false;
    const auto runs = masked_runs(kept, tile);
    for (const FrameView& frame : frames) changed = drop_deviating<Pixel>(frame, runs, kept) || changed;
    if (!changed) return previous;
    if (!rebuild) return std::make_shared<const MaskMap>(std::move(kept));
  } else if (!rebuild) {
    return nullptr;
  }
  MaskMap mask;
  mask.values = candidate_values(tile, options);
  mask.classes.assign(tile.pixels(), 0);
  find_candidates<Pixel>(frames.front(), options, mask);
  const auto runs = masked_runs(mask, tile);
  for (const FrameView& frame : frames.subspan(1)) drop_deviating<Pixel>(frame, runs, mask);
  const bool any = std::ranges::any_of(mask.classes, [](std::uint8_t c) { return c != 0; });
  return any ? std::make_shared<const MaskMap>(std::move(mask)) : nullptr;
}

}  // namespace

std::vector<std::uint32_t> plan_exact_pixels(const EncodeOptions& options, const MaskMap* mask) {
  std::vector<std::uint32_t> pixels;
  for (std::size_t p = 0; options.bound && p < options.mask.size(); ++p) {
    if (options.mask[p] != 0 && (mask == nullptr || mask->classes[p] == 0))
      pixels.push_back(static_cast<std::uint32_t>(p));
  }
  return pixels;
}

std::shared_ptr<const MaskMap> plan_mask(const FrameShape& tile, GroupFrames frames,
                                         const EncodeOptions& options,
                                         const std::shared_ptr<const MaskMap>& previous, bool rebuild) {
  switch (tile.dtype) {
    case Dtype::u8: return plan_typed<std::uint8_t>(tile, frames, options, previous, rebuild);
    case Dtype::i8: return plan_typed<std::int8_t>(tile, frames, options, previous, rebuild);
    case Dtype::u16: return plan_typed<std::uint16_t>(tile, frames, options, previous, rebuild);
    case Dtype::i16: return plan_typed<std::int16_t>(tile, frames, options, previous, rebuild);
    case Dtype::u32: return plan_typed<std::uint32_t>(tile, frames, options, previous, rebuild);
    case Dtype::i32: return plan_typed<std::int32_t>(tile, frames, options, previous, rebuild);
    case Dtype::f16:
    case Dtype::f32: break;
  }
  return nullptr;
}

}  // namespace ff::kernels::reference
