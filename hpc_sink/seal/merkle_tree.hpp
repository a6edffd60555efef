// SPDX-License-Identifier: Apache-2.0
//
// MerkleTree: one SHA-256 over any number of leaves, as in RFC 6962 §2.1; one changed leaf changes the root.
//
// Data path  catalogue > window leaves > [root] > signature
// Memory     one digest a level: leaves are added one by one and not kept.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.hpp"

namespace ff::sink {

using Sha256 = std::array<std::uint8_t, 32>;

[[nodiscard]] Sha256 sha256(ByteSpan bytes) noexcept;
/// SHA-256(0x00 || leaf): a leaf can't be taken for a node.
[[nodiscard]] Sha256 leaf_hash(ByteSpan leaf) noexcept;
/// SHA-256(0x01 || left || right).
[[nodiscard]] Sha256 node_hash(const Sha256& left, const Sha256& right) noexcept;

/// The digest's 32 bytes, and as 64 hexadecimal digits.
[[nodiscard]] std::string to_bytes(const Sha256& digest);
[[nodiscard]] std::string to_hex(std::string_view bytes);

class MerkleTree {
 public:
  void add(const Sha256& leaf);
  [[nodiscard]] std::uint64_t leaves() const noexcept { return leaves_; }
  /// Of the leaves so far; SHA-256 of nothing when there are none.
  [[nodiscard]] Sha256 root() const noexcept;

 private:
  std::vector<Sha256> peaks_;  // roots of full subtrees, the largest first
  std::uint64_t leaves_ = 0;
};

}  // namespace ff::sink
