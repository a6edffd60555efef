// SPDX-License-Identifier: Apache-2.0
//
// A segment log whose records tell their own numbers, and hands that damage its files, for the tests of the segment
// log.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "common/transport/segment_format.hpp"
#include "common/transport/segment_log.hpp"

namespace ff::transport::segment_test {

namespace fs = std::filesystem;

/// A value whose bytes tell its number, of a length that is not a multiple of the alignment.
inline std::vector<std::byte> value_of(std::uint64_t number, std::size_t bytes = 100) {
  std::vector<std::byte> value(bytes + number % 7);
  for (std::size_t i = 0; i < value.size(); ++i) value[i] = static_cast<std::byte>(number * 31 + i);
  return value;
}

inline SegmentLogOptions options_for(const fs::path& folder, std::uint64_t segment_bytes = 1 << 20) {
  SegmentLogOptions options;
  options.folder = folder;
  options.segment_bytes = segment_bytes;
  return options;
}

inline std::unique_ptr<SegmentLog> open_log(const SegmentLogOptions& options) {
  auto log = SegmentLog::open(options);
  if (!log.ok()) FAIL(log.error().message);
  return std::move(log).value();
}

inline std::unique_ptr<SegmentReader> open_reader(const fs::path& folder, const std::string& name = "sink") {
  auto reader = SegmentReader::open(folder, name);
  if (!reader.ok()) FAIL(reader.error().message);
  return std::move(reader).value();
}

inline void append_numbers(SegmentLog& log, std::uint64_t first, std::uint64_t end) {
  for (std::uint64_t n = first; n < end; ++n) {
    const auto offset = log.append("key" + std::to_string(n), value_of(n));
    REQUIRE(offset.ok());
    REQUIRE(*offset == n);
  }
}

/// Reads until nothing comes; checks that record n says n. Returns the offsets read.
inline std::vector<std::uint64_t> read_all(SegmentReader& reader, std::vector<Error>* errors = nullptr) {
  std::vector<std::uint64_t> offsets;
  for (int turn = 0; turn < 100'000; ++turn) {
    auto record = reader.next();
    if (!record.ok()) {
      if (errors == nullptr) {
        FAIL(record.error().message);
        return offsets;
      }
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

inline std::vector<std::uint64_t> numbers(std::uint64_t first, std::uint64_t end) {
  std::vector<std::uint64_t> all;
  for (; first < end; ++first) all.push_back(first);
  return all;
}

inline std::vector<char> file_bytes(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_file(const fs::path& path, const std::vector<char>& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<long>(bytes.size()));
}

inline void flip_byte(const fs::path& path, std::uint64_t position) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(static_cast<long>(position));
  const int old = file.get();
  file.seekp(static_cast<long>(position));
  file.put(static_cast<char>(old ^ 0x40));
}

inline fs::path newest_segment(const fs::path& folder) {
  const auto segments = list_segments(folder);
  return folder / segment_file_name(segments->back().first_offset);
}

}  // namespace ff::transport::segment_test
