// SPDX-License-Identifier: Apache-2.0
#include "common/base/uuid.hpp"

#include <set>
#include <thread>

#include <catch2/catch.hpp>

#include "common/base/clock.hpp"

using ff::Uuid;

TEST_CASE("a minted uid is version 7, variant 10, and carries the time", "[uuid]") {
  const std::int64_t before_ms = ff::utc_now_ns() / 1'000'000;
  const Uuid uuid = Uuid::mint();
  const std::int64_t after_ms = ff::utc_now_ns() / 1'000'000;
  CHECK(uuid.bytes[6] >> 4 == 7);
  CHECK(uuid.bytes[8] >> 6 == 2);
  std::int64_t minted_ms = 0;
  for (int i = 0; i < 6; ++i) minted_ms = minted_ms << 8 | uuid.bytes[static_cast<std::size_t>(i)];
  CHECK(minted_ms >= before_ms);
  CHECK(minted_ms <= after_ms);
}

TEST_CASE("uids sort by the millisecond they were minted in, and never repeat", "[uuid]") {
  const Uuid first = Uuid::mint();
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  CHECK(first < Uuid::mint());
  std::set<Uuid> seen;
  for (int i = 0; i < 1000; ++i) CHECK(seen.insert(Uuid::mint()).second);
}

TEST_CASE("text and wire form give the same uid back", "[uuid]") {
  const std::string text = "0190163d-8694-7bb8-9c3e-6f4cb3a5d1e2";
  CHECK(Uuid::parse(text)->to_string() == text);
  CHECK(Uuid::parse("0190163D-8694-7BB8-9C3E-6F4CB3A5D1E2")->to_string() == text);
  const Uuid uuid = Uuid::mint();
  CHECK(*Uuid::parse(uuid.to_string()) == uuid);
  CHECK(*Uuid::from_bytes(ff::as_bytes(uuid.to_wire())) == uuid);
}

TEST_CASE("what is not quite a uid is refused", "[uuid]") {
  for (const char* bad : {"", "0190163d86947bb89c3e6f4cb3a5d1e2", "0190163d-8694-7bb8-9c3e-6f4cb3a5d1e",
                          "0190163d-8694-7bb8-9c3e-6f4cb3a5d1e22", "0190163d-8694-7bb8-9c3e-6f4cb3a5d1eg",
                          "0190163d_8694-7bb8-9c3e-6f4cb3a5d1e2", "0190163d-8694-7bb89-c3e-6f4cb3a5d1e2"})
    CHECK(Uuid::parse(bad).error().code == ff::Errc::malformed);
  CHECK_FALSE(Uuid::from_bytes(ff::as_bytes("fifteen bytes..")).ok());
  CHECK_FALSE(Uuid::from_bytes({}).ok());
}
