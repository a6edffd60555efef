// SPDX-License-Identifier: Apache-2.0
//
// Root: square roots of the buckets' centres, in whole numbers.
#include "kernels/format/phase_root.hpp"

namespace ff::kernels {
namespace {

std::uint32_t square_root(std::uint32_t value) noexcept {
  std::uint32_t root = 0;
  for (std::uint32_t bit = 1u << 15; bit != 0; bit >>= 1) {
    const std::uint32_t tried = root | bit;
    if (tried * tried <= value) root = tried;
  }
  return root;
}

}  // namespace

RootTable root_table(unsigned up) noexcept {
  RootTable roots{};
  for (std::uint32_t bucket = 0; bucket < kBuckets; ++bucket) {
    const std::uint32_t width = bucket < 64 ? 4 : bucket < 128 ? 32 : bucket < 192 ? 128 : 1024;
    roots[bucket] = static_cast<std::uint16_t>(square_root((bucket_floor(bucket) + width / 2) << up));
  }
  return roots;
}

}  // namespace ff::kernels
