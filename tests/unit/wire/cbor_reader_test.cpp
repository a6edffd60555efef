// SPDX-License-Identifier: Apache-2.0
//
// CborReader: hostile nesting, counts and lengths end in a named error.
#include "common/wire/cbor_reader.hpp"

#include <catch2/catch.hpp>

#include "tests/support/cbor_build.hpp"

using namespace ff;
using namespace ff::wire;
using ff::test::CborBuild;

TEST_CASE("a container is walked entry by entry, whatever its entries hold", "[wire]") {
  CborBuild build;
  build.array(3).number(7).map(1).text("a").array(2).boolean(true).null().floating(0.5);
  CborReader in(build.bytes());
  auto entries = in.enter_array();
  REQUIRE(entries.ok());
  REQUIRE(in.more(*entries).value());
  CHECK(in.read_unsigned().value() == 7);
  REQUIRE(in.more(*entries).value());
  REQUIRE(in.skip().ok());
  REQUIRE(in.more(*entries).value());
  CHECK(in.read_number().value() == 0.5);
  CHECK_FALSE(in.more(*entries).value());
  CHECK(in.at_end());
}

TEST_CASE("containers and strings of unknown length are passed over as a whole", "[wire]") {
  CborBuild build;
  build.byte(0x9f).number(1).byte(0xbf).text("k").byte(0x5f).blob(as_bytes("chunk")).byte(0xff).byte(0xff);
  build.byte(0xff).number(9);
  CborReader in(build.bytes());
  auto raw = in.take_raw();
  REQUIRE(raw.ok());
  CHECK(raw->size() == build.bytes().size() - 1);
  CHECK(in.read_unsigned().value() == 9);
}

TEST_CASE("nesting above the limit is refused without recursion", "[wire]") {
  CborBuild deep;
  for (int level = 0; level < 1'000'000; ++level) deep.byte(0x81);
  CborReader in(deep.bytes(), 32);
  CHECK(in.skip().error().code == Errc::too_deep);

  CborBuild open_ended;
  for (int level = 0; level < 1'000'000; ++level) open_ended.byte(0x9f);
  CHECK(CborReader(open_ended.bytes()).skip().error().code == Errc::too_deep);
}

TEST_CASE("nesting at the limit is read, one level more is not", "[wire]") {
  for (const unsigned levels : {4u, 5u}) {
    CborBuild build;
    for (unsigned level = 0; level < levels; ++level) build.array(1);
    build.number(0);
    CborReader in(build.bytes(), 4);
    CHECK(in.skip().ok() == (levels == 4));
  }
}

TEST_CASE("a run of a million tags costs its bytes and nothing else", "[wire]") {
  CborBuild tags;
  for (int i = 0; i < 1'000'000; ++i) tags.byte(0xc1);
  tags.number(5);
  CborReader in(tags.bytes());
  CHECK(in.skip().ok());
  CHECK(in.at_end());
}

TEST_CASE("counts and lengths beyond the message are truncation, not allocation", "[wire]") {
  for (const unsigned major : {2u, 3u, 4u, 5u}) {
    CborBuild build;
    build.head(major, UINT64_MAX).number(1);
    CborReader in(build.bytes());
    const Status status = in.skip();
    REQUIRE_FALSE(status.ok());
    CHECK(status.error().code == Errc::truncated);
  }
}

TEST_CASE("every cut of a message is an error and never a read past its end", "[wire]") {
  CborBuild build;
  build.map(2)
      .text("key")
      .array(2)
      .floating(1.5)
      .blob(as_bytes("0123456789"))
      .text("other")
      .tag(1040)
      .negative(300);
  const std::vector<std::byte> whole(build.bytes().begin(), build.bytes().end());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::vector<std::byte> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    CborReader in(cut);
    CHECK_FALSE(in.skip().ok());
  }
}

TEST_CASE("a break where nothing is open is malformed", "[wire]") {
  CborBuild build;
  build.array(1).byte(0xff);
  CHECK(CborReader(build.bytes()).skip().error().code == Errc::malformed);
}
