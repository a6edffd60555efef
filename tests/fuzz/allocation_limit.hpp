// SPDX-License-Identifier: Apache-2.0
//
// A limit on what a piece of code may allocate: operator new of a fuzz program counts.
//
// Not here   malloc inside zstd and LZ4, whose contexts have a fixed size.
#pragma once

#include <cstddef>

namespace ff::fuzz {

/// While it lives, this thread may hold at most `bytes_max` more than at its start; else the program ends with a
/// message. One at a time.
class AllocationLimit {
 public:
  explicit AllocationLimit(std::size_t bytes_max) noexcept;
  ~AllocationLimit();
  AllocationLimit(const AllocationLimit&) = delete;
  AllocationLimit& operator=(const AllocationLimit&) = delete;

  /// The most that was held at once so far.
  [[nodiscard]] std::size_t peak() const noexcept;
};

}  // namespace ff::fuzz
