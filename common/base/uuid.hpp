// SPDX-License-Identifier: Apache-2.0
//
// Uuid: 16 bytes that name a series for ever. Version 7 (RFC 9562 §5.7): sorts by the time it was minted.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/bytes.hpp"
#include "common/base/result.hpp"

namespace ff {

struct Uuid {
  std::array<std::uint8_t, 16> bytes{};

  /// A new version-7 UUID: 48 bits of UTC milliseconds, 74 random bits from the operating system.
  [[nodiscard]] static Uuid mint();
  /// "0190163d-8694-7bb8-9c3e-6f4cb3a5d1e2", upper or lower case.
  [[nodiscard]] static Result<Uuid> parse(std::string_view text);
  /// Exactly 16 bytes, from a record.
  [[nodiscard]] static Result<Uuid> from_bytes(ByteSpan raw);

  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] std::string to_wire() const {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  friend auto operator<=>(const Uuid&, const Uuid&) = default;
};

}  // namespace ff
