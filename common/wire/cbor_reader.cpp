// SPDX-License-Identifier: Apache-2.0
#include "common/wire/cbor_reader.hpp"

#include <algorithm>
#include <array>
#include <cbor.h>
#include <string>

namespace ff::wire {
namespace {

/// Open containers that skip() can be inside of at once; depth_max may ask for less.
constexpr std::uint32_t kDepthLimit = 64;

CborItem& item_of(void* context) noexcept { return *static_cast<CborItem*>(context); }

void set_unsigned(void* context, std::uint64_t value) noexcept {
  item_of(context) = {.kind = CborKind::unsigned_integer, .number = value};
}
void set_negative(void* context, std::uint64_t value) noexcept {
  item_of(context) = {.kind = CborKind::negative_integer, .number = value};
}
void set_floating(void* context, double value) noexcept {
  item_of(context) = {.kind = CborKind::floating, .floating = value};
}
void set_string(void* context, CborKind kind, cbor_data data, std::size_t size) noexcept {
  item_of(context) = {.kind = kind, .bytes = {reinterpret_cast<const std::byte*>(data), size}};
}
void set_container(void* context, CborKind kind, std::uint64_t entries, bool open_ended) noexcept {
  item_of(context) = {.kind = kind, .number = entries, .open_ended = open_ended};
}

constexpr cbor_callbacks make_callbacks() noexcept {
  cbor_callbacks to{};
  to.uint8 = [](void* c, std::uint8_t v) { set_unsigned(c, v); };
  to.uint16 = [](void* c, std::uint16_t v) { set_unsigned(c, v); };
  to.uint32 = [](void* c, std::uint32_t v) { set_unsigned(c, v); };
  to.uint64 = [](void* c, std::uint64_t v) { set_unsigned(c, v); };
  to.negint8 = [](void* c, std::uint8_t v) { set_negative(c, v); };
  to.negint16 = [](void* c, std::uint16_t v) { set_negative(c, v); };
  to.negint32 = [](void* c, std::uint32_t v) { set_negative(c, v); };
  to.negint64 = [](void* c, std::uint64_t v) { set_negative(c, v); };
  to.byte_string = [](void* c, cbor_data d, std::size_t n) { set_string(c, CborKind::byte_string, d, n); };
  to.string = [](void* c, cbor_data d, std::size_t n) { set_string(c, CborKind::text_string, d, n); };
  to.byte_string_start = [](void* c) { set_container(c, CborKind::chunked_string, 0, true); };
  to.string_start = [](void* c) { set_container(c, CborKind::chunked_string, 0, true); };
  to.array_start = [](void* c, std::size_t n) { set_container(c, CborKind::array, n, false); };
  to.indef_array_start = [](void* c) { set_container(c, CborKind::array, 0, true); };
  to.map_start = [](void* c, std::size_t n) { set_container(c, CborKind::map, n, false); };
  to.indef_map_start = [](void* c) { set_container(c, CborKind::map, 0, true); };
  to.tag = [](void* c, std::uint64_t v) { item_of(c) = {.kind = CborKind::tag, .number = v}; };
  to.float2 = [](void* c, float v) { set_floating(c, v); };
  to.float4 = [](void* c, float v) { set_floating(c, v); };
  to.float8 = [](void* c, double v) { set_floating(c, v); };
  to.undefined = [](void* c) { item_of(c) = {.kind = CborKind::null}; };
  to.null = [](void* c) { item_of(c) = {.kind = CborKind::null}; };
  to.boolean = [](void* c, bool v) { item_of(c) = {.kind = CborKind::boolean, .number = v ? 1u : 0u}; };
  to.indef_break = [](void* c) { item_of(c) = {.kind = CborKind::end_mark}; };
  return to;
}

const cbor_callbacks kCallbacks = make_callbacks();

struct Decoded {
  CborItem item;
  std::size_t bytes = 0;
};

Result<Decoded> decode_one(ByteSpan rest) {
  Decoded decoded;
  const auto* data = reinterpret_cast<cbor_data>(rest.data());
  const auto result = cbor_stream_decode(data, rest.size(), &kCallbacks, &decoded.item);
  switch (result.status) {
    case CBOR_DECODER_FINISHED: decoded.bytes = result.read; return decoded;
    case CBOR_DECODER_NEDATA:
      return fail(Errc::truncated,
                  "CBOR item needs more than the " + std::to_string(rest.size()) + " bytes that are left");
    case CBOR_DECODER_ERROR: break;
  }
  return fail(Errc::malformed,
              "CBOR has no item that starts with byte " +
                  std::to_string(std::to_integer<int>(rest.empty() ? std::byte{} : rest.front())));
}

Error wrong_kind(const char* wanted) {
  return fail(Errc::malformed, std::string("CBOR item is not ") + wanted);
}

}  // namespace

Result<CborItem> CborReader::peek() const {
  FF_ASSIGN(const Decoded decoded, decode_one(rest_));
  return decoded.item;
}

Result<CborItem> CborReader::next() {
  FF_ASSIGN(const Decoded decoded, decode_one(rest_));
  rest_ = rest_.subspan(decoded.bytes);
  return decoded.item;
}

Status CborReader::skip() {
  constexpr std::uint64_t kOpenEnded = UINT64_MAX;
  std::array<std::uint64_t, kDepthLimit> left;  // items still to come, per open container
  std::uint32_t depth = 0;
  const std::uint32_t depth_limit = std::min(depth_max_, kDepthLimit);
  do {
    FF_ASSIGN(const CborItem item, next());
    if (item.kind == CborKind::end_mark) {
      if (depth == 0 || left[depth - 1] != kOpenEnded)
        return fail(Errc::malformed, "CBOR break outside of an item of unknown length");
      --depth;
    } else if (item.kind == CborKind::tag) {
      continue;  // the tagged item counts, not the tag; a run of tags costs bytes, not depth
    } else if (item.kind == CborKind::array || item.kind == CborKind::map ||
               item.kind == CborKind::chunked_string) {
      // Every entry takes a byte at least: a larger count is a lie, and the product can't overflow.
      if (!item.open_ended && item.number > rest_.size())
        return fail(Errc::truncated, "CBOR container promises more entries than the message has bytes");
      if (depth == depth_limit)
        return fail(Errc::too_deep, "CBOR is nested deeper than " + std::to_string(depth_limit) + " levels");
      left[depth++] = item.open_ended ? kOpenEnded : item.number * (item.kind == CborKind::map ? 2 : 1);
      if (item.open_ended || item.number > 0) continue;
      --depth;
    }
    // One item is complete; so is every container whose last entry it was.
    while (depth > 0 && left[depth - 1] != kOpenEnded && --left[depth - 1] == 0) --depth;
    if (depth == 0) return {};
  } while (true);
}

Result<ByteSpan> CborReader::take_raw() {
  const ByteSpan before = rest_;
  FF_TRY(skip());
  return before.first(before.size() - rest_.size());
}

Result<CborItem> CborReader::next_untagged() {
  while (true) {
    FF_ASSIGN(const CborItem item, next());
    if (item.kind != CborKind::tag) return item;
  }
}

Result<CborReader::Container> CborReader::enter(CborKind kind, const char* what) {
  FF_ASSIGN(const CborItem item, next_untagged());
  if (item.kind != kind) return wrong_kind(what);
  if (!item.open_ended && item.number > rest_.size())
    return fail(Errc::truncated, "CBOR container promises more entries than the message has bytes");
  return Container{item.number, item.open_ended};
}

Result<CborReader::Container> CborReader::enter_map() { return enter(CborKind::map, "a map"); }
Result<CborReader::Container> CborReader::enter_array() { return enter(CborKind::array, "an array"); }

Result<bool> CborReader::more(Container& container) {
  if (!container.open_ended) {
    if (container.left == 0) return false;
    --container.left;
    return true;
  }
  FF_ASSIGN(const CborItem item, peek());
  if (item.kind != CborKind::end_mark) return true;
  FF_TRY(next());
  return false;
}

Result<std::uint64_t> CborReader::read_unsigned() {
  FF_ASSIGN(const CborItem item, next_untagged());
  if (item.kind != CborKind::unsigned_integer) return wrong_kind("an unsigned integer");
  return item.number;
}

Result<double> CborReader::read_number() {
  FF_ASSIGN(const CborItem item, next_untagged());
  switch (item.kind) {
    case CborKind::unsigned_integer: return static_cast<double>(item.number);
    case CborKind::negative_integer: return -1.0 - static_cast<double>(item.number);
    case CborKind::floating: return item.floating;
    default: return wrong_kind("a number");
  }
}

Result<bool> CborReader::read_boolean() {
  FF_ASSIGN(const CborItem item, next_untagged());
  if (item.kind != CborKind::boolean) return wrong_kind("true or false");
  return item.number != 0;
}

Result<std::string_view> CborReader::read_text(std::size_t bytes_max) {
  FF_ASSIGN(const CborItem item, next_untagged());
  if (item.kind != CborKind::text_string) return wrong_kind("a text string");
  if (item.bytes.size() > bytes_max)
    return fail(Errc::too_large, "CBOR text of " + std::to_string(item.bytes.size()) + " bytes; at most " +
                                     std::to_string(bytes_max) + " are accepted");
  return as_text(item.bytes);
}

}  // namespace ff::wire
