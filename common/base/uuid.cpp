// SPDX-License-Identifier: Apache-2.0
#include "common/base/uuid.hpp"

#include <algorithm>
#include <sys/random.h>

#include "common/base/check.hpp"
#include "common/base/clock.hpp"

namespace ff {
namespace {

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool dash_follows(std::size_t byte_index) noexcept {
  return byte_index == 3 || byte_index == 5 || byte_index == 7 || byte_index == 9;
}

}  // namespace

Uuid Uuid::mint() {
  Uuid uuid;
  FF_CHECK(getrandom(uuid.bytes.data(), uuid.bytes.size(), 0) == static_cast<ssize_t>(uuid.bytes.size()));
  const auto unix_ms = static_cast<std::uint64_t>(utc_now_ns() / 1'000'000);
  for (std::size_t i = 0; i < 6; ++i) uuid.bytes[i] = static_cast<std::uint8_t>(unix_ms >> (8 * (5 - i)));
  uuid.bytes[6] = static_cast<std::uint8_t>((uuid.bytes[6] & 0x0f) | 0x70);
  uuid.bytes[8] = static_cast<std::uint8_t>((uuid.bytes[8] & 0x3f) | 0x80);
  return uuid;
}

Result<Uuid> Uuid::parse(std::string_view text) {
  const auto malformed = [&] {
    return fail(Errc::malformed,
                "'" + std::string(text.substr(0, 64)) +
                    "' is no series uid; it has the form 0190163d-8694-7bb8-9c3e-6f4cb3a5d1e2");
  };
  if (text.size() != 36) return malformed();
  Uuid uuid;
  std::size_t at = 0;
  for (std::size_t i = 0; i < 16; ++i) {
    const int high = hex_digit(text[at]), low = hex_digit(text[at + 1]);
    if (high < 0 || low < 0) return malformed();
    uuid.bytes[i] = static_cast<std::uint8_t>(high * 16 + low);
    at += 2;
    if (dash_follows(i) && text[at++] != '-') return malformed();
  }
  return uuid;
}

Result<Uuid> Uuid::from_bytes(ByteSpan raw) {
  if (raw.size() != 16)
    return fail(Errc::malformed, "a series uid has 16 bytes, this one has " + std::to_string(raw.size()));
  Uuid uuid;
  std::memcpy(uuid.bytes.data(), raw.data(), 16);
  return uuid;
}

std::string Uuid::to_string() const {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(36);
  for (std::size_t i = 0; i < 16; ++i) {
    text.push_back(kDigits[bytes[i] >> 4]);
    text.push_back(kDigits[bytes[i] & 15]);
    if (dash_follows(i)) text.push_back('-');
  }
  return text;
}

}  // namespace ff
