// SPDX-License-Identifier: Apache-2.0
//
// Segment files with seeded damage: bits flipped, bytes overwritten, pieces cut out, doubled or swapped.
// Whatever the bytes: opening and reading end, nothing read is wrong, and what the damage spared is read.
// FF_FUZZ_SEED and FF_FUZZ_ROUNDS choose others and more.
#include <cstdlib>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "common/transport/segment_format.hpp"
#include "common/transport/segment_log.hpp"
#include "tests/unit/transport/temporary_folder.hpp"

namespace ff::transport {
namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<char>;

constexpr std::uint64_t kRecords = 40;

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

std::string value_of(std::uint64_t number) {
  std::string value;
  while (value.size() < 10 + number * 7 % 300) value += "record " + std::to_string(number) + " ";
  return value;
}

Bytes read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const fs::path& path, const Bytes& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<long>(bytes.size()));
}

/// One to four wounds.
void damage(Bytes& bytes, std::mt19937_64& random) {
  const auto below = [&](std::size_t end) {
    return static_cast<std::size_t>(random() % (end == 0 ? 1 : end));
  };
  for (std::size_t wound = 0, wounds = 1 + below(4); wound < wounds && !bytes.empty(); ++wound) {
    const std::size_t at = below(bytes.size());
    const std::size_t count = std::min(bytes.size() - at, 1 + below(200));
    const auto first = bytes.begin() + static_cast<long>(at), last = first + static_cast<long>(count);
    switch (below(6)) {
      case 0: bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8))); break;
      case 1: std::fill(first, last, '\0'); break;
      case 2: std::generate(first, last, [&] { return static_cast<char>(random()); }); break;
      case 3: bytes.erase(first, last); break;
      case 4: bytes.resize(at); break;
      case 5: {
        const Bytes copy(first, last);
        bytes.insert(bytes.begin() + static_cast<long>(below(bytes.size())), copy.begin(), copy.end());
        break;
      }
      default: break;
    }
  }
}

/// Reads to the end; every record that comes must be as it was written.
std::size_t read_all(const fs::path& folder, const std::string& name) {
  auto reader = SegmentReader::open(folder, name);
  if (!reader.ok()) return 0;
  std::size_t good = 0;
  std::uint64_t after = 0;
  for (int turn = 0; turn < 1000; ++turn) {
    auto record = (*reader)->next();
    if (!record.ok()) {
      REQUIRE_FALSE(record.error().message.empty());
      continue;
    }
    if (!record->has_value()) return good;
    const SegmentRecord& r = **record;
    REQUIRE(r.offset >= after);
    after = r.offset + 1;
    if (r.offset < kRecords && r.key == "k") {
      REQUIRE(as_text(r.value.bytes()) == value_of(r.offset));
      ++good;
    }
  }
  FAIL("reading does not end");
  return good;
}

}  // namespace

TEST_CASE("damaged segments are read to their end without a wrong record, and written on",
          "[property][segment]") {
  const std::uint64_t seed = number_from("FF_FUZZ_SEED", 20261121);
  const std::uint64_t rounds = number_from("FF_FUZZ_ROUNDS", 150);
  const TemporaryFolder origin;
  SegmentLogOptions options;
  options.folder = origin.path();
  options.segment_bytes = 4096;
  {
    auto log = SegmentLog::open(options);
    REQUIRE(log.ok());
    for (std::uint64_t n = 0; n < kRecords; ++n) REQUIRE((*log)->append("k", as_bytes(value_of(n))).ok());
  }
  const auto segments = list_segments(origin.path());
  REQUIRE(segments->size() >= 2);
  std::size_t read_in_all = 0;
  for (std::uint64_t round = 0; round < rounds; ++round) {
    INFO("FF_FUZZ_SEED=" << seed << " round " << round);
    std::mt19937_64 random(seed + round);
    const TemporaryFolder folder;
    const std::size_t hurt = random() % segments->size();
    for (std::size_t i = 0; i < segments->size(); ++i) {
      const std::string name = segment_file_name((*segments)[i].first_offset);
      Bytes bytes = read_file(origin.path() / name);
      if (i == hurt) damage(bytes, random);
      write_file(folder.path() / name, bytes);
    }
    read_in_all += read_all(folder.path(), "before");
    options.folder = folder.path();
    auto log = SegmentLog::open(options);
    if (!log.ok()) {
      REQUIRE(log.error().code != Errc::invalid_argument);
      continue;
    }
    const std::uint64_t next = (*log)->stats().next_offset;
    REQUIRE((*log)->append("new", as_bytes("written on")).ok());
    static_cast<void>(read_all(folder.path(), "after"));
    REQUIRE((*log)->stats().next_offset == next + 1);
  }
  CHECK(read_in_all > rounds * kRecords / 2);  // one of several segments is hurt: most records survive
}

}  // namespace ff::transport
