// SPDX-License-Identifier: Apache-2.0
//
// Planning of the model phases: laws that the fit must find, plans that any frame must get, weights held while they
// serve.
#include <array>
#include <cmath>
#include <vector>

#include <catch2/catch.hpp>

#include "kernels/codec.hpp"
#include "kernels/format/encode_plan.hpp"
#include "kernels/predictor_state.hpp"
#include "kernels/reference/plan_loops.hpp"
#include "kernels/reference/plan_mix.hpp"
#include "tests/support/group_images.hpp"

namespace {

using namespace ff;
using namespace ff::kernels;
using reference::LoopPath;
using reference::MomentRows;
using tests::FrameStack;

std::uint64_t presence(std::size_t frames) { return frames == 64 ? ~0ull : (1ull << frames) - 1; }

// Plans and codes groups of `group` frames as one window, decodes them, and returns the bytes.
std::size_t coded_bytes(const FrameStack& stack, Profile profile, std::size_t group,
                        std::vector<EncodePlanPtr>* plans = nullptr) {
  auto writer = *TileState::create(stack.shape);
  auto reader = *TileState::create(stack.shape);
  const auto views = stack.views();
  EncodeOptions options;
  options.profile = profile;
  std::size_t bytes = 0;
  for (std::size_t first = 0; first < stack.count; first += group) {
    const std::size_t count = std::min(group, stack.count - first);
    const GroupPlace place{static_cast<std::uint8_t>(first), static_cast<std::uint8_t>(count),
                           presence(count), first == 0};
    const auto frames = GroupFrames(views).subspan(first, count);
    auto plan = plan_group(writer, place, frames, options);
    REQUIRE(plan.ok());
    REQUIRE(can_execute(Device::cpu, **plan));
    std::vector<std::byte> block(encoded_size_bound(stack.shape, static_cast<std::uint32_t>(count)));
    const auto coded = encode_group(Device::cpu, writer, **plan, frames, block);
    REQUIRE(coded.ok());
    FrameStack decoded(stack.shape, count);
    REQUIRE(decode_group(Device::cpu, reader, ByteSpan(block).first(*coded), decoded.mutable_views()).ok());
    const std::size_t at = first * stack.shape.bytes();
    REQUIRE(std::equal(decoded.pixels.begin(), decoded.pixels.end(),
                       stack.pixels.begin() + static_cast<std::ptrdiff_t>(at)));
    bytes += *coded;
    if (plans != nullptr) plans->push_back(std::move(*plan));
  }
  return bytes;
}

// Rows of a law target = sum of weight x feature, with noise that `spread` tells.
struct Law {
  static constexpr std::size_t kRows = 4096, kFeatures = 5;
  std::array<std::vector<std::int16_t>, kFeatures> features;
  std::vector<std::int16_t> target, spread;
  std::vector<std::uint8_t> live;

  Law() : target(kRows), spread(kRows), live(kRows) {
    tests::TestRandom random(11);
    for (auto& feature : features) feature.resize(kRows);
    for (std::size_t i = 0; i < kRows; ++i) {
      const auto level = static_cast<std::int32_t>(4000 + random.below(12000));
      const auto near = [&] {
        return static_cast<std::int16_t>(level + static_cast<std::int32_t>(random.below(801)) - 400);
      };
      for (auto& feature : features) feature[i] = near();
      const double sum = 0.5 * features[0][i] + 0.375 * features[1][i] - 0.25 * features[2][i] +
                         0.25 * features[3][i] + 0.125 * features[4][i];
      const auto noise = static_cast<std::int32_t>(random.below(101)) - 50;
      spread[i] = 50;
      live[i] = i % 7 != 0;
      target[i] = static_cast<std::int16_t>(live[i] != 0 ? std::lround(sum) + noise : 30000);
    }
  }

  [[nodiscard]] std::array<std::int64_t, reference::kMomentSums> sums(
      const reference::PlanLoops& loops) const {
    std::array<const std::int16_t*, kFeatures - 1> relative{};
    for (std::size_t j = 1; j < kFeatures; ++j) relative[j - 1] = features[j].data();
    MomentRows rows;
    rows.features = relative.data();
    rows.count = relative.size();
    rows.reference = features[0].data();
    rows.target = target.data();
    rows.spread = spread.data();
    rows.live = live.data();
    rows.floor = 10;
    rows.one = 32;
    std::array<std::int64_t, reference::kMomentSums> result{};
    loops.add_moments(rows, kRows, result.data());
    return result;
  }
};

}  // namespace

TEST_CASE("the fit finds the weights of a known law, and ignores pixels that do not count", "[plan]") {
  const Law law;
  const auto sums = law.sums(reference::plan_loops());
  const auto moments = reference::moments_of(sums.data(), Law::kFeatures + 2, true);
  PlaneMix mix;
  const reference::MixForm form{Law::kFeatures, true, 5};
  reference::set_expectation(mix, form, reference::least_squares(moments, 2e-4));
  const std::array<double, Law::kFeatures> truth{0.5, 0.375, -0.25, 0.25, 0.125};
  for (std::size_t j = 0; j < truth.size(); ++j) {
    INFO("weight " << j);
    CHECK(mix.weights[j] == Approx(truth[j] * kMixOne).margin(120));
  }
  CHECK(mix_in_range(mix));
  CHECK(mix == storable_mix(mix));
  const auto back = reference::expectation_coefficients(mix, form);
  CHECK(reference::left_over(moments, back) <
        1.01 * reference::left_over(moments, reference::least_squares(moments, 0)) + 1);
}

