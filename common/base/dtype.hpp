// SPDX-License-Identifier: Apache-2.0
//
// Dtype: the pixel types Foreframe carries. The numbers are in every record and never change meaning.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace ff {

enum class Dtype : std::uint8_t {
  u8 = 1,
  u16 = 2,
  u32 = 3,
  i8 = 4,
  i16 = 5,
  i32 = 6,
  f16 = 7,
  f32 = 8,
};

/// Bytes of one pixel: 1, 2 or 4; 0 for a value that is no Dtype (a wire may carry one).
[[nodiscard]] constexpr std::size_t dtype_bytes(Dtype dtype) noexcept {
  switch (dtype) {
    case Dtype::u8:
    case Dtype::i8: return 1;
    case Dtype::u16:
    case Dtype::i16:
    case Dtype::f16: return 2;
    case Dtype::u32:
    case Dtype::i32:
    case Dtype::f32: return 4;
  }
  return 0;
}

[[nodiscard]] constexpr bool dtype_is_float(Dtype dtype) noexcept {
  return dtype == Dtype::f16 || dtype == Dtype::f32;
}

[[nodiscard]] constexpr bool dtype_is_signed(Dtype dtype) noexcept {
  return dtype == Dtype::i8 || dtype == Dtype::i16 || dtype == Dtype::i32;
}

/// numpy's name: "uint16", "int32", "float32" ...; "invalid" for a value that is no Dtype.
[[nodiscard]] std::string_view dtype_name(Dtype dtype) noexcept;

/// Reads numpy names ("uint16"), short names ("u16") and numpy codes ("<u2", "|u1").
[[nodiscard]] std::optional<Dtype> parse_dtype(std::string_view name) noexcept;

/// The Dtype of a number from a wire, or nothing.
[[nodiscard]] std::optional<Dtype> dtype_from_wire(std::uint32_t number) noexcept;

}  // namespace ff
