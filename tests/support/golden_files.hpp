// SPDX-License-Identifier: Apache-2.0
//
// The golden blocks as files: which there are, what their twins say, and which block continues which.
// Needs FF_GOLDEN_DIR (tests/golden) from the build.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "common/base/bytes.hpp"

namespace ff::tests {

inline std::vector<std::filesystem::path> golden_files(const std::string& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(FF_GOLDEN_DIR) / folder)) {
    if (entry.path().extension() == ".bin") files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

inline std::vector<std::byte> read_golden(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto bytes = as_bytes(text);
  return {bytes.begin(), bytes.end()};
}

/// A word of the block's JSON twin.
inline std::string golden_word(const std::filesystem::path& block, const std::string& key) {
  const auto bytes = read_golden(std::filesystem::path(block).replace_extension(".json"));
  const std::string json(as_text(bytes));
  const std::size_t open = json.find('"', json.find(':', json.find("\"" + key + "\"")));
  return json.substr(open + 1, json.find('"', open + 1) - open - 1);
}

/// The block's predecessors in its window, oldest first, then itself.
inline std::vector<std::filesystem::path> golden_chain(const std::filesystem::path& block) {
  std::vector<std::filesystem::path> chain{block};
  for (std::string before = golden_word(block, "after"); !before.empty();
       before = golden_word(chain.front(), "after")) {
    chain.insert(chain.begin(), block.parent_path() / before);
  }
  return chain;
}

}  // namespace ff::tests
