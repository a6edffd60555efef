// SPDX-License-Identifier: Apache-2.0
//
// SealKey: the sink's Ed25519 key pair, and how keys look as text.
//
// Files      private: PKCS#8 PEM, as `openssl genpkey -algorithm ed25519` writes it, mode 0600; public: PEM or one
//            line "ed25519:<64 hexadecimal digits>".
// Not here   what is signed (seal_record.hpp).
#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <string_view>

#include "common/base/bytes.hpp"
#include "common/base/result.hpp"

namespace ff::sink {

using PublicKey = std::array<std::uint8_t, 32>;
using Signature = std::array<std::uint8_t, 64>;

class SealKey {
 public:
  /// Reads the key, or makes one where there is no file (its folder 0700, the file 0600, synced).
  /// Errors: io_error, disk_full, config_error (no Ed25519 key in it, or others may read it).
  [[nodiscard]] static Result<SealKey> load_or_create(const std::filesystem::path& path);
  /// Errors: not_found, config_error.
  [[nodiscard]] static Result<SealKey> load(const std::filesystem::path& path);
  [[nodiscard]] static SealKey from_seed(const std::array<std::uint8_t, 32>& seed);
  ~SealKey();
  SealKey(const SealKey&) = default;
  SealKey& operator=(const SealKey&) = default;

  [[nodiscard]] const PublicKey& public_key() const noexcept { return public_; }
  [[nodiscard]] Signature sign(ByteSpan message) const noexcept;

 private:
  SealKey() = default;
  [[nodiscard]] Status save(const std::filesystem::path& path) const;

  PublicKey public_{};
  std::array<std::uint8_t, 64> secret_{};
};

[[nodiscard]] bool verify_signature(const PublicKey& key, ByteSpan message,
                                    const Signature& signature) noexcept;

/// "ed25519:<hex>" and "-----BEGIN PUBLIC KEY-----..."
[[nodiscard]] std::string to_text(const PublicKey& key);
[[nodiscard]] std::string to_pem(const PublicKey& key);
/// Either of the two. Errors: invalid_argument.
[[nodiscard]] Result<PublicKey> parse_public_key(std::string_view text);

}  // namespace ff::sink
