// SPDX-License-Identifier: Apache-2.0
#include "hpc_sink/store/virtual_layout.hpp"

#include <catch2/catch.hpp>

namespace {

using namespace ff;
using namespace ff::sink;

FileRow file_with(const std::string& name, std::vector<std::int64_t> frames) {
  FileRow row;
  row.name = name;
  row.frame_numbers = std::move(frames);
  return row;
}

}  // namespace

TEST_CASE("every second window of a stream is one mapping", "[sink][master]") {
  const auto mappings = plan_virtual_layout({file_with("a", {0, 1, 2, 6, 7, 8, 12, 13, 14})}, 20);
  REQUIRE(mappings.size() == 1);
  CHECK(mappings[0] == VirtualMapping{"a", 9, 0, 0, 3, 6, 3});
}

TEST_CASE("a gap in the frames starts a new mapping, and order in the file may differ from order in time",
          "[sink][master]") {
  const auto mappings = plan_virtual_layout({file_with("a", {4, 5, 0, 1, 3})}, 6);
  REQUIRE(mappings.size() == 3);
  CHECK(mappings[0] == VirtualMapping{"a", 5, 0, 4, 2, 2, 1});
  CHECK(mappings[1] == VirtualMapping{"a", 5, 2, 0, 2, 2, 1});
  CHECK(mappings[2] == VirtualMapping{"a", 5, 4, 3, 1, 1, 1});
}

TEST_CASE("a frame in two files is shown once, and frames beyond the end not at all", "[sink][master]") {
  const auto mappings = plan_virtual_layout({file_with("a", {0, 1}), file_with("b", {1, 2, 3, -1})}, 3);
  REQUIRE(mappings.size() == 2);
  CHECK(mappings[1] == VirtualMapping{"b", 4, 1, 2, 1, 1, 1});
}
