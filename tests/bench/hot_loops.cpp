// SPDX-License-Identifier: Apache-2.0
//
// Plans, encodes and decodes fixed made-up groups under callgrind, which counts the instructions of each stage.
//
//   hot_loops --compiler      what it was compiled with
//   hot_loops --pixels        pixels of each group
//   valgrind --tool=callgrind --instr-atstart=no hot_loops      one dump a stage, named SCENE/PROFILE/STAGE
//
// Not here   reading the dumps and comparing them with the recorded table (instructions_test.py).
#include <cstdio>
#include <string>
#include <valgrind/callgrind.h>

#include "common/base/check.hpp"
#include "common/base/crc32c.hpp"
#include "kernels/codec.hpp"
#include "kernels/format/encode_plan.hpp"
#include "tests/support/group_images.hpp"

namespace {

using namespace ff;
using namespace ff::kernels;
using tests::FrameStack;

constexpr std::uint32_t kRows = 128, kCols = 256, kFrames = 8;

struct Scene {
  const char* name;
  FrameStack frames;
};

std::vector<Scene> make_scenes() {
  const auto tile = [](Dtype dtype) { return FrameShape{dtype, kRows, kCols}; };
  std::vector<Scene> scenes;
  scenes.push_back({"counting-u16", tests::counting_frames(tile(Dtype::u16), kFrames, 64, 2048, 1)});
  scenes.push_back({"sparse-u16", tests::counting_frames(tile(Dtype::u16), kFrames, 1, 8, 2)});
  scenes.push_back(
      {"integrating-u16", tests::integrating_frames(tile(Dtype::u16), kFrames, 2000, 2600, 40, 3)});
  scenes.push_back(
      {"integrating-u32", tests::integrating_frames(tile(Dtype::u32), kFrames, 1000000, 1400000, 900, 4)});
  return scenes;
}

// Counts what `stage` does and nothing else.
template <typename Stage>
void counted(const std::string& name, Stage&& stage) {
  CALLGRIND_START_INSTRUMENTATION;
  CALLGRIND_ZERO_STATS;
  stage();
  CALLGRIND_DUMP_STATS_AT(name.c_str());
  CALLGRIND_STOP_INSTRUMENTATION;
}

void run(const Scene& scene, Profile profile) {
  const FrameShape& tile = scene.frames.shape;
  const auto frames = scene.frames.views();
  const GroupPlace place{0, kFrames, (std::uint64_t{1} << kFrames) - 1, true};
  EncodeOptions options;
  options.profile = profile;
  auto writer = TileState::create(tile), reader = TileState::create(tile);
  std::vector<std::byte> block(encoded_size_bound(tile, kFrames));
  FrameStack decoded(tile, kFrames);
  const auto targets = decoded.mutable_views();
  const std::string name = std::string(scene.name) + "/" + std::string(to_string(profile)) + "/";

  EncodePlanPtr plan = plan_group(*writer, place, frames, options).value();
  if (plan->profile != profile) return;  // this build's planner has no such profile
  counted(name + "plan", [&] { plan = plan_group(*writer, place, frames, options).value(); });
  std::size_t bytes = 0;
  counted(name + "encode", [&] { bytes = encode_group(Device::cpu, *writer, *plan, frames, block).value(); });
  block.resize(bytes);
  counted(name + "decode", [&] { FF_CHECK(decode_group(Device::cpu, *reader, block, targets).ok()); });
  FF_CHECK(decoded.pixels == scene.frames.pixels);
}

// What is done once in a process counts for nobody.
void warm_up() {
  const std::vector<std::byte> bytes(std::size_t{1} << 16);
  static_cast<void>(crc32c(bytes));
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "--compiler") return std::printf("g++ %s\n", __VERSION__), 0;
  if (what == "--pixels") return std::printf("%u\n", kRows * kCols * kFrames), 0;
  warm_up();
  for (const Scene& scene : make_scenes()) {
    for (const Profile profile : {Profile::fast, Profile::small}) run(scene, profile);
  }
  return 0;
}
