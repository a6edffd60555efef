// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <fstream>

#include <catch2/catch.hpp>

#include "hpc_sink/store/file_names.hpp"
#include "tests/support/coded_series.hpp"
#include "tests/support/sink_run.hpp"

namespace {

using namespace ff;
using namespace ff::test;

void write_raw(const CodedSeries& series, const std::filesystem::path& path) {
  std::ofstream file(path, std::ios::binary);
  const std::vector<std::byte> hole(series.options.shape.bytes(), std::byte{0xff});
  for (const auto& frame : series.frames) {
    const auto& pixels = frame.empty() ? hole : frame;
    file.write(reinterpret_cast<const char*>(pixels.data()), static_cast<std::streamsize>(pixels.size()));
  }
}

}  // namespace

// Readers that nobody here wrote: h5py and the public bitshuffle plug-in. FF_PYTHON names a Python that has them.
TEST_CASE("h5py and hdf5plugin read every pixel, also after the series' folder was moved", "[sink][path]") {
  const char* const python = std::getenv("FF_PYTHON");
  const char* const script = std::getenv("FF_H5PY_READER");
  if (python == nullptr || script == nullptr || !std::filesystem::exists(python))
    FAIL(
        "FF_PYTHON must name a Python with h5py and hdf5plugin (tools/setup makes one), FF_H5PY_READER the "
        "reading script; ctest sets both");
  for (const char* compression : {"bslz4", "deflate", "none"}) {
    INFO(compression);
    const CodedSeries series = make_coded_series({.frames = 21, .lost = {7}});
    const TemporaryFolder store, elsewhere;
    const auto log = std::make_shared<FakeLog>();
    append_to(*log, series, series.records);
    auto config = quick_config(store.path());
    config.store_compression = compression;
    REQUIRE(run_over(log, config).summary.ok());
    write_raw(series, store.path() / "frames.raw");
    std::filesystem::rename(store.path() / series.options.uid.to_string(), elsewhere.path() / "moved");
    const std::string master = sink::master_file_name(series.options.uid, series.options.detector);
    const std::string command =
        "'" + std::string(python) + "' '" + script + "' '" +
        (elsewhere.path() / "moved" / std::filesystem::path(master).filename()).string() + "' '" +
        (store.path() / "frames.raw").string() + "'";
    CHECK(std::system(command.c_str()) == 0);
  }
}
