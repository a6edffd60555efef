// SPDX-License-Identifier: Apache-2.0
//
// The mix section: what is written comes back, and what no encoder writes is refused.
#include "kernels/format/phase_mix.hpp"

#include <catch2/catch.hpp>

#include "tests/support/block_sections.hpp"
#include "tests/support/forced_block.hpp"
#include "tests/support/phase_plans.hpp"

namespace {

using namespace ff;
using namespace ff::kernels;
using tests::FrameStack;

constexpr FrameShape kMixTile{Dtype::u16, 17, 22};
constexpr PhaseSetup kSetup{2, 1, true};

FrameMix nothing_known() { return FrameMix(plane_count(kSetup.later_levels)); }

std::vector<std::byte> written(const std::vector<FrameMix>& mixes, bool anew, const FrameMix& last) {
  BitWriter out;
  write_frame_mixes(mixes, kMixTile.rows, kMixTile.cols, kSetup, anew, last, out);
  return {out.bytes().begin(), out.bytes().end()};
}

Result<std::vector<FrameMix>> parsed(ByteSpan bits, std::size_t frames, bool anew, const FrameMix& last) {
  BitReader in(bits);
  auto mixes = parse_frame_mixes(in, frames, kMixTile.rows, kMixTile.cols, kSetup, anew, last);
  if (mixes.ok() && !in.ended_cleanly()) return fail(Errc::malformed, "bits left");
  return mixes;
}

// A window's first group of two frames; every plane has weights.
EncodePlan first_plan(const TileState& state, const FrameStack& frames, std::uint64_t seed) {
  tests::TestRandom random(seed);
  tests::PhaseWishes wishes;
  wishes.phases = kSetup;
  return tests::random_phase_plan(state, {0, 2, 3, true}, frames.views(), random, wishes);
}

// A sound block, to be damaged section by section.
struct Sound {
  FrameStack frames = tests::counting_frames(kMixTile, 2, 64, 512, 3);
  EncodePlan plan;
  std::vector<std::byte> block;

  Sound() {
    auto state = *TileState::create(kMixTile);
    plan = first_plan(state, frames, 12);
    block = tests::forced_block(Device::reference, state, plan, frames.views());
  }

  // The error that both devices have for this block with other sections.
  Error refusal(const tests::Sections& sections) const {
    const auto damaged = tests::with_sections(block, sections);
    Error error;
    for (const Device device : {Device::cpu, Device::reference}) {
      auto state = *TileState::create(kMixTile);
      FrameStack decoded(kMixTile, 2);
      const auto status = decode_group(device, state, damaged, decoded.mutable_views());
      REQUIRE_FALSE(status.ok());
      error = status.error();
    }
    return error;
  }
  Error refusal_of_mixes(auto&& change) const {
    std::vector<FrameMix> mixes = plan.mixes;
    change(mixes);
    tests::Sections sections = tests::sections_of_block(block);
    sections[SectionId::mix] = written(mixes, true, nothing_known());
    return refusal(sections);
  }
};

bool says(const Error& error, std::string_view words) {
  INFO(error.message);
  return error.code == Errc::malformed && error.message.find(words) != std::string::npos;
}

}  // namespace

TEST_CASE("weights come back as they were sent, and held ones are the plane's last", "[phases]") {
  const FrameStack frames = tests::counting_frames(kMixTile, 2, 64, 512, 1);
  const auto state = *TileState::create(kMixTile);
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    FrameMix last = nothing_known();
    for (const bool anew : {true, false}) {
      std::vector<FrameMix> sent = first_plan(state, frames, seed).mixes;
      if (!anew)
        sent.erase(sent.begin());  // the same planes, held where the key group's second frame held them
      const auto bits = written(sent, anew, last);
      const auto read = parsed(bits, sent.size(), anew, last);
      REQUIRE(read.ok());
      REQUIRE(*read == sent);
      hold_frame_mixes(sent, anew, last);
      for (const FrameMix& frame : sent) {
        for (const auto& mix : frame) REQUIRE((mix.has_value() && mix_in_range(*mix)));
      }
      REQUIRE(last == sent.back());
    }
  }
}

TEST_CASE("weights at the ends of their range come back", "[phases]") {
  PlaneMix high, low;
  high.weights[0] = high.bias = high.scale_bias = 32767;
  high.scale_weights[1] = 32767 / kScaleStep * kScaleStep;
  low.weights[0] = low.bias = low.scale_bias = -32767;
  std::vector<FrameMix> mixes(1, FrameMix(plane_count(kSetup.later_levels), high));
  mixes.push_back(FrameMix(plane_count(kSetup.later_levels), low));
  const FrameMix last(plane_count(kSetup.later_levels), PlaneMix{});
  const auto read = parsed(written(mixes, false, last), 2, false, last);
  REQUIRE(read.ok());
  CHECK(*read == mixes);
}

