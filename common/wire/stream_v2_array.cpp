// SPDX-License-Identifier: Apache-2.0
//
// Arrays of Stream V2: the tags of RFC 8746 (shape, element type) and DECTRIS's tag for compressed bytes.
#include <array>

#include "common/wire/cbor_reader.hpp"
#include "common/wire/stream_v2.hpp"

namespace ff::wire::stream_v2 {
namespace {

constexpr std::uint64_t kTagRowMajor = 40, kTagColumnMajor = 1040, kTagCompressed = 56500;
constexpr std::uint64_t kTagTypedFirst = 64, kTagTypedLast = 87;

struct ElementType {
  Dtype dtype;
  bool big_endian;
};

/// RFC 8746: the tag's low bits are float, signed, little-endian and the width.
Result<ElementType> element_type_of(std::uint64_t tag) {
  switch (tag) {
    case 64:
    case 68: return ElementType{Dtype::u8, false};  // 68: clamped arithmetic, the same bytes
    case 65: return ElementType{Dtype::u16, true};
    case 66: return ElementType{Dtype::u32, true};
    case 69: return ElementType{Dtype::u16, false};
    case 70: return ElementType{Dtype::u32, false};
    case 72: return ElementType{Dtype::i8, false};
    case 73: return ElementType{Dtype::i16, true};
    case 74: return ElementType{Dtype::i32, true};
    case 77: return ElementType{Dtype::i16, false};
    case 78: return ElementType{Dtype::i32, false};
    case 80: return ElementType{Dtype::f16, true};
    case 81: return ElementType{Dtype::f32, true};
    case 84: return ElementType{Dtype::f16, false};
    case 85: return ElementType{Dtype::f32, false};
    default:
      return fail(Errc::dtype_unsupported, "typed array tag " + std::to_string(tag) +
                                               "; 8, 16 and 32-bit integers and float16, float32 are read");
  }
}

Status read_compressed(CborReader& in, ArrayView& array) {
  FF_ASSIGN(auto parts, in.enter_array());
  if (parts.open_ended || parts.left != 3)
    return fail(Errc::malformed, "tag 56500 holds [algorithm, element size, bytes]");
  FF_ASSIGN(array.compression, in.read_text(32));
  FF_ASSIGN(const std::uint64_t element_bytes, in.read_unsigned());
  if (element_bytes > 16) return fail(Errc::malformed, "tag 56500 names an element size above 16");
  array.compressor_element_bytes = static_cast<std::uint32_t>(element_bytes);
  FF_ASSIGN(const CborItem bytes, in.next());
  if (bytes.kind != CborKind::byte_string) return fail(Errc::malformed, "tag 56500 holds no byte string");
  array.bytes = bytes.bytes;
  return {};
}

Status read_typed(CborReader& in, ArrayView& array) {
  FF_ASSIGN(const CborItem tag, in.next());
  if (tag.kind != CborKind::tag || tag.number < kTagTypedFirst || tag.number > kTagTypedLast)
    return fail(Errc::dtype_unsupported, "array is no typed array (tags 64 to 87)");
  FF_ASSIGN(const ElementType type, element_type_of(tag.number));
  array.dtype = type.dtype;
  array.big_endian = type.big_endian;
  FF_ASSIGN(const CborItem content, in.peek());
  if (content.kind == CborKind::tag && content.number == kTagCompressed) return read_compressed(in, array);
  if (content.kind != CborKind::byte_string)
    return fail(Errc::malformed, "typed array holds neither bytes nor tag 56500");
  FF_TRY(in.next());
  array.bytes = content.bytes;
  return {};
}

Status read_dimensions(CborReader& in, ArrayView& array) {
  FF_ASSIGN(auto dimensions, in.enter_array());
  std::array<std::uint64_t, 2> sizes{1, 1};
  std::size_t count = 0;
  while (true) {
    FF_ASSIGN(const bool another, in.more(dimensions));
    if (!another) break;
    if (count == 2) return fail(Errc::shape_mismatch, "array has more than two dimensions");
    FF_ASSIGN(sizes[count], in.read_unsigned());
    ++count;
  }
  if (count == 0 || sizes[0] == 0 || sizes[1] == 0) return fail(Errc::shape_mismatch, "array of size zero");
  if (sizes[0] > kArrayBytesMax || sizes[1] > kArrayBytesMax)
    return fail(Errc::too_large, "array dimension above " + std::to_string(kArrayBytesMax));
  array.rows = static_cast<std::uint32_t>(count == 1 ? 1 : sizes[0]);
  array.cols = static_cast<std::uint32_t>(count == 1 ? sizes[0] : sizes[1]);
  return {};
}

/// A bare typed array is one row; a compressed one tells its size in the framing's first 8 bytes.
Status infer_row(ArrayView& array) {
  std::uint64_t raw_bytes = array.bytes.size();
  if (!array.compression.empty()) {
    if (array.bytes.size() < 8) return fail(Errc::truncated, "compressed array without a size");
    raw_bytes = load_be64(array.bytes.data());
  }
  if (raw_bytes > kArrayBytesMax) return fail(Errc::too_large, "array above 1 GiB");
  array.rows = 1;
  array.cols = static_cast<std::uint32_t>(raw_bytes / dtype_bytes(array.dtype));
  if (array.cols == 0) return fail(Errc::shape_mismatch, "array of size zero");
  return {};
}

Status check_size(const ArrayView& array) {
  const std::uint64_t pixels = std::uint64_t{array.rows} * array.cols;  // both at most 2^30
  if (pixels > kArrayBytesMax / dtype_bytes(array.dtype)) return fail(Errc::too_large, "array above 1 GiB");
  if (array.compression.empty() && array.bytes.size() != array.raw_bytes())
    return fail(Errc::shape_mismatch, "array of " + std::to_string(array.rows) + " x " +
                                          std::to_string(array.cols) + " " +
                                          std::string(dtype_name(array.dtype)) + " has " +
                                          std::to_string(array.bytes.size()) + " bytes");
  return {};
}

}  // namespace

Result<ArrayView> parse_array(ByteSpan item) {
  CborReader in(item, kCborDepthMax);
  ArrayView array;
  FF_ASSIGN(const CborItem head, in.peek());
  const bool shaped =
      head.kind == CborKind::tag && (head.number == kTagRowMajor || head.number == kTagColumnMajor);
  if (shaped) {
    array.column_major = head.number == kTagColumnMajor;
    FF_TRY(in.next());
    FF_ASSIGN(auto parts, in.enter_array());
    if (parts.open_ended || parts.left != 2)
      return fail(Errc::malformed, "tags 40 and 1040 hold [dimensions, array]");
    FF_TRY(read_dimensions(in, array));
  }
  FF_TRY(read_typed(in, array));
  if (!shaped) FF_TRY(infer_row(array));
  FF_TRY(check_size(array));
  return array;
}

}  // namespace ff::wire::stream_v2
