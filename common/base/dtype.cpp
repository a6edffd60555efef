// SPDX-License-Identifier: Apache-2.0
#include "common/base/dtype.hpp"

#include <array>

namespace ff {
namespace {

struct Names {
  Dtype dtype;
  std::string_view numpy, brief, code;
};

constexpr std::array<Names, 8> kNames{{
    {Dtype::u8, "uint8", "u8", "|u1"},
    {Dtype::u16, "uint16", "u16", "<u2"},
    {Dtype::u32, "uint32", "u32", "<u4"},
    {Dtype::i8, "int8", "i8", "|i1"},
    {Dtype::i16, "int16", "i16", "<i2"},
    {Dtype::i32, "int32", "i32", "<i4"},
    {Dtype::f16, "float16", "f16", "<f2"},
    {Dtype::f32, "float32", "f32", "<f4"},
}};

}  // namespace

std::string_view dtype_name(Dtype dtype) noexcept {
  for (const Names& names : kNames)
    if (names.dtype == dtype) return names.numpy;
  return "invalid";
}

std::optional<Dtype> parse_dtype(std::string_view name) noexcept {
  for (const Names& names : kNames)
    if (name == names.numpy || name == names.brief || name == names.code) return names.dtype;
  return std::nullopt;
}

std::optional<Dtype> dtype_from_wire(std::uint32_t number) noexcept {
  for (const Names& names : kNames)
    if (static_cast<std::uint32_t>(names.dtype) == number) return names.dtype;
  return std::nullopt;
}

}  // namespace ff
