// SPDX-License-Identifier: Apache-2.0
//
// Seal record: a SealBody's bytes and the signature over them.
//
// Data path  Merkle root > [body, signature] > catalogue, master file, ledger topic; and back, for who verifies
// Format     common/wire/ledger.proto, docs/formats/ledger.md.
#pragma once

#include <string>

#include "common/base/result.hpp"
#include "common/wire/ledger.pb.h"
#include "hpc_sink/seal/seal_key.hpp"

namespace ff::sink {

using foreframe::wire::Seal;
using foreframe::wire::SealBody;

inline constexpr std::uint32_t kSealVersion = 1;

[[nodiscard]] Seal sign_body(const SealBody& body, const SealKey& key);
/// The body, once the signature over it holds under the seal's own key. Errors: malformed (key, signature or body that
/// is none), crc_mismatch (the signature is not of this body), unsupported_version.
[[nodiscard]] Result<SealBody> open_seal(const Seal& seal);
/// SHA-256 of the body's bytes: what the next seal refers to.
[[nodiscard]] std::string seal_digest(const Seal& seal);
[[nodiscard]] Result<PublicKey> seal_public_key(const Seal& seal);

/// True when the two say the same of the same frames, whenever and by whomever they were made.
[[nodiscard]] bool same_content(const SealBody& a, const SealBody& b);

}  // namespace ff::sink
