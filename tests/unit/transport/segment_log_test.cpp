// SPDX-License-Identifier: Apache-2.0
#include "common/transport/segment_log.hpp"

#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <signal.h>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <catch2/catch.hpp>

#include "common/transport/segment_format.hpp"
#include "tests/unit/transport/numbered_segment_log.hpp"
#include "tests/unit/transport/temporary_folder.hpp"

namespace ff::transport {

using namespace segment_test;

TEST_CASE("records come back in order over many segments and after a restart", "[segment]") {
  const TemporaryFolder folder;
  {
    const auto log = open_log(options_for(folder.path(), 4096));
    append_numbers(*log, 0, 200);
    REQUIRE(list_segments(folder.path())->size() > 3);
  }
  const auto log = open_log(options_for(folder.path(), 4096));
  CHECK(log->stats().next_offset == 200);
  CHECK(log->stats().torn_bytes_cut == 0);
  append_numbers(*log, 200, 250);
  const auto reader = open_reader(folder.path());
  CHECK(read_all(*reader) == numbers(0, 250));
  CHECK(reader->end_offset() == 250);
}

TEST_CASE("a second writer and a second reader of the same name are refused", "[segment]") {
  const TemporaryFolder folder;
  const auto log = open_log(options_for(folder.path()));
  const auto second = SegmentLog::open(options_for(folder.path()));
  REQUIRE_FALSE(second.ok());
  CHECK(second.error().code == Errc::refused);
  const auto reader = open_reader(folder.path());
  const auto same_name = SegmentReader::open(folder.path(), "sink");
  REQUIRE_FALSE(same_name.ok());
  CHECK(same_name.error().code == Errc::refused);
  CHECK(SegmentReader::open(folder.path(), "other").ok());
  CHECK(SegmentReader::open(folder.path(), "../evil").error().code == Errc::invalid_argument);
  CHECK(SegmentReader::open(folder.path() / "nowhere", "sink").error().code == Errc::not_found);
}

TEST_CASE("a reader goes on at its cursor after a restart, and rewinds to it", "[segment]") {
  const TemporaryFolder folder;
  const auto log = open_log(options_for(folder.path(), 4096));
  append_numbers(*log, 0, 100);
  {
    const auto reader = open_reader(folder.path());
    CHECK(read_all(*reader) == numbers(0, 100));
    REQUIRE(reader->commit(70).ok());
    CHECK(reader->commit(40).ok());  // already true
    CHECK(reader->committed() == 70);
    CHECK(reader->commit(101).error().code == Errc::out_of_range);
    reader->rewind();
    CHECK(read_all(*reader) == numbers(70, 100));
  }
  CHECK(log->lowest_cursor() == 70);
  CHECK(read_all(*open_reader(folder.path())) == numbers(70, 100));
}

TEST_CASE("offsets that a reader passed are not used again after a power cut", "[segment]") {
  const TemporaryFolder folder;
  append_numbers(*open_log(options_for(folder.path())), 0, 10);
  {
    const auto reader = open_reader(folder.path());
    CHECK(read_all(*reader).size() == 10);
    REQUIRE(reader->commit(10).ok());
  }
  const fs::path segment = newest_segment(folder.path());
  fs::resize_file(segment, fs::file_size(segment) - 300);  // the last two records never became durable
  const auto log = open_log(options_for(folder.path()));
  CHECK(log->stats().next_offset == 10);
  append_numbers(*log, 10, 12);
  CHECK(read_all(*open_reader(folder.path())) == numbers(10, 12));
  const auto all = read_all(*open_reader(folder.path(), "from_the_start"));
  CHECK(all.size() < 12);  // the cut ones are skipped without an error: nobody was promised them
  CHECK(all.back() == 11);
}

TEST_CASE("an emptied folder makes an old cursor start at the oldest record", "[segment]") {
  const TemporaryFolder folder;
  append_numbers(*open_log(options_for(folder.path())), 0, 10);
  {
    const auto reader = open_reader(folder.path());
    CHECK(read_all(*reader).size() == 10);
    REQUIRE(reader->commit(10).ok());
  }
  fs::remove(newest_segment(folder.path()));
  const auto log = open_log(options_for(folder.path()));
  append_numbers(*log, 0, 3);
  CHECK(log->lowest_cursor() == 0);
  CHECK(read_all(*open_reader(folder.path())) == numbers(0, 3));
}

TEST_CASE("a reader in another process sees every record while the writer rolls and frees", "[segment]") {
  const TemporaryFolder folder;
  constexpr std::uint64_t kRecords = 5000;
  auto log = open_log(options_for(folder.path(), 8192));
  const pid_t child = ::fork();
  if (child == 0) {
    auto reader = SegmentReader::open(folder.path(), "sink");
    std::uint64_t next = 0;
    while (reader.ok() && next < kRecords) {
      auto record = (*reader)->next();
      if (!record.ok()) ::_exit(2);
      if (!record->has_value()) continue;
      const auto expected = value_of(next);
      const auto got = (*record)->value.bytes();
      if ((*record)->offset != next || !std::equal(got.begin(), got.end(), expected.begin(), expected.end()))
        ::_exit(3);
      if (++next % 100 == 0 && !(*reader)->commit(next).ok()) ::_exit(4);
    }
    ::_exit(reader.ok() ? 0 : 5);
  }
  for (std::uint64_t n = 0; n < kRecords; ++n) {
    REQUIRE(log->append("k", value_of(n)).ok());
    if (n % 50 == 0) {
      REQUIRE(log->sync_if_due().ok());
      if (const auto lowest = log->lowest_cursor()) REQUIRE(log->free_below(*lowest).ok());
    }
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(log->lowest_cursor() == kRecords);
}

TEST_CASE("a log with a backlog of 100 GiB opens in well under two seconds", "[segment]") {
  const TemporaryFolder folder;
  auto options = options_for(folder.path(), 128ull << 20);
  append_numbers(*open_log(options), 0, 1);
  // Old segments are known by name and size alone; sparse files stand for 800 of them.
  const auto header = file_bytes(newest_segment(folder.path()));
  fs::rename(newest_segment(folder.path()), folder.path() / "kept");
  for (std::uint64_t i = 0; i < 800; ++i) {
    const fs::path path = folder.path() / segment_file_name(i * 1000);
    const auto packed = pack(SegmentHeader{i * 1000, i * 1000, {}, 0});
    std::vector<char> bytes(packed.size());
    std::memcpy(bytes.data(), packed.data(), packed.size());
    write_file(path, bytes);
    if (i < 799) fs::resize_file(path, 128ull << 20);
  }
  options.log_bytes_max = 200ull << 30;
  const auto begin = std::chrono::steady_clock::now();
  const auto log = open_log(options);
  const auto took = std::chrono::steady_clock::now() - begin;
  CHECK(took < std::chrono::milliseconds(500));
  CHECK(log->stats().bytes > (99ull << 30));
  CHECK(log->stats().next_offset == 799'000);
  CHECK(log->append("k", value_of(1)).ok());
}

}  // namespace ff::transport
