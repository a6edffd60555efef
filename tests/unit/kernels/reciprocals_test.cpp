// SPDX-License-Identifier: Apache-2.0
//
// Division by a frequency, as the lanes do it.
#include "kernels/cpu/reciprocals.hpp"

#include <random>

#include <catch2/catch.hpp>

namespace {

using namespace ff::kernels;
using namespace ff::kernels::cpu;

std::uint32_t by_wide(std::uint32_t x, std::uint64_t reciprocal, unsigned bits) {
  return static_cast<std::uint32_t>(x * reciprocal >> (32 + bits));
}

std::uint32_t by_narrow(std::uint32_t x, const NarrowReciprocal& reciprocal) {
  const NarrowRule rule = kNarrowRules[reciprocal.rule];
  return static_cast<std::uint32_t>((std::uint64_t{x} + rule.addend) * reciprocal.multiplier >> rule.shift);
}

// States at which a quotient changes: just below and at a multiple of f. Errors of both forms grow with x, so that the largest
// states of a lane decide; the smallest and random ones are looked at as well.
std::vector<std::uint32_t> states_to_try(std::uint32_t f, unsigned bits, std::mt19937& random) {
  const std::uint32_t quotients = 1u << (32 - bits);
  std::vector<std::uint32_t> states{f * quotients - 1};
  const auto add = [&](std::uint32_t q) {
    if (q != 0) states.push_back(q * f - 1);
    states.push_back(q * f);
  };
  for (std::uint32_t q = 0; q < 32; ++q) add(q);
  for (std::uint32_t q = quotients - 32; q < quotients; ++q) add(q);
  for (int i = 0; i < 64; ++i) add(static_cast<std::uint32_t>(random() % quotients));
  return states;
}

}  // namespace

TEST_CASE("A lane's state divided by any frequency by its reciprocals is the exact quotient") {
  std::mt19937 random(7);
  for (const unsigned bits : {kProbabilityBitsMin, kProbabilityBitsMax}) {
    const auto& narrow = narrow_reciprocals(bits);
    REQUIRE(narrow.size() == std::size_t{1} << bits);
    for (std::uint32_t f = 1; f < narrow.size(); ++f) {
      const std::uint64_t wide = wide_reciprocal(f, bits);
      std::size_t wrong = narrow[f].multiplier == 0 ? 1 : 0;
      for (const std::uint32_t x : states_to_try(f, bits, random))
        wrong += (by_wide(x, wide, bits) != x / f ? 1u : 0u) + (by_narrow(x, narrow[f]) != x / f ? 1u : 0u);
      INFO("frequency " << f << " of " << bits << " bits");
      REQUIRE(wrong == 0);
    }
  }
}

TEST_CASE("A reciprocal is exact for all states of a lane, one by one") {
  // All 2^21 f states of a frequency just above and just below half the scale, where the widths are tightest, and of the ends.
  for (const std::uint32_t f : {1u, 1023u, 1024u, 1025u, 1999u, 2047u}) {
    const NarrowReciprocal narrow = narrow_reciprocal(f, kProbabilityBitsMin);
    const std::uint64_t wide = wide_reciprocal(f, kProbabilityBitsMin);
    std::size_t wrong = 0;
    std::uint32_t x = 0;
    for (std::uint32_t q = 0; q < 1u << (32 - kProbabilityBitsMin); ++q) {
      // Between two multiples a quotient that is right at both ends is right everywhere: both forms only grow with x.
      for (const std::uint32_t rest : {0u, f - 1}) {
        const std::uint32_t state = x + rest;
        wrong += (by_wide(state, wide, kProbabilityBitsMin) != q ? 1u : 0u) +
                 (by_narrow(state, narrow) != q ? 1u : 0u);
      }
      x += f;
    }
    INFO("frequency " << f);
    CHECK(wrong == 0);
  }
}
