// SPDX-License-Identifier: Apache-2.0
//
// SHA-256 by libcrypto.
#include "common/wire/sha256.hpp"

#include <openssl/evp.h>

#include "common/base/check.hpp"

namespace ff::wire {

Sha256 sha256(ByteSpan bytes) noexcept {
  // Looked up once: by name it would be a search through the library's providers for each block.
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  Sha256 digest;
  FF_CHECK(algorithm != nullptr &&
           EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, algorithm, nullptr) == 1);
  return digest;
}

}  // namespace ff::wire
