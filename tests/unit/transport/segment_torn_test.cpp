// SPDX-License-Identifier: Apache-2.0
// Segment files that a crash tore or a disk damaged.
#include <fstream>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "common/transport/segment_format.hpp"
#include "common/transport/segment_log.hpp"
#include "tests/unit/transport/numbered_segment_log.hpp"
#include "tests/unit/transport/temporary_folder.hpp"

namespace ff::transport {

using namespace segment_test;

TEST_CASE("a log cut at any byte of its last record opens with all records before it", "[segment]") {
  const TemporaryFolder folder;
  append_numbers(*open_log(options_for(folder.path())), 0, 3);
  const fs::path segment = newest_segment(folder.path());
  const auto whole = file_bytes(segment);
  const std::uint64_t last_record = RecordHeader{0, 0, value_of(2).size(), 4, 0}.total_bytes();
  for (std::size_t cut = whole.size() - last_record; cut < whole.size(); ++cut) {
    write_file(segment, {whole.begin(), whole.begin() + static_cast<long>(cut)});
    const auto log = open_log(options_for(folder.path()));
    REQUIRE(log->stats().next_offset == 2);
    REQUIRE(log->stats().torn_bytes_cut == cut - (whole.size() - last_record));
    REQUIRE(log->append("key2", value_of(2)).ok());
    REQUIRE(read_all(*open_reader(folder.path(), "r" + std::to_string(cut))) == numbers(0, 3));
  }
}

TEST_CASE("a log cut inside its segment header begins again", "[segment]") {
  const TemporaryFolder folder;
  append_numbers(*open_log(options_for(folder.path())), 0, 1);
  const fs::path segment = newest_segment(folder.path());
  const auto whole = file_bytes(segment);
  for (std::size_t cut = 0; cut < kSegmentHeaderBytes; ++cut) {
    write_file(segment, {whole.begin(), whole.begin() + static_cast<long>(cut)});
    const auto log = open_log(options_for(folder.path()));
    REQUIRE(log->stats().next_offset == 0);
    REQUIRE(log->append("key0", value_of(0)).ok());
  }
}

TEST_CASE("a torn header of the newest segment leaves the segments before it", "[segment]") {
  const TemporaryFolder folder;
  append_numbers(*open_log(options_for(folder.path(), 4096)), 0, 100);
  const auto newest = list_segments(folder.path())->back();
  fs::resize_file(folder.path() / segment_file_name(newest.first_offset), 10);
  const auto log = open_log(options_for(folder.path(), 4096));
  CHECK(log->stats().next_offset == newest.first_offset);
  append_numbers(*log, newest.first_offset, 120);
  CHECK(read_all(*open_reader(folder.path())) == numbers(0, 120));
}

TEST_CASE("a flipped byte loses one record, is named with file and byte, and the rest is read", "[segment]") {
  const TemporaryFolder folder;
  append_numbers(*open_log(options_for(folder.path())), 0, 3);
  const fs::path segment = newest_segment(folder.path());
  const auto whole = file_bytes(segment);
  const std::uint64_t record_bytes = RecordHeader{0, 0, value_of(0).size(), 4, 0}.total_bytes();
  int reader_number = 0;
  for (std::uint64_t at = kSegmentHeaderBytes; at < kSegmentHeaderBytes + record_bytes; ++at) {
    write_file(segment, whole);
    flip_byte(segment, at);
    std::vector<Error> errors;
    const auto offsets =
        read_all(*open_reader(folder.path(), "r" + std::to_string(reader_number++)), &errors);
    if (errors.empty()) {
      CHECK(offsets == numbers(0, 3));  // padding
      CHECK(at >= kSegmentHeaderBytes + kRecordHeaderBytes + 4 + value_of(0).size());
      continue;
    }
    REQUIRE(errors.size() == 1);
    CHECK(errors[0].code == Errc::crc_mismatch);
    CHECK_THAT(errors[0].message, Catch::Contains(segment.string() + ": byte 64"));
    CHECK(offsets == numbers(1, 3));
  }
}

TEST_CASE("damage that a later record vouches for is kept and named; the tail behind it stays", "[segment]") {
  const TemporaryFolder folder;
  {
    const auto log = open_log(options_for(folder.path()));
    append_numbers(*log, 0, 5);
    REQUIRE(log->sync().ok());
    append_numbers(*log, 5, 6);
  }
  flip_byte(newest_segment(folder.path()), kSegmentHeaderBytes + 9);  // header of record 0
  const auto log = open_log(options_for(folder.path()));
  CHECK_THAT(log->stats().damage, Catch::Contains("byte 64") && Catch::Contains("records 0 to 1"));
  CHECK(log->stats().next_offset == 6);
  CHECK(log->stats().torn_bytes_cut == 0);
  std::vector<Error> errors;
  CHECK(read_all(*open_reader(folder.path()), &errors) == numbers(1, 6));
  CHECK(errors.size() == 1);
}

TEST_CASE("a bad record that was never durable is cut with all behind it", "[segment]") {
  const TemporaryFolder folder;
  append_numbers(*open_log(options_for(folder.path())), 0, 4);
  const std::uint64_t record_bytes = RecordHeader{0, 0, value_of(0).size(), 4, 0}.total_bytes();
  flip_byte(newest_segment(folder.path()), kSegmentHeaderBytes + record_bytes + kRecordHeaderBytes + 20);
  const auto log = open_log(options_for(folder.path()));
  CHECK(log->stats().next_offset == 1);
  CHECK(log->stats().damage.empty());
  CHECK(log->stats().torn_bytes_cut > 0);
}

TEST_CASE("a segment that lost its end is named by the reader, which goes on", "[segment]") {
  const TemporaryFolder folder;
  append_numbers(*open_log(options_for(folder.path(), 4096)), 0, 60);
  const auto segments = list_segments(folder.path());
  REQUIRE(segments->size() >= 2);
  fs::resize_file(folder.path() / segment_file_name(0), (*segments)[0].bytes - 1);
  const std::uint64_t second = (*segments)[1].first_offset;
  std::vector<Error> errors;
  auto expected = numbers(0, 60);
  expected.erase(expected.begin() + static_cast<long>(second) - 1);
  CHECK(read_all(*open_reader(folder.path()), &errors) == expected);
  REQUIRE(errors.size() == 1);
  CHECK_THAT(errors[0].message, Catch::Contains("records " + std::to_string(second - 1)));
}

TEST_CASE("a damaged segment header hides none of its records", "[segment]") {
  const TemporaryFolder folder;
  append_numbers(*open_log(options_for(folder.path(), 4096)), 0, 60);
  const auto segments = list_segments(folder.path());
  flip_byte(folder.path() / segment_file_name((*segments)[1].first_offset), 20);
  CHECK(read_all(*open_reader(folder.path())) == numbers(0, 60));
}

}  // namespace ff::transport
