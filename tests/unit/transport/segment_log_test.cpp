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
#include "tests/unit/transport/temporary_folder.hpp"

namespace ff::transport {
namespace {

namespace fs = std::filesystem;

/// A value whose bytes tell its number, of a length that is not a multiple of the alignment.
std::vector<std::byte> value_of(std::uint64_t number, std::size_t bytes = 100) {
  std::vector<std::byte> value(bytes + number % 7);
  for (std::size_t i = 0; i < value.size(); ++i) value[i] = static_cast<std::byte>(number * 31 + i);
  return value;
}

SegmentLogOptions options_for(const fs::path& folder, std::uint64_t segment_bytes = 1 << 20) {
  SegmentLogOptions options;
  options.folder = folder;
  options.segment_bytes = segment_bytes;
  return options;
}

std::unique_ptr<SegmentLog> open_log(const SegmentLogOptions& options) {
  auto log = SegmentLog::open(options);
  if (!log.ok()) FAIL(log.error().message);
  return std::move(log).value();
}

std::unique_ptr<SegmentReader> open_reader(const fs::path& folder, const std::string& name = "sink") {
  auto reader = SegmentReader::open(folder, name);
  if (!reader.ok()) FAIL(reader.error().message);
  return std::move(reader).value();
}

void append_numbers(SegmentLog& log, std::uint64_t first, std::uint64_t end) {
  for (std::uint64_t n = first; n < end; ++n) {
    const auto offset = log.append("key" + std::to_string(n), value_of(n));
    REQUIRE(offset.ok());
    REQUIRE(*offset == n);
  }
}

/// Reads until nothing comes; checks that record n says n. Returns the offsets read.
std::vector<std::uint64_t> read_all(SegmentReader& reader, std::vector<Error>* errors = nullptr) {
  std::vector<std::uint64_t> offsets;
  for (int turn = 0; turn < 100'000; ++turn) {
    auto record = reader.next();
    if (!record.ok()) {
      if (errors == nullptr) FAIL(record.error().message);
      errors->push_back(record.error());
      continue;
    }
    if (!record->has_value()) return offsets;
    const SegmentRecord& r = **record;
    REQUIRE(r.key == "key" + std::to_string(r.offset));
    const auto expected = value_of(r.offset);
    REQUIRE(std::equal(expected.begin(), expected.end(), r.value.bytes().begin(), r.value.bytes().end()));
    offsets.push_back(r.offset);
  }
  FAIL("the reader never reached the end");
  return offsets;
}

std::vector<std::uint64_t> numbers(std::uint64_t first, std::uint64_t end) {
  std::vector<std::uint64_t> all;
  for (; first < end; ++first) all.push_back(first);
  return all;
}

std::vector<char> file_bytes(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const fs::path& path, const std::vector<char>& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<long>(bytes.size()));
}

void flip_byte(const fs::path& path, std::uint64_t position) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(static_cast<long>(position));
  const int old = file.get();
  file.seekp(static_cast<long>(position));
  file.put(static_cast<char>(old ^ 0x40));
}

fs::path newest_segment(const fs::path& folder) {
  const auto segments = list_segments(folder);
  return folder / segment_file_name(segments->back().first_offset);
}

}  // namespace

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
