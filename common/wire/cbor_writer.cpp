// SPDX-License-Identifier: Apache-2.0
//
// CborWriter: libcbor's stateless encoders for the heads, plain copies for the rest.
#include "common/wire/cbor_writer.hpp"

#include <cbor.h>
#include <span>

#include "common/base/check.hpp"
#include "common/base/clock.hpp"

namespace ff::wire {

namespace {

constexpr std::uint64_t kTagDate = 0;

}  // namespace

template <typename Encode>
void CborWriter::head(Encode encode) {
  unsigned char room[16];
  const std::size_t written = encode(room, sizeof room);
  FF_CHECK(written > 0);
  append(std::as_bytes(std::span(room, written)));
}

void CborWriter::unsigned_number(std::uint64_t value) {
  head([&](auto* at, auto room) { return cbor_encode_uint(value, at, room); });
}

void CborWriter::number(double value) {
  head([&](auto* at, auto room) { return cbor_encode_double(value, at, room); });
}

void CborWriter::boolean(bool value) {
  head([&](auto* at, auto room) { return cbor_encode_bool(value, at, room); });
}

void CborWriter::tag(std::uint64_t value) {
  head([&](auto* at, auto room) { return cbor_encode_tag(value, at, room); });
}

void CborWriter::array(std::size_t count) {
  head([&](auto* at, auto room) { return cbor_encode_array_start(count, at, room); });
}

void CborWriter::map(std::size_t count) {
  head([&](auto* at, auto room) { return cbor_encode_map_start(count, at, room); });
}

void CborWriter::open_map() {
  head([](auto* at, auto room) { return cbor_encode_indef_map_start(at, room); });
}

void CborWriter::close_map() {
  head([](auto* at, auto room) { return cbor_encode_break(at, room); });
}

void CborWriter::text(std::string_view value) {
  head([&](auto* at, auto room) { return cbor_encode_string_start(value.size(), at, room); });
  append(as_bytes(value));
}

void CborWriter::byte_string(ByteSpan value) {
  head([&](auto* at, auto room) { return cbor_encode_bytestring_start(value.size(), at, room); });
  append(value);
}

void CborWriter::item(ByteSpan value) { append(value); }

void CborWriter::date(std::int64_t utc_ns) {
  tag(kTagDate);
  text(format_utc(utc_ns));
}

void CborWriter::field(std::string_view key, const std::string& value) {
  if (value.empty()) return;
  text(key);
  text(value);
}

void CborWriter::field(std::string_view key, const std::optional<double>& value) {
  if (!value) return;
  text(key);
  number(*value);
}

void CborWriter::field(std::string_view key, const std::optional<bool>& value) {
  if (!value) return;
  text(key);
  boolean(*value);
}

void CborWriter::field(std::string_view key, const std::optional<std::uint64_t>& value) {
  if (!value) return;
  text(key);
  unsigned_number(*value);
}

void CborWriter::date_field(std::string_view key, const std::optional<std::int64_t>& utc_ns) {
  if (!utc_ns) return;
  text(key);
  date(*utc_ns);
}

void CborWriter::item_field(std::string_view key, ByteSpan value) {
  if (value.empty()) return;
  text(key);
  item(value);
}

}  // namespace ff::wire
