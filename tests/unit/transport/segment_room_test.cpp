// SPDX-License-Identifier: Apache-2.0
// A segment log whose room ends, whose records are freed, and whose records become durable.
#include <chrono>
#include <signal.h>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <catch2/catch.hpp>

#include "common/transport/segment_format.hpp"
#include "common/transport/segment_log.hpp"
#include "tests/unit/transport/numbered_segment_log.hpp"
#include "tests/unit/transport/temporary_folder.hpp"

namespace ff::transport {

using namespace segment_test;

TEST_CASE("a full log refuses, stays whole, and takes records again once segments are freed", "[segment]") {
  const TemporaryFolder folder;
  auto options = options_for(folder.path(), 4096);
  options.log_bytes_max = 16384;
  const auto log = open_log(options);
  const auto reader = open_reader(folder.path());
  std::uint64_t count = 0;
  for (;; ++count) {
    const auto offset = log->append("key" + std::to_string(count), value_of(count));
    if (offset.ok()) continue;
    CHECK(offset.error().code == Errc::disk_full);
    break;
  }
  CHECK(count > 50);
  CHECK(log->stats().bytes <= options.log_bytes_max);
  CHECK(read_all(*reader) == numbers(0, count));
  REQUIRE(log->free_below(*log->lowest_cursor()).ok());
  CHECK_FALSE(log->append("key", value_of(0)).ok());  // nothing committed yet
  REQUIRE(reader->commit(count).ok());
  REQUIRE(log->free_below(*log->lowest_cursor()).ok());
  append_numbers(*log, count, count + 20);
  CHECK(read_all(*reader) == numbers(count, count + 20));
}

TEST_CASE("a disk that fills in the middle of a record leaves the log ending with a whole one", "[segment]") {
  const TemporaryFolder folder;
  const pid_t child = ::fork();
  if (child == 0) {  // a file size limit is the disk that fills; it lasts for the process
    const rlimit limit{3000, 3000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    ::signal(SIGXFSZ, SIG_IGN);
    auto log = SegmentLog::open(options_for(folder.path()));
    std::uint64_t taken = 0;
    while (log.ok() && (*log)->append("key" + std::to_string(taken), value_of(taken)).ok()) ++taken;
    const bool small_fits = log.ok() && (*log)->append("k", {}).ok();
    ::_exit(small_fits ? static_cast<int>(taken) : 0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  REQUIRE(WIFEXITED(status));
  const auto taken = static_cast<std::uint64_t>(WEXITSTATUS(status));
  REQUIRE(taken > 5);
  const auto log = open_log(options_for(folder.path()));
  CHECK(log->stats().next_offset == taken + 1);
  CHECK(log->stats().torn_bytes_cut == 0);
}

TEST_CASE("too large keys and values are refused before anything is written", "[segment]") {
  const TemporaryFolder folder;
  auto options = options_for(folder.path());
  options.record_bytes_max = 1000;
  const auto log = open_log(options);
  CHECK(log->append("k", std::vector<std::byte>(1001)).error().code == Errc::too_large);
  CHECK(log->append(std::string(kRecordKeyBytesMax + 1, 'k'), {}).error().code == Errc::too_large);
  CHECK(log->append("k", std::vector<std::byte>(1000)).ok());
  CHECK(log->append("", {}).ok());
}

TEST_CASE("a record larger than a segment gets one of its own", "[segment]") {
  const TemporaryFolder folder;
  const auto log = open_log(options_for(folder.path(), 4096));
  for (std::uint64_t n = 0; n < 4; ++n)
    REQUIRE(log->append("big", std::vector<std::byte>(10'000, std::byte{1})).ok());
  CHECK(list_segments(folder.path())->size() == 4);
  const auto reader = open_reader(folder.path());
  for (std::uint64_t n = 0; n < 4; ++n) CHECK((*reader->next())->value.size() == 10'000);
}

TEST_CASE("records freed before they were read are a named gap", "[segment]") {
  const TemporaryFolder folder;
  const auto log = open_log(options_for(folder.path(), 4096));
  append_numbers(*log, 0, 100);
  const auto reader = open_reader(folder.path());
  REQUIRE(log->free_below(60).ok());
  const std::uint64_t oldest = log->stats().first_offset;
  REQUIRE(oldest > 0);
  std::vector<Error> errors;
  CHECK(read_all(*reader, &errors) == numbers(oldest, 100));
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].code == Errc::out_of_range);
  CHECK_THAT(errors[0].message, Catch::Contains("records 0 to " + std::to_string(oldest)));
}

TEST_CASE("a segment freed while a reader stands in it is left for the next one", "[segment]") {
  const TemporaryFolder folder;
  const auto log = open_log(options_for(folder.path(), 4096));
  append_numbers(*log, 0, 10);
  const auto reader = open_reader(folder.path());
  CHECK(read_all(*reader) == numbers(0, 10));
  append_numbers(*log, 10, 100);
  REQUIRE(log->free_below(95).ok());
  const std::uint64_t oldest = log->stats().first_offset;
  std::vector<Error> errors;
  const auto offsets = read_all(*reader, &errors);  // what is still open may be read, the gap is named
  CHECK(offsets.back() == 99);
  CHECK(errors.size() == 1);
  CHECK(std::ranges::find(offsets, oldest) != offsets.end());
}

TEST_CASE("an fsync on another thread vouches for what was written before it, and for no more", "[segment]") {
  const TemporaryFolder folder;
  auto options = options_for(folder.path());
  options.fsync_interval = std::chrono::hours(1);
  options.writes_back = false;
  const auto log = open_log(options);
  append_numbers(*log, 0, 10);
  const auto first = log->begin_sync();
  REQUIRE(first.ok());
  CHECK(first->next_offset() == 10);
  append_numbers(*log, 10, 20);
  CHECK(log->end_sync(*first, first->run()).ok());
  append_numbers(*log, 20, 21);  // its header says how much was durable when it was written

  const auto segments = list_segments(folder.path());
  REQUIRE(segments.ok());
  std::ifstream file(folder.path() / segment_file_name(0), std::ios::binary);
  std::vector<char> bytes((std::istreambuf_iterator<char>(file)), {});
  std::uint64_t position = kSegmentHeaderBytes, begin_of_ten = 0, synced = 0;
  for (std::uint64_t n = 0; n <= 20; ++n) {
    const auto header = unpack_record_header(
        ByteSpan(reinterpret_cast<const std::byte*>(bytes.data()) + position, kRecordHeaderBytes));
    REQUIRE(header.has_value());
    if (n == 10) begin_of_ten = position;
    synced = header->synced_bytes;
    position += header->total_bytes();
  }
  CHECK(synced == begin_of_ten);
}

TEST_CASE("an fsync may end after its segment was left, and a failed one closes the log", "[segment]") {
  const TemporaryFolder folder;
  const auto log = open_log(options_for(folder.path(), 4096));
  append_numbers(*log, 0, 5);
  const auto old = log->begin_sync();
  REQUIRE(old.ok());
  append_numbers(*log, 5, 100);  // several segments further
  CHECK(log->end_sync(*old, old->run()).ok());
  const auto failing = log->begin_sync();
  REQUIRE(failing.ok());
  CHECK(log->end_sync(*failing, Error{Errc::io_error, "disk gone"}).error().code == Errc::io_error);
  CHECK(log->append("k", value_of(1)).error().message == "disk gone");
  CHECK(log->begin_sync().error().code == Errc::io_error);
  CHECK(log->sync().error().code == Errc::io_error);
}

}  // namespace ff::transport
