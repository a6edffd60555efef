// SPDX-License-Identifier: Apache-2.0
//
// Mask planning: candidates come from the first frame, the other frames can only take away.
#include "kernels/reference/plan_mask.hpp"

#include <algorithm>
#include <array>
#include <cstring>

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

// What masked pixels hold, run after run, so that whole runs are compared at once.
template <typename Pixel>
std::vector<Pixel> masked_pixels(const MaskMap& mask, const std::vector<MaskedRun>& runs,
                                 const FrameShape& tile) {
  std::array<Pixel, kMaskValuesMax + 1> values{};
  for (std::size_t c = 0; c < mask.values.size(); ++c) values[c + 1] = static_cast<Pixel>(mask.values[c]);
  std::vector<Pixel> pixels;
  for (const MaskedRun& run : runs) {
    const std::uint8_t* classes = mask.classes.data() + std::size_t{run.row} * tile.cols;
    for (std::uint32_t col = run.first; col < run.last; ++col) {
      Pixel pixel = values[classes[col]];
      store_le(reinterpret_cast<std::byte*>(&pixel), pixel);
      pixels.push_back(pixel);
    }
  }
  return pixels;
}

template <typename Pixel>
bool all_hold(GroupFrames frames, const FrameShape& tile, const MaskMap& mask) {
  const std::vector<MaskedRun> runs = masked_runs(mask, tile);
  const std::vector<Pixel> expected = masked_pixels<Pixel>(mask, runs, tile);
  return std::ranges::all_of(frames, [&](const FrameView& frame) {
    const Pixel* held = expected.data();
    return std::ranges::all_of(runs, [&](const MaskedRun& run) {
      const std::size_t count = run.last - run.first;
      const std::byte* pixels = frame.row(run.row) + run.first * sizeof(Pixel);
      held += count;
      return std::memcmp(pixels, held - count, count * sizeof(Pixel)) == 0;
    });
  });
}

// Unmasks pixels that do not hold their values in some frame.
template <typename Pixel>
void drop_deviating(GroupFrames frames, const FrameShape& tile, MaskMap& mask) {
  const std::vector<MaskedRun> runs = masked_runs(mask, tile);
  const std::vector<Pixel> expected = masked_pixels<Pixel>(mask, runs, tile);
  for (const FrameView& frame : frames) {
    const Pixel* held = expected.data();
    for (const MaskedRun& run : runs) {
      const std::size_t count = run.last - run.first;
      const std::byte* pixels = frame.row(run.row) + run.first * sizeof(Pixel);
      std::uint8_t* classes = mask.classes.data() + std::size_t{run.row} * tile.cols + run.first;
      const bool run_holds = std::memcmp(pixels, held, count * sizeof(Pixel)) == 0;
      for (std::size_t i = 0; i < count && !run_holds; ++i) {
        const bool holds = std::memcmp(pixels + i * sizeof(Pixel), held + i, sizeof(Pixel)) == 0;
        if (!holds) classes[i] = 0;
      }
      held += count;
    }
  }
}

// Masks what is declared masked and has no candidate's value, while there is room for its values.
template <typename Pixel>
void mask_declared(const FrameView& frame, const EncodeOptions& options, MaskMap& mask) {
  for (std::size_t p = 0; p < options.mask.size(); ++p) {
    if (options.mask[p] == 0 || mask.classes[p] != 0) continue;
    const auto row = static_cast<std::uint32_t>(p / frame.shape.cols);
    const auto value =
        static_cast<std::int64_t>(load_le<Pixel>(frame.row(row) + p % frame.shape.cols * sizeof(Pixel)));
    const auto known = std::ranges::find(mask.values, value);
    if (known == mask.values.end() && mask.values.size() == kMaskValuesMax) continue;
    mask.classes[p] = static_cast<std::uint8_t>(known - mask.values.begin() + 1);
    if (known == mask.values.end()) mask.values.push_back(value);
  }
}

// Which pixels of the first frame have a candidate value, or are declared masked with any value.
template <typename Pixel>
void find_candidates(const FrameView& frame, const EncodeOptions& options, MaskMap& mask) {
  for (std::size_t c = 0; c < mask.values.size(); ++c) {
    const auto value = static_cast<Pixel>(mask.values[c]);
    const auto found = static_cast<std::uint8_t>(c + 1);
    for (std::uint32_t row = 0; row < frame.shape.rows; ++row) {
      const std::byte* pixels = frame.row(row);
      std::uint8_t* classes = mask.classes.data() + std::size_t{row} * frame.shape.cols;
      for (std::size_t col = 0; col < frame.shape.cols; ++col) {
        const bool holds = load_le<Pixel>(pixels + col * sizeof(Pixel)) == value;
        classes[col] = holds ? found : classes[col];
      }
    }
  }
  mask_declared<Pixel>(frame, options, mask);
}

template <typename Pixel>
std::shared_ptr<const MaskMap> plan_typed(const FrameShape& tile, GroupFrames frames,
                                          const EncodeOptions& options,
                                          const std::shared_ptr<const MaskMap>& previous, bool rebuild) {
  if (previous != nullptr) {
    if (all_hold<Pixel>(frames, tile, *previous)) return previous;
    MaskMap kept = *previous;
    drop_deviating<Pixel>(frames, tile, kept);
    if (!rebuild) return std::make_shared<const MaskMap>(std::move(kept));
  } else if (!rebuild) {
    return nullptr;
  }
  MaskMap mask;
  mask.values = candidate_values(tile, options);
  mask.classes.assign(tile.pixels(), 0);
  find_candidates<Pixel>(frames.front(), options, mask);
  drop_deviating<Pixel>(frames.subspan(1), tile, mask);
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
