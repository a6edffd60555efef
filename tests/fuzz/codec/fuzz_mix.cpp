// SPDX-License-Identifier: Apache-2.0
//
// Fuzz target: the weights of a group's mixes. Weights that are accepted keep every sum in 32 bits, and are written
// and read again as the same.
#include "kernels/format/phase_mix.hpp"
#include "tests/fuzz/allocation_limit.hpp"
#include "tests/fuzz/codec/part_input.hpp"

namespace {

using namespace ff;
using namespace ff::fuzz;
using namespace ff::kernels;

constexpr std::size_t kFrames = 3;
constexpr unsigned kOptions = 64;

// Options: two bits for the levels of either kind of frame, one each for wide neighbours and for a window's start.
PhaseSetup setup_of(unsigned options) {
  return {static_cast<std::uint8_t>(1 + options % 4), static_cast<std::uint8_t>(1 + options / 4 % 4),
          (options & 16u) != 0};
}
bool starts_anew(unsigned options) { return (options & 32u) != 0; }

// Room for the weights of either kind of frame, none known yet.
FrameMix nothing_known() { return FrameMix(plane_count(kPhaseLevelsMax)); }

Bytes mixes_written(std::vector<FrameMix> mixes, const FrameShape& tile, unsigned options) {
  FrameMix last = nothing_known();
  return written([&](BitWriter& bits) {
    write_frame_mixes(mixes, tile.rows, tile.cols, setup_of(options), starts_anew(options), last, bits);
  });
}

Verdict run(ByteSpan input) {
  const auto part = open_part(input);
  if (!part) return Verdict::refused;
  const FrameShape& tile = part->tile;
  const PhaseSetup setup = setup_of(part->options);
  const unsigned levels = std::max(setup.key_levels, setup.later_levels);
  if (!levels_fit(tile.rows, tile.cols, levels)) return Verdict::refused;
  const AllocationLimit limit(std::size_t{1} << 17);
  const auto parse = [&](ByteSpan bytes, bool whole) {
    BitReader in(bytes);
    FrameMix last = nothing_known();
    auto mixes =
        parse_frame_mixes(in, kFrames, tile.rows, tile.cols, setup, starts_anew(part->options), last);
    if (mixes.ok() && whole && !in.ended_cleanly())
      return decltype(mixes)(fail(Errc::malformed, "bits left"));
    return mixes;
  };
  const auto mixes = parse(part->body, true);
  if (!mixes.ok()) return Verdict::refused;
  std::vector<FrameMix> complete = *mixes;
  FrameMix last = nothing_known();
  hold_frame_mixes(complete, starts_anew(part->options), last);
  for (const FrameMix& frame : complete) {
    for (const auto& mix : frame) FF_CHECK(mix.has_value() && mix_in_range(*mix));
  }
  FF_CHECK(parse(mixes_written(*mixes, tile, part->options), true).value() == *mixes);
  return Verdict::accepted;
}

PlaneMix made_up_mix(std::size_t features, Random& random) {
  PlaneMix mix;
  const auto some = [&](std::uint64_t most) { return static_cast<std::int16_t>(random.below(most)); };
  for (std::size_t j = 0; j < features; ++j) mix.weights[j] = some(1600);
  for (auto& weight : mix.scale_weights) weight = some(4000);
  mix.bias = some(500);
  mix.scale_bias = some(300);
  return storable_mix(mix);
}

std::vector<Bytes> seeds() {
  std::vector<Bytes> inputs;
  Random random(5);
  const FrameShape tile{Dtype::u16, 18, 21};
  for (unsigned options = 0; options < kOptions; options += 3) {
    const PhaseSetup setup = setup_of(options);
    std::vector<FrameMix> mixes(kFrames);
    for (std::size_t t = 0; t < kFrames; ++t) {
      const bool past = t > 0 || !starts_anew(options);
      const unsigned levels = past ? setup.later_levels : setup.key_levels;
      for (std::size_t p = 0; p < plane_count(levels); ++p) {
        const auto plane = phase_plane(tile.rows, tile.cols, levels, p);
        mixes[t].push_back(made_up_mix(mix_features(plane, past, setup.wide), random));
      }
    }
    inputs.push_back(part_input(tile, options, mixes_written(mixes, tile, options)));
  }
  return inputs;
}

}  // namespace

FF_FUZZ_TARGET(mix, run, seeds, damage_bytes);
