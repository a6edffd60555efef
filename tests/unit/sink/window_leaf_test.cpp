// SPDX-License-Identifier: Apache-2.0
//
// Leaves and Merkle roots against vectors that Python's hashlib made (merkle_reference.py).
#include "hpc_sink/seal/window_leaf.hpp"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include <catch2/catch.hpp>

#include "hpc_sink/seal/merkle_tree.hpp"

namespace ff::sink {
namespace {

namespace pb = foreframe::wire;

std::vector<std::vector<std::string>> vectors(const std::string& kind) {
  const char* const path = std::getenv("FF_MERKLE_VECTORS");
  REQUIRE(path != nullptr);
  std::ifstream file(path);
  std::vector<std::vector<std::string>> found;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::vector<std::string> split;
    for (std::string word; words >> word;) split.push_back(word);
    if (split.front() == kind) found.push_back(split);
  }
  REQUIRE_FALSE(found.empty());
  return found;
}

WindowFates window_of(std::uint64_t window, bool complete, bool reported, const std::vector<FrameFate>& fates,
                      std::vector<std::uint32_t> crcs, std::string digest) {
  return {.window = window,
          .complete = complete,
          .fates = fates,
          .reported = reported,
          .payload_sha256 = std::move(digest),
          .pixel_crcs = std::move(crcs)};
}

std::string counting_bytes() {
  std::string bytes;
  for (char c = 0; c < 32; ++c) bytes += c;
  return bytes;
}

// many_leaves() of merkle_reference.py
std::string leaf_number(std::uint32_t w) {
  const std::vector<FrameFate> fates{make_fate(pb::STORED_EXACT), make_fate(pb::STORED_BOUNDED),
                                     make_fate(pb::VETOED), make_fate(pb::LOST, pb::STAGE_RECEIVE),
                                     make_fate(pb::DAMAGED, pb::STAGE_DECODE)};
  const std::vector<std::uint32_t> crcs{0x01020304, 0xFFFFFFFF, 0, 0, 0};
  const std::size_t frames = 1 + w % 5;
  return leaf_bytes(w % 3, window_of(w, w % 2 == 0, w % 5 != 0, {fates.begin(), fates.begin() + frames},
                                     {crcs.begin(), crcs.begin() + frames},
                                     w % 4 == 0 ? "" : std::string(32, static_cast<char>(w))));
}

}  // namespace

TEST_CASE("a window's leaf is the bytes of the format page, and hashes as Python hashes them", "[seal]") {
  const std::map<std::string, std::string> leaves{
      {"stored", leaf_bytes(0, window_of(0, true, true, std::vector(2, make_fate(pb::STORED_EXACT)),
                                         {0xDEADBEEF, 0xDEADBEEF}, counting_bytes()))},
      {"silent", leaf_bytes(7, window_of(std::uint64_t{1} << 40, false, false,
                                         std::vector(64, make_fate(pb::LOST, pb::STAGE_LOG)), {}, ""))},
      {"beyond", leaf_bytes(UINT32_MAX, window_of(1, false, true, {}, {}, ""))}};
  for (const auto& vector : vectors("leaf")) {
    INFO(vector[1]);
    const std::string& bytes = leaves.at(vector[1]);
    CHECK(to_hex(bytes) == vector[2]);
    CHECK(to_hex(to_bytes(leaf_hash(as_bytes(bytes)))) == vector[3]);
  }
}

TEST_CASE("roots over any number of leaves are those of RFC 6962", "[seal]") {
  for (const auto& vector : vectors("root")) {
    INFO(vector[1] << " leaves");
    MerkleTree tree;
    for (std::uint32_t w = 0; w < std::stoul(vector[1]); ++w) tree.add(leaf_hash(as_bytes(leaf_number(w))));
    CHECK(tree.leaves() == std::stoul(vector[1]));
    CHECK(to_hex(to_bytes(tree.root())) == vector[2]);
  }
}

TEST_CASE("a leaf read back is the window it was written from, and every cut of it is refused", "[seal]") {
  for (std::uint32_t w = 0; w < 20; ++w) {
    const std::string bytes = leaf_number(w);
    const auto leaf = parse_leaf(as_bytes(bytes));
    REQUIRE(leaf.ok());
    CHECK(leaf_bytes(leaf->stream, leaf->window) == bytes);
    for (std::size_t size = 0; size < bytes.size(); ++size)
      CHECK_FALSE(parse_leaf(as_bytes(bytes).first(size)).ok());
    CHECK_FALSE(parse_leaf(as_bytes(bytes + '\0')).ok());
  }
}

TEST_CASE("every changed bit of a leaf changes the root", "[seal]") {
  const auto root_of = [](const std::string& changed) {
    MerkleTree tree;
    for (std::uint32_t w = 0; w < 5; ++w) tree.add(leaf_hash(as_bytes(w == 3 ? changed : leaf_number(w))));
    return tree.root();
  };
  const std::string bytes = leaf_number(3);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string changed = bytes;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
    CHECK(root_of(changed) != root_of(bytes));
  }
}

}  // namespace ff::sink
