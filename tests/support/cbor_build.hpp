// SPDX-License-Identifier: Apache-2.0
//
// CborBuild: writes CBOR for tests, right or deliberately wrong. Independent of the product's own writer, so
// that reader and writer can't share a mistake.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.hpp"

namespace ff::test {

class CborBuild {
 public:
  CborBuild& head(unsigned major, std::uint64_t value) {
    const auto first = static_cast<std::uint8_t>(major << 5);
    if (value < 24) return byte(static_cast<std::uint8_t>(first | value));
    const int width = value <= 0xff ? 0 : value <= 0xffff ? 1 : value <= 0xffffffff ? 2 : 3;
    byte(static_cast<std::uint8_t>(first | (24 + width)));
    for (int shift = (8 << width) - 8; shift >= 0; shift -= 8)
      byte(static_cast<std::uint8_t>(value >> shift));
    return *this;
  }
  CborBuild& number(std::uint64_t value) { return head(0, value); }
  CborBuild& negative(std::uint64_t below_zero) { return head(1, below_zero - 1); }
  CborBuild& blob(ByteSpan data) { return head(2, data.size()).append(data); }
  CborBuild& text(std::string_view value) { return head(3, value.size()).append(as_bytes(value)); }
  CborBuild& array(std::uint64_t entries) { return head(4, entries); }
  CborBuild& map(std::uint64_t pairs) { return head(5, pairs); }
  CborBuild& tag(std::uint64_t value) { return head(6, value); }
  CborBuild& boolean(bool value) { return byte(value ? 0xf5 : 0xf4); }
  CborBuild& null() { return byte(0xf6); }
  CborBuild& floating(double value) {
    std::uint64_t bits;
    std::memcpy(&bits, &value, 8);
    byte(0xfb);
    for (int shift = 56; shift >= 0; shift -= 8) byte(static_cast<std::uint8_t>(bits >> shift));
    return *this;
  }
  CborBuild& byte(std::uint8_t value) {
    bytes_.push_back(std::byte{value});
    return *this;
  }
  CborBuild& append(ByteSpan data) {
    bytes_.insert(bytes_.end(), data.begin(), data.end());
    return *this;
  }

  /// Tag 40 (or `shape_tag`) [[rows, cols], typed_tag(bytes)].
  CborBuild& typed_array(std::uint64_t rows, std::uint64_t cols, std::uint64_t typed_tag, ByteSpan data,
                         std::uint64_t shape_tag = 40) {
    return tag(shape_tag).array(2).array(2).number(rows).number(cols).tag(typed_tag).blob(data);
  }

  [[nodiscard]] ByteSpan bytes() const { return bytes_; }
  [[nodiscard]] std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

/// A minimal image message of one channel with u16 pixels.
inline std::vector<std::byte> image_message(std::uint64_t series, std::uint64_t image, std::uint32_t rows,
                                            std::uint32_t cols, const std::vector<std::uint16_t>& pixels,
                                            std::string_view unique_id = "") {
  CborBuild out;
  out.map(unique_id.empty() ? 4 : 5).text("type").text("image").text("series_id").number(series);
  if (!unique_id.empty()) out.text("series_unique_id").text(unique_id);
  out.text("image_id").number(image).text("data").map(1).text("threshold_1");
  out.typed_array(rows, cols, 69, std::as_bytes(std::span(pixels)));
  return out.take();
}

}  // namespace ff::test
