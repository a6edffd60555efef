// SPDX-License-Identifier: Apache-2.0
//
// What a fuzz target is: one function that takes any bytes, valid inputs to start from, and a way to damage them.
//
// One source, two programs: with libFuzzer (preset fuzz, clang) the fuzzer drives the function; else fuzz_main.cpp
// replays the corpus and seeded mutations, so that every build runs every target.
// Not here   the targets (one fuzz_*.cpp each), the limits on memory and time (allocation_limit.hpp, fuzz_main.cpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/base/bytes.hpp"
#include "tests/support/group_images.hpp"

namespace ff::fuzz {

using Bytes = std::vector<std::byte>;
using Random = tests::TestRandom;

/// How an input fared. A target ends the program (FF_CHECK) where the code under test breaks a promise.
enum class Verdict : std::uint8_t { refused, accepted };

struct Target {
  const char* name;  ///< also its folder below corpus/
  Verdict (*run)(ByteSpan input);
  /// Valid inputs, made of the golden blocks and of this build's own encoder; every one must be accepted.
  std::vector<Bytes> (*seeds)();
  /// Damages `input`, perhaps with pieces of `others`.
  void (*damage)(Bytes& input, std::span<const Bytes> others, Random& random);
};

/// Defined by each target's source.
extern const Target kTarget;

/// One to four wounds without knowledge of the format: bits flipped, numbers overwritten, bytes cut out, doubled,
/// cut off at the end or replaced by a piece of another input.
void damage_bytes(Bytes& input, std::span<const Bytes> others, Random& random);

/// A number that tends to break things: 0, 1, powers of two and their neighbours, the type's end, anything.
[[nodiscard]] std::uint64_t awkward_number(Random& random);

}  // namespace ff::fuzz

/// The target as one C function, for fuzzers other than these two programs: int fuzz_<x>(data, size).
#define FF_FUZZ_TARGET(x, run, seeds, damage)                                 \
  extern "C" int fuzz_##x(const std::uint8_t* data, std::size_t size) {       \
    static_cast<void>(run({reinterpret_cast<const std::byte*>(data), size})); \
    return 0;                                                                 \
  }                                                                           \
  const ff::fuzz::Target ff::fuzz::kTarget { #x, run, seeds, damage }
