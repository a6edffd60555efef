// SPDX-License-Identifier: Apache-2.0
//
// SinkRun: run_sink with a reader on a FakeLog; reading back through HDF5's virtual datasets.
#include "tests/support/sink_run.hpp"

#include <cstdlib>
#include <unistd.h>

#include "common/base/check.hpp"
#include "hpc_sink/store/hdf5_writer.hpp"

namespace ff::test {

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "foreframe-test-XXXXXX").string();
  FF_CHECK(::mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

sink::SinkConfig quick_config(const std::filesystem::path& store) {
  sink::SinkConfig config;
  config.store_path = store;
  config.exit_when_closed = true;
  config.window_timeout = std::chrono::milliseconds(300);
  config.grace = std::chrono::milliseconds(150);
  config.replay_timeout = std::chrono::milliseconds(400);
  config.replay_pause = std::chrono::milliseconds(100);
  config.series_idle_timeout = std::chrono::seconds(2);
  config.retry_max = std::chrono::milliseconds(200);
  config.memory_max_bytes = 64u << 20;
  return config;
}

SinkOutcome run_over(const std::shared_ptr<FakeLog>& log, const sink::SinkConfig& config,
                     sink::StoreStepHook step, sink::OpenLedgerWriter open_ledger,
                     sink::OpenFeedReader open_ledger_reader) {
  service::StopSignal stop;
  service::Metrics metrics("sink");
  service::Health health;
  if (!open_ledger) open_ledger = [&](Error& why) { return log->open_writer(why); };
  if (!open_ledger_reader)
    open_ledger_reader = [&](Error&) { return std::make_unique<FakeLedgerReader>(*log); };
  auto summary =
      sink::run_sink(config, {.stop = stop,
                              .metrics = metrics,
                              .health = health,
                              .open_log = [&](Error&) { return std::make_unique<FakeLogReader>(log); },
                              .open_ledger = std::move(open_ledger),
                              .open_ledger_reader = std::move(open_ledger_reader),
                              .open_receipts = [&](Error& why) { return log->open_writer(why); },
                              .progress = [] {},
                              .ready = [] {},
                              .step = std::move(step)});
  return {std::move(summary), metrics.render()};
}

std::filesystem::path catalogue_of(const std::filesystem::path& store) {
  return sink::catalogue_path(store, sink::SinkConfig().sink_name);
}

sink::SeriesLedger only_ledger(const std::filesystem::path& store) {
  auto catalogue = sink::Catalogue::open_read_only(catalogue_of(store));
  FF_CHECK(catalogue.ok());
  const auto series = (*catalogue)->series();
  FF_CHECK(series.ok() && series->size() == 1);
  auto ledger = sink::build_ledger(**catalogue, series->front());
  FF_CHECK(ledger.ok());
  return std::move(*ledger);
}

MasterContent read_master(const std::filesystem::path& master, const FrameShape& shape,
                          const std::string& dataset) {
  FF_CHECK(sink::prepare_hdf5().ok());
  const sink::Hdf5Id file(H5Fopen(master.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  FF_CHECK(file.valid());
  const sink::Hdf5Id set(H5Dopen2(file.get(), ("entry/data/" + dataset).c_str(), H5P_DEFAULT), H5Dclose);
  const sink::Hdf5Id space(H5Dget_space(set.get()), H5Sclose);
  hsize_t extent[3] = {};
  FF_CHECK(H5Sget_simple_extent_dims(space.get(), extent, nullptr) == 3);
  FF_CHECK(extent[1] == shape.rows && extent[2] == shape.cols);
  MasterContent content;
  const hsize_t one[3] = {1, extent[1], extent[2]};
  const sink::Hdf5Id in_memory(H5Screate_simple(3, one, nullptr), H5Sclose);
  const sink::Hdf5Id type = sink::pixel_type(shape.dtype);
  for (hsize_t frame = 0; frame < extent[0]; ++frame) {
    const hsize_t start[3] = {frame, 0, 0};
    H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start, nullptr, one, nullptr);
    std::vector<std::byte> pixels(shape.bytes());
    FF_CHECK(H5Dread(set.get(), type.get(), in_memory.get(), space.get(), H5P_DEFAULT, pixels.data()) >= 0);
    content.frames.push_back(std::move(pixels));
  }
  content.states.resize(extent[0]);
  const std::string state = "entry/data/state" + dataset.substr(4);
  const sink::Hdf5Id states(H5Dopen2(file.get(), state.c_str(), H5P_DEFAULT), H5Dclose);
  FF_CHECK(extent[0] == 0 || H5Dread(states.get(), H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT,
                                     content.states.data()) >= 0);
  return content;
}

}  // namespace ff::test
