// SPDX-License-Identifier: Apache-2.0
// Recordings: the few JSON fields a test needs, read by hand so that no test program compiles a JSON library.
#include "tests/support/recording_for_tests.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <zstd.h>

#include "common/base/check.hpp"

namespace ff::tests {
namespace {

namespace fs = std::filesystem;

fs::path data_folder() {
  if (const char* given = std::getenv("FF_DATA_DIR"); given != nullptr) return given;
  return fs::path(FF_REPOSITORY_DIR).parent_path() / "shared" / "data";
}

std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string json_word(const std::string& json, const std::string& key) {
  const std::size_t colon = json.find(':', json.find("\"" + key + "\""));
  const std::size_t open = json.find('"', colon);
  return json.substr(open + 1, json.find('"', open + 1) - open - 1);
}

std::array<std::uint32_t, 3> json_shape(const std::string& json) {
  const char* at = json.c_str() + json.find('[', json.find("\"shape\""));
  std::array<std::uint32_t, 3> shape{};
  for (auto& extent : shape) {
    char* end = nullptr;
    extent = static_cast<std::uint32_t>(std::strtoul(at + 1, &end, 10));
    at = end;
  }
  return shape;
}

}  // namespace

std::vector<std::string> recording_names() {
  std::vector<std::string> names;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(data_folder(), none)) {
    const std::string name = entry.path().filename().string();
    if (fs::exists(entry.path() / (name + ".json"))) names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

Recording load_recording(const std::string& name) {
  const fs::path folder = data_folder() / name;
  const std::string json = read_text(folder / (name + ".json"));
  const std::string packed = read_text(folder / json_word(json, "file"));
  const auto shape = json_shape(json);
  const auto dtype = parse_dtype(json_word(json, "dtype"));
  FF_CHECK(dtype.has_value());
  Recording recording{name, {*dtype, shape[1], shape[2]}, shape[0], {}};
  recording.pixels.resize(recording.frames * recording.shape.bytes());
  const std::size_t bytes =
      ZSTD_decompress(recording.pixels.data(), recording.pixels.size(), packed.data(), packed.size());
  FF_CHECK(bytes == recording.pixels.size());
  return recording;
}

}  // namespace ff::tests
