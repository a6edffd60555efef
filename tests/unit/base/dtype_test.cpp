// SPDX-License-Identifier: Apache-2.0
#include "common/base/dtype.hpp"

#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "common/base/frame_view.hpp"
#include "common/base/payload.hpp"

using ff::Dtype;

TEST_CASE("every pixel type is found by its names and by its number", "[dtype]") {
  for (const Dtype dtype :
       {Dtype::u8, Dtype::u16, Dtype::u32, Dtype::i8, Dtype::i16, Dtype::i32, Dtype::f16, Dtype::f32}) {
    CHECK(ff::parse_dtype(ff::dtype_name(dtype)) == dtype);
    CHECK(ff::dtype_from_wire(static_cast<std::uint32_t>(dtype)) == dtype);
  }
  CHECK(ff::parse_dtype("<u2") == Dtype::u16);
  CHECK(ff::parse_dtype("i32") == Dtype::i32);
  CHECK(ff::dtype_name(Dtype::f32) == "float32");
}

TEST_CASE("unknown names and numbers are no pixel type", "[dtype]") {
  CHECK_FALSE(ff::parse_dtype("float64").has_value());
  CHECK_FALSE(ff::parse_dtype("").has_value());
  CHECK_FALSE(ff::parse_dtype(">u2").has_value());  // big-endian pixels are not carried
  for (const std::uint32_t number : {0u, 9u, 258u, 0xffffffffu})
    CHECK_FALSE(ff::dtype_from_wire(number).has_value());
}

TEST_CASE("a tile is a view into its frame", "[frame_view]") {
  std::vector<std::uint16_t> pixels(4 * 6);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint16_t>(i);
  const ff::FrameView frame = ff::dense_view({Dtype::u16, 4, 6}, std::as_const(pixels).data());
  const ff::FrameView tile = frame.tile({1, 2, 3, 4});
  CHECK(tile.shape.rows == 3);
  CHECK(tile.shape.bytes() == 24);
  CHECK(ff::load_le<std::uint16_t>(tile.row(0)) == 8);
  CHECK(ff::load_le<std::uint16_t>(tile.row(2)) == 20);
}

TEST_CASE("a payload's part keeps the bytes of the whole alive", "[payload]") {
  ff::Payload part;
  {
    const ff::Payload whole = ff::Payload::copy(ff::as_bytes("detector"));
    part = whole.part(2, 3);
  }
  CHECK(ff::as_text(part.bytes()) == "tec");
}
