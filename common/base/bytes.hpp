// SPDX-License-Identifier: Apache-2.0
//
// Byte order: loads and stores of fixed-width integers in hostile or foreign bytes, and a cursor that
// never reads past its end. Foreframe's own formats are little-endian; bitshuffle framing is big-endian.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

namespace ff {

static_assert(std::endian::native == std::endian::little, "Foreframe runs on little-endian hosts");

using ByteSpan = std::span<const std::byte>;
using MutableByteSpan = std::span<std::byte>;

template <typename T>
[[nodiscard]] inline T load_le(const void* source) noexcept {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  std::memcpy(&value, source, sizeof value);
  return value;
}

template <typename T>
inline void store_le(void* target, T value) noexcept {
  static_assert(std::is_trivially_copyable_v<T>);
  std::memcpy(target, &value, sizeof value);
}

[[nodiscard]] inline std::uint16_t load_be16(const void* p) noexcept {
  return __builtin_bswap16(load_le<std::uint16_t>(p));
}
[[nodiscard]] inline std::uint32_t load_be32(const void* p) noexcept {
  return __builtin_bswap32(load_le<std::uint32_t>(p));
}
[[nodiscard]] inline std::uint64_t load_be64(const void* p) noexcept {
  return __builtin_bswap64(load_le<std::uint64_t>(p));
}
inline void store_be32(void* p, std::uint32_t v) noexcept { store_le(p, __builtin_bswap32(v)); }
inline void store_be64(void* p, std::uint64_t v) noexcept { store_le(p, __builtin_bswap64(v)); }

[[nodiscard]] inline ByteSpan as_bytes(std::string_view text) noexcept {
  return std::as_bytes(std::span(text.data(), text.size()));
}
[[nodiscard]] inline std::string_view as_text(ByteSpan bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Reads little-endian values from hostile bytes. After the first short read every later read yields
/// zero and `ok()` stays false: parse a whole header, then ask once.
class ByteReader {
 public:
  explicit ByteReader(ByteSpan bytes) noexcept : rest_(bytes) {}

  template <typename T>
  [[nodiscard]] T read() noexcept {
    if (rest_.size() < sizeof(T)) {
      fail();
      return T{};
    }
    T value = load_le<T>(rest_.data());
    rest_ = rest_.subspan(sizeof(T));
    return value;
  }

  /// The next `count` bytes, or an empty span and ok() == false.
  [[nodiscard]] ByteSpan take(std::size_t count) noexcept {
    if (rest_.size() < count) {
      fail();
      return {};
    }
    ByteSpan taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }

  [[nodiscard]] bool ok() const noexcept { return ok_; }
  [[nodiscard]] ByteSpan rest() const noexcept { return rest_; }

 private:
  void fail() noexcept {
    ok_ = false;
    rest_ = {};
  }

  ByteSpan rest_;
  bool ok_ = true;
};

}  // namespace ff
