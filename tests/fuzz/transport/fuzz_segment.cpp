// SPDX-License-Identifier: Apache-2.0
//
// Fuzz target: a segment file of the log. Whatever the bytes: opening and reading end, no record is wrong, and the log
// can be written on.
//
// Input: one byte, the offset that the file's name says; then the file. What the damage of one file spares in the
// others is tests/property/segment's.
#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "common/base/check.hpp"
#include "common/transport/segment_format.hpp"
#include "common/transport/segment_log.hpp"
#include "tests/fuzz/fuzz_target.hpp"
#include "tests/unit/transport/temporary_folder.hpp"

namespace {

using namespace ff;
using namespace ff::fuzz;
using namespace ff::transport;

constexpr std::uint64_t kRecords = 12;

std::string value_of(std::uint64_t number) {
  std::string value;
  while (value.size() < 10 + number * 7 % 90) value += "record " + std::to_string(number) + " ";
  return value;
}

// Reads to the end; a record that says it is one of the seeds' must be it. How many were read.
std::size_t read_all(const std::filesystem::path& folder, std::size_t file_bytes) {
  auto reader = SegmentReader::open(folder, "fuzz");
  if (!reader.ok()) return 0;
  std::size_t good = 0;
  std::uint64_t after = 0;
  for (std::size_t turn = 0; turn <= file_bytes + 2; ++turn) {
    auto record = (*reader)->next();
    if (!record.ok()) {
      FF_CHECK(!record.error().message.empty());
      continue;
    }
    if (!record->has_value()) return good;
    const SegmentRecord& r = **record;
    FF_CHECK(r.offset >= after);
    after = r.offset + 1;
    if (r.key == "k" && r.offset < kRecords) {
      FF_CHECK(as_text(r.value.bytes()) == value_of(r.offset));
      ++good;
    }
  }
  FF_CHECK(!"reading does not end");
  return good;
}

Verdict run(ByteSpan input) {
  if (input.empty()) return Verdict::refused;
  const TemporaryFolder folder;
  const ByteSpan file = input.subspan(1);
  const std::string name = segment_file_name(std::to_integer<std::uint64_t>(input[0]));
  std::ofstream(folder.path() / name, std::ios::binary)
      .write(reinterpret_cast<const char*>(file.data()), static_cast<std::streamsize>(file.size()));
  const std::size_t read = read_all(folder.path(), file.size());
  SegmentLogOptions options;
  options.folder = folder.path();
  auto log = SegmentLog::open(options);
  if (!log.ok()) {
    FF_CHECK(log.error().code != Errc::invalid_argument);
    return Verdict::refused;
  }
  const std::uint64_t next = (*log)->stats().next_offset;
  FF_CHECK((*log)->append("new", as_bytes("written on")).ok());
  FF_CHECK((*log)->stats().next_offset == next + 1);
  return read > 0 ? Verdict::accepted : Verdict::refused;
}

std::vector<Bytes> seeds() {
  const TemporaryFolder folder;
  SegmentLogOptions options;
  options.folder = folder.path();
  options.segment_bytes = 512;
  {
    auto log = SegmentLog::open(options);
    FF_CHECK(log.ok());
    for (std::uint64_t n = 0; n < kRecords; ++n) FF_CHECK((*log)->append("k", as_bytes(value_of(n))).ok());
  }
  std::map<std::uint64_t, std::filesystem::path> segments;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    const auto first = parse_segment_file_name(entry.path().filename().string());
    if (first) segments[*first] = entry.path();
  }
  std::vector<Bytes> inputs;
  for (const auto& [first, path] : segments) {
    std::ifstream file(path, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    Bytes input(1 + text.size(), static_cast<std::byte>(first));
    std::ranges::copy(as_bytes(text), input.begin() + 1);
    inputs.push_back(std::move(input));
  }
  return inputs;
}

}  // namespace

FF_FUZZ_TARGET(segment, run, seeds, damage_bytes);