TEST_CASE("a mix section that no encoder writes is refused", "[phases]") {
  const Sound sound;
  const std::string_view impossible = "lacks weights or has impossible ones";
  const auto wrong = [&](auto&& change) {
    return says(sound.refusal_of_mixes([&](auto& mixes) { change(*mixes[0][2]); }), impossible);
  };
  CHECK(wrong([](PlaneMix& mix) { mix.weights = {16000, 16000, 768}; }));
  CHECK(wrong([](PlaneMix& mix) { mix.weights = {-16000, 16000, -768}; }));
  CHECK(wrong([](PlaneMix& mix) { mix.weights = {-32768}; }));
  CHECK(wrong([](PlaneMix& mix) { mix.scale_weights = {0, 16384, 16384, 0}; }));
  CHECK(wrong([](PlaneMix& mix) { mix.scale_weights = {0, -64, 0, 0}; }));
  CHECK(wrong([](PlaneMix& mix) { mix.bias = -32768; }));
  CHECK(wrong([](PlaneMix& mix) { mix.scale_bias = -32768; }));
  CHECK(says(sound.refusal_of_mixes([](auto& mixes) { mixes[0][0].reset(); }), impossible));  // key frame
  CHECK(says(sound.refusal_of_mixes([](auto& mixes) { mixes[1][3].reset(); }), impossible));  // none before
  CHECK(says(sound.refusal_of_mixes([](auto& mixes) { mixes.pop_back(); }), impossible));
  CHECK(says(sound.refusal_of_mixes([](auto& mixes) { mixes.push_back(mixes[1]); }),
             "longer than its weights"));
}

TEST_CASE("weights and model belong together", "[phases]") {
  const Sound sound;
  const tests::Sections sections = tests::sections_of_block(sound.block);
  const auto with_plan = [&](auto&& change) {
    EncodePlan plan = sound.plan;
    change(plan);
    tests::Sections changed = sections;
    changed[SectionId::setup] = tests::sections_of_plan(plan)[SectionId::setup];
    if (plan.prior) changed[SectionId::prior] = tests::sections_of_plan(plan)[SectionId::prior];
    return sound.refusal(changed);
  };
  tests::Sections without = sections;
  without.erase(SectionId::mix);
  CHECK(says(sound.refusal(without), "the mix section belongs to the phases"));
  CHECK(says(with_plan([](EncodePlan& plan) {
               plan.setup->model = Model::smooth;
               plan.setup->up = 2;
               plan.setup->down = 0;
             }),
             "the mix section belongs to the phases"));
  CHECK(says(with_plan([](EncodePlan& plan) { plan.setup->model = static_cast<Model>(3); }), "setup"));
  CHECK(says(with_plan([](EncodePlan& plan) { plan.setup->phases.key_levels = 5; }), "setup"));
  CHECK(says(with_plan([](EncodePlan& plan) { plan.setup->phases.later_levels = 8; }), "setup"));
  CHECK(says(with_plan([](EncodePlan& plan) {
               plan.setup->source = ContextSource::rate;
               plan.prior = Prior{6, 1, 0, {0}, {}};
             }),
             "a prior"));
}

TEST_CASE("a group of the phases follows only the block it was coded after", "[phases]") {
  const FrameStack frames = tests::counting_frames(kMixTile, 4, 64, 512, 5);
  const auto views = frames.views();
  auto writer = *TileState::create(kMixTile), reader = *TileState::create(kMixTile);
  tests::TestRandom random(6);
  tests::PhaseWishes wishes;
  wishes.hold = true;
  const GroupPlace places[] = {{0, 2, 3, true}, {2, 2, 3, false}};
  std::vector<std::vector<std::byte>> blocks;
  for (const GroupPlace& place : places) {
    const GroupFrames group(views.data() + place.first_frame, 2);
    const auto plan = tests::random_phase_plan(writer, place, group, random, wishes);
    blocks.push_back(tests::forced_block(Device::cpu, writer, plan, group));
  }
  FrameStack decoded(kMixTile, 2);
  CHECK(decode_group(Device::cpu, reader, blocks[1], decoded.mutable_views()).error().code ==
        Errc::state_mismatch);
  REQUIRE(decode_group(Device::cpu, reader, blocks[0], decoded.mutable_views()).ok());
  REQUIRE(decode_group(Device::reference, reader, blocks[1], decoded.mutable_views()).ok());
  CHECK(decode_group(Device::cpu, reader, blocks[1], decoded.mutable_views()).error().code ==
        Errc::state_mismatch);
}

TEST_CASE("inspect names the model, its planes and what a block inherits", "[phases]") {
  const Sound sound;
  const std::string json = inspect_block(sound.block)->summary_json;
  for (const char* word : {"\"model\":\"phases\"", "\"key_levels\":2", "\"later_levels\":1", "\"wide\":true",
                           "\"planes\":11", "\"fresh_mixes\":11", "\"inherited\":[]", "\"fast_frames\":"}) {
    INFO(word);
    CHECK(json.find(word) != std::string::npos);
  }
  tests::Sections later = tests::sections_of_block(sound.block);
  for (const SectionId id : {SectionId::setup, SectionId::mask, SectionId::tables}) later.erase(id);
  const std::string short_json = inspect_block(tests::with_sections(sound.block, later))->summary_json;
  CHECK(short_json.find("\"inherited\":[\"setup\",\"mask\",\"tables\"]") != std::string::npos);
  CHECK(short_json.find("\"model\":\"phases\"") != std::string::npos);
  CHECK(short_json.find("fresh_mixes") == std::string::npos);
}
