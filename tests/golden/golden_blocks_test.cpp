// SPDX-License-Identifier: Apache-2.0
//
// Golden blocks: every device decodes each vector to its pixels and, given its plan, writes it again byte by
// byte.
#include <string>

#include <catch2/catch.hpp>

#include "common/base/crc32c.hpp"
#include "kernels/codec.hpp"
#include "kernels/predictor_state.hpp"
#include "tests/support/golden_files.hpp"
#include "tests/support/group_examples.hpp"
#include "tests/support/plan_of_block.hpp"

namespace {

namespace fs = std::filesystem;
using namespace ff;
using namespace ff::kernels;
using tests::golden_chain;
using tests::golden_files;
using tests::golden_word;
using tests::read_golden;

}  // namespace

TEST_CASE("every golden block decodes to its pixels on every device", "[golden]") {
  REQUIRE(golden_files("vectors").size() >= 12);
  for (const fs::path& path : golden_files("vectors")) {
    for (const Device device : {Device::reference, Device::cpu}) {
      INFO(path.filename().string() << " on " << to_string(device));
      const auto info = inspect_block(read_golden(path));
      REQUIRE(info.ok());
      auto state = TileState::create(info->tile);
      std::vector<std::byte> pixels;
      for (const fs::path& member : golden_chain(path)) {
        const auto block = read_golden(member);
        const auto frames = static_cast<std::size_t>(std::popcount(inspect_block(block)->place.present));
        tests::FrameStack stack(info->tile, frames);
        REQUIRE(decode_group(device, *state, block, stack.mutable_views()).ok());
        pixels = stack.pixels;
      }
      char crc[16];
      std::snprintf(crc, sizeof crc, "%08x", crc32c(pixels));
      CHECK(golden_word(path, "pixels_crc32c") == crc);
    }
  }
}

TEST_CASE("every device writes a golden block again from its plan, and leaves the same state", "[golden]") {
  for (const fs::path& path : golden_files("vectors")) {
    for (const Device device : {Device::reference, Device::cpu}) {
      INFO(path.filename().string() << " on " << to_string(device));
      const FrameShape tile = inspect_block(read_golden(path))->tile;
      auto reader = TileState::create(tile);
      auto writer = TileState::create(tile);
      for (const fs::path& member : golden_chain(path)) {
        const auto block = read_golden(member);
        const auto plan = tests::plan_of_block(block, &*reader);
        REQUIRE(plan.ok());
        tests::FrameStack stack(tile, static_cast<std::size_t>(std::popcount(plan->place.present)));
        REQUIRE(decode_group(Device::reference, *reader, block, stack.mutable_views()).ok());
        std::vector<std::byte> again(encoded_size_bound(tile, static_cast<std::uint32_t>(stack.count)));
        const auto bytes = encode_group(device, *writer, *plan, stack.views(), again);
        REQUIRE(bytes.ok());
        again.resize(*bytes);
        CHECK(again == block);
      }
      CHECK(tests::same_state(*reader, *writer));
    }
  }
}

TEST_CASE("every damaged golden block is refused with the error its name promises", "[golden]") {
  REQUIRE(golden_files("errors").size() >= 12);
  for (const fs::path& path : golden_files("errors")) {
    for (const Device device : {Device::reference, Device::cpu}) {
      INFO(path.filename().string() << " on " << to_string(device));
      const auto block = read_golden(path);
      const auto info = inspect_block(block);  // fails where the header is what is damaged: any tile will do
      const FrameShape tile = info.ok() ? info->tile : FrameShape{Dtype::u16, 48, 67};
      auto state = TileState::create(tile);
      tests::FrameStack stack(tile,
                              info.ok() ? static_cast<std::size_t>(std::popcount(info->place.present)) : 4);
      const auto status = decode_group(device, *state, block, stack.mutable_views());
      REQUIRE_FALSE(status.ok());
      CHECK(to_string(status.error().code) == golden_word(path, "error"));
      CHECK(status.error().message.size() > 10);
    }
  }
}

TEST_CASE("a golden block with any feature bit turned is refused before its pixels are decoded", "[golden]") {
  std::size_t tried = 0;
  for (const fs::path& path : golden_files("vectors")) {
    const auto sound = read_golden(path);
    const BlockHeader header = *parse_block_header(sound);
    if (!header.place.key) continue;
    for (std::uint32_t bit = 1; bit <= kKnownRequiredFeatures; bit <<= 1) {
      if ((bit & kKnownRequiredFeatures) == 0) continue;
      for (const Device device : {Device::reference, Device::cpu}) {
        INFO(path.filename().string() << " bit " << bit << " on " << to_string(device));
        auto block = sound;
        BlockHeader turned = header;
        turned.required ^= bit;
        write_block_header(turned, block);
        auto state = TileState::create(header.tile);
        tests::FrameStack stack(header.tile, header.present_frames());
        const auto status = decode_group(device, *state, block, stack.mutable_views());
        REQUIRE(status.error().code == Errc::malformed);
        CHECK(status.error().message.find("feature bits") != std::string::npos);
        ++tried;
      }
    }
  }
  CHECK(tried >= 8 * 20);
}
