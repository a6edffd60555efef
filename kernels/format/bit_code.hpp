// SPDX-License-Identifier: Apache-2.0
//
// Bits of the side information: least significant first, and one variable-length code for everything.
//
// Data path  plan > [sections] > block
// Meaning    docs/formats/block.md §5.1 (bit strings). The code is Exp-Golomb of order k: short for small
//            numbers, bounded for hostile ones (at most 31 leading zeros).
// Not here   pixels: those go through the lanes (kernels/reference/lanes.hpp).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/base/bytes.hpp"

namespace ff::kernels {

/// Length of the Exp-Golomb code of order k.
[[nodiscard]] constexpr std::size_t golomb_bits(std::uint32_t value, unsigned k) noexcept {
  return 2 * static_cast<std::size_t>(std::bit_width(std::uint64_t{value} + (std::uint64_t{1} << k))) - 1 - k;
}

class BitWriter {
 public:
  void bits(std::uint64_t value, unsigned count) {
    for (unsigned done = 0; done < count; ++done, ++used_) {
      if (used_ % 8 == 0) bytes_.push_back(std::byte{0});
      bytes_.back() |= static_cast<std::byte>((value >> done & 1u) << (used_ % 8));
    }
  }

  /// Exp-Golomb of order k: with q = value + 2^k and n = floor(log2 q) - k, n zeros, a one, and the low
  /// n + k bits of q.
  void golomb(std::uint32_t value, unsigned k) {
    const std::uint64_t q = std::uint64_t{value} + (std::uint64_t{1} << k);
    const unsigned n = static_cast<unsigned>(std::bit_width(q)) - 1 - k;
    bits(0, n);
    bits(1, 1);
    bits(q, n + k);
  }

  [[nodiscard]] std::size_t bit_count() const noexcept { return used_; }
  [[nodiscard]] ByteSpan bytes() const noexcept { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
  std::size_t used_ = 0;
};

/// Reads what BitWriter wrote. Past the end every bit is zero and ok() stays false.
class BitReader {
 public:
  explicit BitReader(ByteSpan bytes) noexcept : bytes_(bytes) {}

  [[nodiscard]] std::uint64_t bits(unsigned count) noexcept {
    std::uint64_t value = 0;
    for (unsigned done = 0; done < count; ++done, ++at_) {
      if (at_ / 8 >= bytes_.size()) {
        ok_ = false;
        return 0;
      }
      value |= std::uint64_t{std::to_integer<unsigned>(bytes_[at_ / 8]) >> (at_ % 8) & 1u} << done;
    }
    return value;
  }

  [[nodiscard]] std::uint32_t golomb(unsigned k) noexcept {
    unsigned n = 0;
    while (bits(1) == 0) {
      if (!ok_ || ++n + k > 31) {
        ok_ = false;
        return 0;
      }
    }
    const std::uint64_t q = (std::uint64_t{1} << (n + k)) + bits(n + k);
    return ok_ ? static_cast<std::uint32_t>(q - (std::uint64_t{1} << k)) : 0;
  }

  /// All bits were there, and what is left of the last byte is zero.
  [[nodiscard]] bool ended_cleanly() noexcept {
    const std::size_t left = bytes_.size() * 8 - at_;
    return ok_ && left < 8 && bits(static_cast<unsigned>(left)) == 0;
  }
  [[nodiscard]] bool ok() const noexcept { return ok_; }

 private:
  ByteSpan bytes_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

/// Signed numbers in the order 0, -1, 1, -2, 2 ...
[[nodiscard]] constexpr std::uint32_t zigzag(std::int32_t v) noexcept {
  return (static_cast<std::uint32_t>(v) << 1) ^ static_cast<std::uint32_t>(v >> 31);
}
[[nodiscard]] constexpr std::int32_t unzigzag(std::uint32_t z) noexcept {
  return static_cast<std::int32_t>(z >> 1) ^ -static_cast<std::int32_t>(z & 1u);
}

}  // namespace ff::kernels
