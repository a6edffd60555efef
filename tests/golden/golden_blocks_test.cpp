// SPDX-License-Identifier: Apache-2.0
//
// Golden blocks: every device decodes each vector to its pixels and, given its plan, writes it again byte by
// byte.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <catch2/catch.hpp>

#include "common/base/crc32c.hpp"
#include "kernels/codec.hpp"
#include "kernels/predictor_state.hpp"
#include "tests/support/group_images.hpp"
#include "tests/support/plan_of_block.hpp"

namespace {

namespace fs = std::filesystem;
using namespace ff;
using namespace ff::kernels;

std::vector<fs::path> files_in(const std::string& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(fs::path(FF_GOLDEN_DIR) / folder)) {
    if (entry.path().extension() == ".bin") files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

std::vector<std::byte> read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto bytes = as_bytes(text);
  return {bytes.begin(), bytes.end()};
}

std::string json_word(const fs::path& block, const std::string& key) {
  const auto bytes = read_file(fs::path(block).replace_extension(".json"));
  const std::string json(as_text(bytes));
  const std::size_t open = json.find('"', json.find(':', json.find("\"" + key + "\"")));
  return json.substr(open + 1, json.find('"', open + 1) - open - 1);
}

// The block's predecessors in its window, oldest first, then itself.
std::vector<fs::path> chain_to(const fs::path& block) {
  std::vector<fs::path> chain{block};
  for (std::string before = json_word(block, "after"); !before.empty();
       before = json_word(chain.front(), "after")) {
    chain.insert(chain.begin(), block.parent_path() / before);
  }
  return chain;
}

}  // namespace

TEST_CASE("every golden block decodes to its pixels on every device", "[golden]") {
  REQUIRE(files_in("vectors").size() >= 12);
  for (const fs::path& path : files_in("vectors")) {
    for (const Device device : {Device::reference, Device::cpu}) {
      INFO(path.filename().string() << " on " << to_string(device));
      const auto info = inspect_block(read_file(path));
      REQUIRE(info.ok());
      auto state = TileState::create(info->tile);
      std::vector<std::byte> pixels;
      for (const fs::path& member : chain_to(path)) {
        const auto block = read_file(member);
        const auto frames = static_cast<std::size_t>(std::popcount(inspect_block(block)->place.present));
        tests::FrameStack stack(info->tile, frames);
        REQUIRE(decode_group(device, *state, block, stack.mutable_views()).ok());
        pixels = stack.pixels;
      }
      char crc[16];
      std::snprintf(crc, sizeof crc, "%08x", crc32c(pixels));
      CHECK(json_word(path, "pixels_crc32c") == crc);
    }
  }
}

TEST_CASE("every device writes a golden block again from its plan, and leaves the same state", "[golden]") {
  for (const fs::path& path : files_in("vectors")) {
    std::vector<std::uint16_t> means;
    for (const Device device : {Device::reference, Device::cpu}) {
      INFO(path.filename().string() << " on " << to_string(device));
      const FrameShape tile = inspect_block(read_file(path))->tile;
      auto reader = TileState::create(tile);
      auto writer = TileState::create(tile);
      for (const fs::path& member : chain_to(path)) {
        const auto block = read_file(member);
        const auto plan = tests::plan_of_block(block);
        REQUIRE(plan.ok());
        tests::FrameStack stack(tile, static_cast<std::size_t>(std::popcount(plan->place.present)));
        REQUIRE(decode_group(Device::reference, *reader, block, stack.mutable_views()).ok());
        std::vector<std::byte> again(encoded_size_bound(tile, static_cast<std::uint32_t>(stack.count)));
        const auto bytes = encode_group(device, *writer, *plan, stack.views(), again);
        REQUIRE(bytes.ok());
        again.resize(*bytes);
        CHECK(again == block);
      }
      if (!reader->body().predictor) continue;
      const std::size_t pixels = tile.pixels();
      const auto mean_of = [&](TileState& state) {
        const auto& mean = state.body().predictor->mean;
        return std::vector<std::uint16_t>(mean.begin(), mean.begin() + static_cast<std::ptrdiff_t>(pixels));
      };
      CHECK(mean_of(*reader) == mean_of(*writer));
      if (device == Device::reference) means = mean_of(*writer);
      CHECK(means == mean_of(*writer));
    }
  }
}

TEST_CASE("every damaged golden block is refused with the error its name promises", "[golden]") {
  REQUIRE(files_in("errors").size() >= 12);
  for (const fs::path& path : files_in("errors")) {
    for (const Device device : {Device::reference, Device::cpu}) {
      INFO(path.filename().string() << " on " << to_string(device));
      const FrameShape tile{Dtype::u16, 48, 67};
      auto state = TileState::create(tile);
      tests::FrameStack stack(tile, 4);
      const auto status = decode_group(device, *state, read_file(path), stack.mutable_views());
      REQUIRE_FALSE(status.ok());
      CHECK(to_string(status.error().code) == json_word(path, "error"));
      CHECK(status.error().message.size() > 10);
    }
  }
}
