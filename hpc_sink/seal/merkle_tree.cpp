// SPDX-License-Identifier: Apache-2.0
//
// MerkleTree: full subtrees are joined as soon as there are two of a size.
#include "hpc_sink/seal/merkle_tree.hpp"

#include <sodium.h>

namespace ff::sink {
namespace {

Sha256 hash_parts(std::uint8_t domain, ByteSpan first, ByteSpan second) noexcept {
  crypto_hash_sha256_state state;
  Sha256 digest{};
  crypto_hash_sha256_init(&state);
  crypto_hash_sha256_update(&state, &domain, 1);
  for (const ByteSpan part : {first, second})
    crypto_hash_sha256_update(&state, reinterpret_cast<const unsigned char*>(part.data()), part.size());
  crypto_hash_sha256_final(&state, digest.data());
  return digest;
}

}  // namespace

Sha256 sha256(ByteSpan bytes) noexcept {
  Sha256 digest{};
  crypto_hash_sha256(digest.data(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  return digest;
}

Sha256 leaf_hash(ByteSpan leaf) noexcept { return hash_parts(0x00, leaf, {}); }

Sha256 node_hash(const Sha256& left, const Sha256& right) noexcept {
  return hash_parts(0x01, std::as_bytes(std::span(left)), std::as_bytes(std::span(right)));
}

std::string to_bytes(const Sha256& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

std::string to_hex(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

void MerkleTree::add(const Sha256& leaf) {
  peaks_.push_back(leaf);
  for (std::uint64_t full = ++leaves_; (full & 1) == 0; full >>= 1) {
    const Sha256 right = peaks_.back();
    peaks_.pop_back();
    peaks_.back() = node_hash(peaks_.back(), right);
  }
}

Sha256 MerkleTree::root() const noexcept {
  if (peaks_.empty()) return sha256({});
  Sha256 root = peaks_.back();
  for (auto left = peaks_.rbegin() + 1; left != peaks_.rend(); ++left) root = node_hash(*left, root);
  return root;
}

}  // namespace ff::sink
