// SPDX-License-Identifier: Apache-2.0
//
// CborWriter: puts one item after the other into one growing CBOR message (RFC 8949).
//
// Data path  replay, tests > [Stream V2 message] > detector's listeners
// Meaning    heads are libcbor's; containers are closed by whoever opens them: entries follow a head in the number it said.
// Not here   reading (cbor_reader.hpp), what the keys mean (stream_v2_write.cpp).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/bytes.hpp"

namespace ff::wire {

class CborWriter {
 public:
  explicit CborWriter(std::size_t expected_bytes = 4096) { bytes_.reserve(expected_bytes); }

  void unsigned_number(std::uint64_t value);
  void number(double value);
  void boolean(bool value);
  void tag(std::uint64_t value);
  void array(std::size_t count);
  void map(std::size_t count);
  void open_map();  ///< of unknown length, until close_map()
  void close_map();
  void text(std::string_view value);
  void byte_string(ByteSpan value);
  /// A complete item made elsewhere.
  void item(ByteSpan value);
  /// Text with the tag of a date.
  void date(std::int64_t utc_ns);

  /// Key and value; nothing where the value is empty.
  void field(std::string_view key, const std::string& value);
  void field(std::string_view key, const std::optional<double>& value);
  void field(std::string_view key, const std::optional<bool>& value);
  void field(std::string_view key, const std::optional<std::uint64_t>& value);
  void date_field(std::string_view key, const std::optional<std::int64_t>& utc_ns);
  void item_field(std::string_view key, ByteSpan value);

  [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }
  [[nodiscard]] std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  template <typename Encode>
  void head(Encode encode);
  void append(ByteSpan value) { bytes_.insert(bytes_.end(), value.begin(), value.end()); }

  std::vector<std::byte> bytes_;
};

}  // namespace ff::wire
