// SPDX-License-Identifier: Apache-2.0
//
// SealKey: PEM around a fixed DER prefix and 32 bytes; Ed25519 by libsodium.
#include "hpc_sink/seal/seal_key.hpp"

#include <algorithm>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include "hpc_sink/seal/merkle_tree.hpp"
#include "hpc_sink/store/durable_file.hpp"

namespace ff::sink {
namespace {

// RFC 8410: everything of the two structures but the 32 bytes of the key.
constexpr std::array<std::uint8_t, 16> kPrivatePrefix{0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
                                                      0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};
constexpr std::array<std::uint8_t, 12> kPublicPrefix{0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                                     0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
constexpr std::string_view kTextPrefix = "ed25519:";
constexpr std::size_t kKeyFileBytesMax = 4096;
using KeyBytes = std::array<std::uint8_t, 32>;

template <std::size_t N>
std::string pem_of(const char* what, const std::array<std::uint8_t, N>& prefix, const std::uint8_t* key) {
  std::vector<std::uint8_t> der(prefix.begin(), prefix.end());
  der.insert(der.end(), key, key + 32);
  std::string base64(sodium_base64_ENCODED_LEN(N + 32, sodium_base64_VARIANT_ORIGINAL), '\0');
  sodium_bin2base64(base64.data(), base64.size(), der.data(), der.size(), sodium_base64_VARIANT_ORIGINAL);
  sodium_memzero(der.data(), der.size());
  base64.resize(std::strlen(base64.c_str()));
  return std::string("-----BEGIN ") + what + "-----\n" + base64 + "\n-----END " + what + "-----\n";
}

template <std::size_t N>
bool read_pem(std::string_view text, const char* what, const std::array<std::uint8_t, N>& prefix,
              KeyBytes& key) {
  const std::string begin = std::string("-----BEGIN ") + what + "-----",
                    end = std::string("-----END ") + what;
  const std::size_t first = text.find(begin), last = text.find(end);
  if (first == std::string_view::npos || last == std::string_view::npos || last < first + begin.size())
    return false;
  const std::string_view body = text.substr(first + begin.size(), last - first - begin.size());
  std::array<std::uint8_t, N + 32> der{};
  std::size_t size = 0;
  if (sodium_base642bin(der.data(), der.size(), body.data(), body.size(), " \r\n", &size, nullptr,
                        sodium_base64_VARIANT_ORIGINAL) != 0 ||
      size != der.size() || !std::equal(prefix.begin(), prefix.end(), der.begin()))
    return false;
  std::copy(der.begin() + N, der.end(), key.begin());
  sodium_memzero(der.data(), der.size());
  return true;
}

}  // namespace

SealKey SealKey::from_seed(const KeyBytes& seed) {
  SealKey key;
  crypto_sign_seed_keypair(key.public_.data(), key.secret_.data(), seed.data());
  return key;
}

SealKey::~SealKey() { sodium_memzero(secret_.data(), secret_.size()); }

Result<SealKey> SealKey::load(const std::filesystem::path& path) {
  struct stat about {};
  if (::stat(path.c_str(), &about) != 0)
    return fail(errno == ENOENT ? Errc::not_found : Errc::io_error,
                "seal key " + path.string() + ": " + std::strerror(errno));
  if ((about.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    return fail(Errc::config_error,
                "seal key " + path.string() + ": others may read or write it; chmod 600 it");
  std::ifstream file(path, std::ios::binary);
  std::string text(kKeyFileBytesMax, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  KeyBytes seed{};
  const bool read = read_pem(text, "PRIVATE KEY", kPrivatePrefix, seed);
  sodium_memzero(text.data(), text.size());
  if (!read)
    return fail(
        Errc::config_error,
        "seal key " + path.string() + ": no Ed25519 private key in PEM (openssl genpkey -algorithm ed25519)");
  SealKey key = from_seed(seed);
  sodium_memzero(seed.data(), seed.size());
  return key;
}

Result<SealKey> SealKey::load_or_create(const std::filesystem::path& path) {
  if (sodium_init() < 0) return fail(Errc::io_error, "libsodium can't be initialised");
  auto loaded = load(path);
  if (loaded.ok() || loaded.error().code != Errc::not_found) return loaded;
  KeyBytes seed{};
  randombytes_buf(seed.data(), seed.size());
  SealKey key = from_seed(seed);
  sodium_memzero(seed.data(), seed.size());
  const Status saved = key.save(path);
  if (!saved.ok() && saved.error().code == Errc::already_exists)
    return load(path);  // another sink was faster
  if (!saved.ok()) return saved.error();
  return key;
}

Status SealKey::save(const std::filesystem::path& path) const {
  const std::filesystem::path folder = path.parent_path();
  if (!folder.empty() && !std::filesystem::exists(folder)) {
    std::error_code code;
    std::filesystem::create_directories(folder, code);
    if (::chmod(folder.c_str(), S_IRWXU) != 0 || code)
      return system_error("making the folder of the seal key", folder);
  }
  const std::filesystem::path part = path.string() + "." + std::to_string(::getpid()) + ".part";
  const int file = ::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (file < 0) return system_error("making the seal key", part);
  std::string pem = pem_of("PRIVATE KEY", kPrivatePrefix, secret_.data());  // the first half is the seed
  const bool written = ::write(file, pem.data(), pem.size()) == static_cast<ssize_t>(pem.size());
  sodium_memzero(pem.data(), pem.size());
  ::close(file);
  Status saved = written ? sync_path(part) : Status(system_error("writing the seal key", part));
  if (saved.ok()) saved = publish(part, path, false);
  if (!saved.ok()) ::unlink(part.c_str());
  return saved;
}

Signature SealKey::sign(ByteSpan message) const noexcept {
  Signature signature{};
  crypto_sign_detached(signature.data(), nullptr, reinterpret_cast<const unsigned char*>(message.data()),
                       message.size(), secret_.data());
  return signature;
}

bool verify_signature(const PublicKey& key, ByteSpan message, const Signature& signature) noexcept {
  return crypto_sign_verify_detached(signature.data(), reinterpret_cast<const unsigned char*>(message.data()),
                                     message.size(), key.data()) == 0;
}

std::string to_text(const PublicKey& key) {
  return std::string(kTextPrefix) + to_hex(as_text(std::as_bytes(std::span(key))));
}

std::string to_pem(const PublicKey& key) { return pem_of("PUBLIC KEY", kPublicPrefix, key.data()); }

Result<PublicKey> parse_public_key(std::string_view text) {
  PublicKey key{};
  if (read_pem(text, "PUBLIC KEY", kPublicPrefix, key)) return key;
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' '))
    text.remove_suffix(1);
  std::size_t size = 0;
  if (text.starts_with(kTextPrefix) && text.size() == kTextPrefix.size() + 64 &&
      sodium_hex2bin(key.data(), key.size(), text.data() + kTextPrefix.size(), 64, nullptr, &size, nullptr) ==
          0 &&
      size == key.size())
    return key;
  return fail(
      Errc::invalid_argument,
      "no public key: neither \"ed25519:\" with 64 hexadecimal digits nor a PEM file with PUBLIC KEY");
}

}  // namespace ff::sink
