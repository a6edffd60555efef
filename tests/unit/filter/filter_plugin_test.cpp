// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <filesystem>
#include <string>

#include <catch2/catch.hpp>

#include "tests/support/temp_dir.hpp"

namespace {

// ctest sets all of them; without Python this fails, it isn't skipped.
std::string setting(const char* name) {
  const char* const value = std::getenv(name);
  if (value == nullptr || !std::filesystem::exists(value))
    FAIL(name << " must name a file or folder; tools/setup makes the Python with h5py, ctest sets the names");
  return value;
}

int run(const std::string& arguments) {
  const ff::test::TempDir scratch;
  const std::string command = "HDF5_PLUGIN_PATH='" + setting("FF_HDF5_PLUGINS") + "' '" +
                              setting("FF_PYTHON") + "' '" + setting("FF_FILTER_SCRIPT") + "' " + arguments +
                              " '" + scratch.path().string() + "' '" + setting("FF_DATA_DIR_OR_NONE") + "'";
  return std::system(command.c_str());
}

}  // namespace

TEST_CASE("h5py writes and reads recordings and made-up frames of every type through the plug-in",
          "[filter][plugin]") {
  CHECK(run("frames") == 0);
}

TEST_CASE("h5py names the cause of a damaged chunk", "[filter][plugin]") { CHECK(run("damage") == 0); }

TEST_CASE("h5repack puts the filter on and takes it off", "[filter][plugin]") { CHECK(run("repack") == 0); }

TEST_CASE("h5py reads frame by frame at a small part of the cost that it has without the cache",
          "[filter][plugin]") {
  CHECK(run("cache") == 0);
}
