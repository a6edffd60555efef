// SPDX-License-Identifier: Apache-2.0
// The way past damaged bytes, against a log made of batches and a clock that the test turns.
#include "common/transport/kafka_damage.hpp"

#include <algorithm>
#include <functional>
#include <optional>
#include <random>
#include <vector>

#include <catch2/catch.hpp>

namespace ff::transport {
namespace {

using Verdict = KafkaDamage::Verdict;

constexpr std::int64_t kDamageSecondNs = 1'000'000'000;

/// What a fetch from an offset finds.
enum class Found { record, bad, nothing };

struct Batch {
  std::int64_t first = 0, end = 0;
  Found found = Found::record;
};

struct Log {
  std::vector<Batch> batches;
  [[nodiscard]] std::int64_t end() const { return batches.empty() ? 0 : batches.back().end; }
  [[nodiscard]] Found at(std::int64_t offset) const {
    for (const Batch& batch : batches)
      if (offset < batch.end) return batch.found;
    return Found::record;  // the log's end
  }
};

struct Outcome {
  Verdict verdict = Verdict::drop;
  int fetches = 0;
  std::int64_t took_ns = 0;
};

/// Lets `damage` fetch from `log` until it takes or skips, a minute of the test's clock at most.
Outcome drive(KafkaDamage& damage, std::int64_t expected,
              const std::function<Log(std::int64_t now_ns)>& log) {
  std::int64_t now_ns = 0;
  Outcome outcome;
  outcome.verdict = damage.bad(expected, log(now_ns).end(), now_ns);
  for (; outcome.verdict == Verdict::drop && now_ns < 600 * kDamageSecondNs; now_ns += 5'000'000) {
    const std::int64_t end = log(now_ns).end();
    const auto from = damage.take_fetch(now_ns);
    if (!from) {
      outcome.verdict = damage.nothing(end, now_ns);
      continue;
    }
    ++outcome.fetches;
    REQUIRE(*from == damage.place());
    REQUIRE(*from >= expected);
    REQUIRE(*from <= end);
    switch (log(now_ns).at(*from)) {
      case Found::record: outcome.verdict = damage.came(*from, end, now_ns); break;
      case Found::bad: outcome.verdict = damage.bad(expected, end, now_ns); break;
      case Found::nothing: break;
    }
  }
  outcome.took_ns = now_ns;
  return outcome;
}

}  // namespace

TEST_CASE("damage on the way heals by fetching again", "[kafka][damage]") {
  KafkaDamage damage({});
  const Log good{{{0, 10}, {10, 30}}}, bad{{{0, 10}, {10, 30, Found::bad}}};
  const auto outcome =
      drive(damage, 10, [&](std::int64_t now_ns) { return now_ns < kDamageSecondNs ? bad : good; });
  CHECK(outcome.verdict == Verdict::take);
  CHECK_FALSE(damage.is_active());
  CHECK(outcome.took_ns < 2 * kDamageSecondNs);
}

TEST_CASE("damage that stays is skipped as far as it goes, and no further", "[kafka][damage]") {
  std::mt19937_64 chance(7);
  for (int round = 0; round < 300; ++round) {
    Log log;
    const std::size_t bad = chance() % 20;
    const Found how = chance() % 2 == 0 ? Found::bad : Found::nothing;
    for (std::size_t i = 0; i < 20; ++i) {
      const auto first = log.end();
      log.batches.push_back(
          {first, first + 1 + static_cast<std::int64_t>(chance() % 1000), i == bad ? how : Found::record});
    }
    const Batch& hurt = log.batches[bad];
    // Reading may have begun in the middle of the batch.
    const auto expected =
        hurt.first + static_cast<std::int64_t>(chance() % static_cast<std::uint64_t>(hurt.end - hurt.first));
    KafkaDamage damage({});
    const auto outcome = drive(damage, expected, [&](std::int64_t) { return log; });
    REQUIRE(outcome.verdict == Verdict::skip);
    REQUIRE(damage.gap_first() == expected);
    REQUIRE(damage.gap_end() == hurt.end);
    REQUIRE(outcome.fetches < 60);
    REQUIRE(outcome.took_ns > 2 * kDamageSecondNs);
    REQUIRE_FALSE(damage.is_active());
  }
}

TEST_CASE("damaged batches beside each other are one gap, also at the end of the log", "[kafka][damage]") {
  const Log log{{{0, 10}, {10, 30, Found::bad}, {30, 31, Found::bad}, {31, 500, Found::bad}}};
  KafkaDamage damage({});
  CHECK(drive(damage, 10, [&](std::int64_t) { return log; }).verdict == Verdict::skip);
  CHECK(damage.gap_first() == 10);
  CHECK(damage.gap_end() == 500);
}

TEST_CASE("a broker that does not answer is never taken for damage", "[kafka][damage]") {
  const Log gone{{{0, 10}, {10, 1'000'000, Found::nothing}}};
  KafkaDamage damage({});
  // All that lies ahead is silent, and so is the end.
  const auto silent_end = [&](std::int64_t now_ns) {
    Log log = gone;
    log.batches.back().end = 1'000'000 + (now_ns > 0 ? 1 : 0);
    return log;
  };
  std::int64_t now_ns = 0;
  Verdict verdict = damage.bad(10, 1'000'000, now_ns);
  for (; now_ns < 300 * kDamageSecondNs; now_ns += 10'000'000) {
    static_cast<void>(damage.take_fetch(now_ns));
    verdict = damage.nothing(silent_end(now_ns).end(), now_ns);
    REQUIRE(verdict == Verdict::drop);
  }
  CHECK(damage.is_active());
  // It answers again: nothing was lost.
  while (damage.place() != 10 || !damage.take_fetch(now_ns)) {
    static_cast<void>(damage.came(damage.place(), 1'000'000, now_ns));
    now_ns += 10'000'000;
    static_cast<void>(damage.take_fetch(now_ns));
    if (damage.place() == 10) break;
  }
  CHECK(damage.came(10, 1'000'000, now_ns) == Verdict::take);
}

TEST_CASE("what is left of the fetch before is not believed", "[kafka][damage]") {
  KafkaDamage damage({});
  CHECK(damage.bad(10, 100, 0) == Verdict::drop);
  CHECK(damage.came(10, 100, 0) == Verdict::drop);  // not fetched again yet
  CHECK(damage.bad(10, 100, 0) == Verdict::drop);
  REQUIRE(damage.take_fetch(0) == 10);
  CHECK_FALSE(damage.take_fetch(0));
  CHECK(damage.came(10, 100, 1) == Verdict::take);
}

TEST_CASE("only a compacted topic may go on at a later offset", "[kafka][damage]") {
  for (const bool has_holes : {false, true}) {
    KafkaDamageLimits limits;
    limits.has_holes = has_holes;
    KafkaDamage damage(limits);
    static_cast<void>(damage.bad(10, 100, 0));
    REQUIRE(damage.take_fetch(0) == 10);
    CHECK(damage.came(12, 100, 1) == (has_holes ? Verdict::take : Verdict::drop));
    CHECK(damage.is_active() == !has_holes);
  }
}

TEST_CASE("offsets that nothing answers for are skipped to the record that comes", "[kafka][damage]") {
  KafkaDamage damage({});
  std::int64_t now_ns = 0;
  Verdict verdict = damage.bad(10, 100, now_ns);
  for (; verdict == Verdict::drop && now_ns < 60 * kDamageSecondNs; now_ns += 10'000'000)
    if (const auto from = damage.take_fetch(now_ns))
      verdict = damage.came(std::max<std::int64_t>(*from, 15), 100, now_ns);
  CHECK(verdict == Verdict::skip);
  CHECK(damage.gap_first() == 10);
  CHECK(damage.gap_end() == 15);
}

}  // namespace ff::transport
