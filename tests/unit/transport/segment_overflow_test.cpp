// SPDX-License-Identifier: Apache-2.0
//
// SegmentLog with a second folder: one log, one numbering, one cursor, whichever disk a segment lies on.
#include <catch2/catch.hpp>

#include "common/transport/segment_log.hpp"
#include "tests/support/temp_dir.hpp"

using namespace ff;
using namespace ff::transport;

namespace {

SegmentLogOptions options_in(const std::filesystem::path& folder) {
  SegmentLogOptions options;
  options.folder = folder / "log";
  options.segment_bytes = 16 << 10;
  options.log_bytes_max = 64 << 10;
  options.overflow_folder = folder / "other-disk";
  options.overflow_bytes_max = 64 << 10;
  return options;
}

std::vector<std::byte> record_of(std::uint64_t i) {
  return std::vector<std::byte>(4000, static_cast<std::byte>(i));
}

std::uint64_t fill(SegmentLog& log, std::uint64_t from) {
  while (log.append("", record_of(from)).ok()) ++from;
  return from;
}

std::size_t files_in(const std::filesystem::path& folder) {
  std::size_t files = 0;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder, ignored))
    files += entry.is_regular_file() ? 1 : 0;
  return files;
}

}  // namespace

TEST_CASE("a log goes on in its overflow folder, and everything is read in order", "[segment]") {
  test::TempDir folder;
  const auto options = options_in(folder.path());
  std::uint64_t end = 0;
  {
    auto log = std::move(SegmentLog::open(options).value());
    end = fill(*log, 0);
    CHECK(end > 26);  // 16 would fit without
    CHECK(log->stats().overflow_bytes > (40 << 10));
    CHECK(log->stats().bytes <= log->stats().bytes_max);
    CHECK(log->append("", record_of(0)).error().code == Errc::disk_full);
  }
  auto log = std::move(SegmentLog::open(options).value());  // a restart knows which is where
  CHECK(log->stats().next_offset == end);
  CHECK(log->stats().overflow_bytes > (40 << 10));
  auto reader = std::move(SegmentReader::open(options.folder, "reader").value());
  for (std::uint64_t i = 0; i < end; ++i) {
    const auto record = reader->next();
    REQUIRE(record.ok());
    REQUIRE(record->has_value());
    CHECK((*record)->offset == i);
    CHECK((*record)->value.bytes()[17] == static_cast<std::byte>(i));
  }
}

TEST_CASE("freed segments give room back on their own disk, and the first disk is used again", "[segment]") {
  test::TempDir folder;
  const auto options = options_in(folder.path());
  auto log = std::move(SegmentLog::open(options).value());
  std::uint64_t end = fill(*log, 0);
  const std::size_t files = files_in(options.overflow_folder);
  CHECK(files >= 3);
  REQUIRE(log->free_below(end).ok());
  CHECK(files_in(options.overflow_folder) <= 1);
  const std::uint64_t overflow = log->stats().overflow_bytes;
  for (int i = 0; i < 12; ++i) REQUIRE(log->append("", record_of(end++)).ok());
  CHECK(log->stats().overflow_bytes <= overflow + (16 << 10));
  CHECK(log->stats().bytes - log->stats().overflow_bytes > (16 << 10));
}

TEST_CASE("a log whose overflow disk is not there does not open as if nothing was missing", "[segment]") {
  test::TempDir folder;
  const auto options = options_in(folder.path());
  {
    auto log = std::move(SegmentLog::open(options).value());
    fill(*log, 0);
  }
  std::filesystem::rename(options.overflow_folder, folder.path() / "unmounted");
  const auto log = SegmentLog::open(options);
  REQUIRE_FALSE(log.ok());
  CHECK(log.error().code == Errc::not_found);
  CHECK(log.error().message.find("mounted") != std::string::npos);
}

TEST_CASE("what a crash left in the overflow folder without a link is removed", "[segment]") {
  test::TempDir folder;
  const auto options = options_in(folder.path());
  std::filesystem::path stray;
  {
    auto log = std::move(SegmentLog::open(options).value());
    fill(*log, 0);
    for (const auto& entry : std::filesystem::recursive_directory_iterator(options.overflow_folder))
      if (entry.is_regular_file()) stray = entry.path().parent_path() / "segment-00000000000000099999.ffs";
  }
  std::filesystem::copy_file(options.folder / "segment-00000000000000000000.ffs", stray);
  auto log = std::move(SegmentLog::open(options).value());
  CHECK_FALSE(std::filesystem::exists(stray));
}
