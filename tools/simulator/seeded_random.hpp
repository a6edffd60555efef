// SPDX-License-Identifier: Apache-2.0
//
// SeededRandom: xoshiro256** (Blackman and Vigna, 2018; public domain), seeded by splitmix64. Unlike the
// distributions of <random>, everything made from it here is the same on every machine.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace ff::tools {

[[nodiscard]] constexpr std::uint64_t splitmix64(std::uint64_t& state) noexcept {
  std::uint64_t z = (state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

class SeededRandom {
 public:
  /// Streams with different (`seed`, `stream`) are independent: one for each frame, one for each purpose.
  explicit SeededRandom(std::uint64_t seed, std::uint64_t stream = 0) noexcept {
    std::uint64_t state = seed ^ (stream * 0xd1342543de82ef95 + 0x632be59bd9b4e019);
    for (auto& word : words_) word = splitmix64(state);
  }

  std::uint64_t next() noexcept {
    const std::uint64_t result = std::rotl(words_[1] * 5, 7) * 9;
    const std::uint64_t shifted = words_[1] << 17;
    words_[2] ^= words_[0];
    words_[3] ^= words_[1];
    words_[1] ^= words_[2];
    words_[0] ^= words_[3];
    words_[2] ^= shifted;
    words_[3] = std::rotl(words_[3], 45);
    return result;
  }

  /// Uniform in 0 ... bound - 1 (bound ≥ 1), by multiplication; the bias is below bound / 2^64.
  std::uint64_t below(std::uint64_t bound) noexcept {
    return static_cast<std::uint64_t>((static_cast<Wide>(next()) * bound) >> 64);
  }
  /// Uniform in [0, 1), 53 bits.
  double unit() noexcept { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

 private:
  __extension__ using Wide = unsigned __int128;  // g++ and clang have it on every 64-bit target
  std::array<std::uint64_t, 4> words_{};
};

}  // namespace ff::tools
