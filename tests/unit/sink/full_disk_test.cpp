// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <csignal>
#include <sys/resource.h>
#include <thread>

#include <catch2/catch.hpp>

#include "hpc_sink/store/file_names.hpp"
#include "tests/support/coded_series.hpp"
#include "tests/support/sink_run.hpp"

namespace {

using namespace ff;
using namespace ff::test;

// A limit on file sizes is a full disk that needs no rights and no file system of its own: EFBIG for ENOSPC.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { lift(); }
  void lift() const { ::setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

std::size_t files_named(const std::filesystem::path& store, const std::string& part_of_name) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(store))
    count += entry.path().filename().string().find(part_of_name) != std::string::npos;
  return count;
}

}  // namespace

TEST_CASE("a full disk holds the sink up and costs no frame; no partial file looks whole",
          "[sink][path][patient]") {
  const CodedSeries series =
      make_coded_series({.shape = {Dtype::u32, 400, 400}, .tile_rows = 200, .tile_cols = 200, .frames = 24});
  const TemporaryFolder store;
  const auto log = std::make_shared<FakeLog>();
  append_to(*log, series, series.records);
  const FileSizeLimit limit(512 * 1024);
  std::size_t whole_while_full = 99;
  std::int64_t committed_while_full = 99;
  std::thread operator_who_makes_room([&] {
    std::this_thread::sleep_for(std::chrono::seconds(1));
    whole_while_full = files_named(store.path(), ".h5") - files_named(store.path(), ".part");
    committed_while_full =
        log->committed(transport::Topic::blocks, 0) + log->committed(transport::Topic::blocks, 1);
    limit.lift();
  });
  auto config = quick_config(store.path());
  const SinkOutcome outcome = run_over(log, config);
  operator_who_makes_room.join();
  REQUIRE(outcome.summary.ok());
  CHECK(whole_while_full == 0);
  CHECK(committed_while_full == 0);
  CHECK(files_named(store.path(), ".part") == 0);
  // Where the file system can't say beforehand that there is no room, the path begins again instead of waiting.
  const bool waited = outcome.metrics.find("foreframe_sink_store_retries_total 0") == std::string::npos;
  const bool began_again = outcome.metrics.find("foreframe_sink_path_restarts_total 0") == std::string::npos;
  CHECK((waited || began_again));
  const auto master = store.path() / sink::master_file_name(series.options.uid, series.options.detector);
  CHECK((read_master(master, series.options.shape).frames == series.frames));
  CHECK(only_ledger(store.path()).closes());
}