TEST_CASE("the planner's sums are the same with every instruction set", "[plan]") {
  const Law law;
  const auto generic = law.sums(reference::plan_loops(LoopPath::generic));
  CHECK(law.sums(reference::plan_loops()) == generic);
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) CHECK(law.sums(reference::plan_loops(LoopPath::avx2)) == generic);
#endif
}

TEST_CASE("weights out of range give way to the plain mean", "[plan]") {
  PlaneMix mix;
  reference::Coefficients wild{};
  wild[0] = 9;
  reference::set_expectation(mix, {3, true, 4}, wild);
  CHECK(mix.weights[0] == kMixOne);
  CHECK(mix.weights[1] == 0);
  reference::set_expectation(mix, {4, false, 4}, wild);
  CHECK(mix.weights[3] == kMixOne / 4);
  CHECK(mix_in_range(mix));
}

TEST_CASE("every frame gets a plan that codes it", "[plan]") {
  const auto profile = GENERATE(Profile::small, Profile::max);
  const std::array<FrameShape, 8> shapes{{{Dtype::u16, 1, 1},
                                          {Dtype::u16, 1, 50},
                                          {Dtype::u8, 50, 1},
                                          {Dtype::i16, 2, 2},
                                          {Dtype::u16, 2, 77},
                                          {Dtype::i32, 3, 5},
                                          {Dtype::u32, 17, 4},
                                          {Dtype::u8, 33, 70}}};
  tests::TestRandom random(3);
  for (const FrameShape& shape : shapes) {
    for (int kind = 0; kind < 5; ++kind) {
      INFO(shape.rows << " x " << shape.cols << " " << dtype_name(shape.dtype) << ", kind " << kind);
      FrameStack stack(shape, 3);
      const auto high = value_range(shape.dtype).high;
      for (std::size_t t = 0; t < stack.count; ++t) {
        for (std::size_t p = 0; p < shape.pixels(); ++p) {
          const std::int64_t value = kind == 0   ? 7
                                     : kind == 1 ? high
                                     : kind == 2 ? static_cast<std::int64_t>(random.below(3))
                                     : kind == 3 ? (random.below(2) == 0 ? 0 : high)
                                                 : static_cast<std::int64_t>(random.below(high + 1ull));
          stack.set(t, p, value);
        }
      }
      coded_bytes(stack, profile, 2);
    }
  }
}

TEST_CASE("a tile too flat for phases takes the smooth model", "[plan]") {
  auto state = *TileState::create({Dtype::u16, 1, 40});
  FrameStack stack({Dtype::u16, 1, 40}, 1);
  EncodeOptions options;
  options.profile = Profile::small;
  const auto plan = plan_group(state, {0, 1, 1, true}, stack.views(), options);
  REQUIRE((*plan)->setup.has_value());
  CHECK((*plan)->setup->model == Model::smooth);
  CHECK((*plan)->mixes.empty());
}

TEST_CASE("weights are held while a scene stands still, and sent while it moves", "[plan]") {
  const FrameShape tile{Dtype::u16, 96, 96};
  FrameStack still(tile, 24), moving(tile, 24);
  tests::TestRandom random(8);
  for (std::size_t t = 0; t < still.count; ++t) {
    for (std::size_t p = 0; p < tile.pixels(); ++p) {
      const double x = static_cast<double>(p % tile.cols), y = static_cast<double>(p / tile.cols);
      const auto light = [&](double shift) {
        return 300 + 200 * std::sin((x + shift) / 4) * std::sin(y / 5);
      };
      const auto noise = static_cast<std::int64_t>(random.below(9)) - 4;
      still.set(t, p, std::llround(light(0)) + noise);
      moving.set(t, p, std::llround(light(static_cast<double>(t * t % 13))) + noise);
    }
  }
  const auto fresh = [](const FrameStack& stack) {
    std::vector<EncodePlanPtr> plans;
    coded_bytes(stack, Profile::small, 24, &plans);
    std::size_t count = 0;
    for (const FrameMix& mix : plans.front()->mixes) count += mix[3].has_value() ? 1 : 0;
    return count;
  };
  CHECK(fresh(still) < 12);
  CHECK(fresh(moving) > fresh(still));
  CHECK(coded_bytes(moving, Profile::small, 24) * 10 < coded_bytes(moving, Profile::fast, 24) * 9);
}

TEST_CASE("profile auto takes the phases where they save, the faster model where they do not", "[plan]") {
  const FrameShape tile{Dtype::u16, 96, 128};
  FrameStack moving(tile, 16);
  tests::TestRandom random(9);
  for (std::size_t t = 0; t < moving.count; ++t) {
    for (std::size_t p = 0; p < tile.pixels(); ++p) {
      const double x = static_cast<double>(p % tile.cols + 5 * t), y = static_cast<double>(p / tile.cols);
      const auto noise = static_cast<std::int64_t>(random.below(9)) - 4;
      moving.set(t, p, std::llround(600 + 300 * std::sin(x / 6) * std::sin(y / 7)) + noise);
    }
  }
  const auto still = tests::counting_frames(tile, 16, 100, 900, 6);
  std::vector<EncodePlanPtr> plans;
  const std::size_t moving_bytes = coded_bytes(moving, Profile::automatic, 8, &plans);
  CHECK(plans[0]->profile == Profile::small);
  CHECK(plans[1]->profile == Profile::small);
  CHECK(moving_bytes == coded_bytes(moving, Profile::small, 8));
  plans.clear();
  coded_bytes(still, Profile::automatic, 8, &plans);
  CHECK(plans[0]->profile == Profile::fast);
  CHECK(plans[1]->profile == Profile::fast);
}
