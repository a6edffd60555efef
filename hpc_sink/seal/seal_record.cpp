// SPDX-License-Identifier: Apache-2.0
//
// Seal record: signing, opening, comparing.
#include "hpc_sink/seal/seal_record.hpp"

#include <algorithm>

#include "hpc_sink/seal/merkle_tree.hpp"

namespace ff::sink {

Seal sign_body(const SealBody& body, const SealKey& key) {
  Seal seal;
  seal.set_body(body.SerializeAsString());
  seal.set_public_key(key.public_key().data(), key.public_key().size());
  const Signature signature = key.sign(as_bytes(seal.body()));
  seal.set_signature(signature.data(), signature.size());
  return seal;
}

Result<PublicKey> seal_public_key(const Seal& seal) {
  PublicKey key{};
  if (seal.public_key().size() != key.size()) return fail(Errc::malformed, "a public key has 32 bytes");
  std::copy(seal.public_key().begin(), seal.public_key().end(), key.begin());
  return key;
}

Result<SealBody> open_seal(const Seal& seal) {
  FF_ASSIGN(const PublicKey key, seal_public_key(seal));
  Signature signature{};
  if (seal.signature().size() != signature.size()) return fail(Errc::malformed, "a signature has 64 bytes");
  std::copy(seal.signature().begin(), seal.signature().end(), signature.begin());
  if (!verify_signature(key, as_bytes(seal.body()), signature))
    return fail(Errc::crc_mismatch, "its signature is not of these bytes");
  SealBody body;
  if (!body.ParseFromString(seal.body()) || body.series_uid().size() != 16 || body.merkle_root().size() != 32)
    return fail(Errc::malformed, "its body can't be read");
  if (body.seal_version() != kSealVersion)
    return fail(Errc::unsupported_version,
                "seal version " + std::to_string(body.seal_version()) + "; this build reads 1");
  return body;
}

std::string seal_digest(const Seal& seal) { return to_bytes(sha256(as_bytes(seal.body()))); }

bool same_content(const SealBody& a, const SealBody& b) {
  return a.series_uid() == b.series_uid() && a.merkle_root() == b.merkle_root() && a.leaves() == b.leaves() &&
         a.streams_size() == b.streams_size() &&
         std::equal(
             a.streams().begin(), a.streams().end(), b.streams().begin(),
             [](const auto& x, const auto& y) { return x.SerializeAsString() == y.SerializeAsString(); });
}

}  // namespace ff::sink
