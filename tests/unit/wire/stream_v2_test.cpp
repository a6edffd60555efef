// SPDX-License-Identifier: Apache-2.0
//
// Stream V2: every field is read, unknown ones are passed over, broken messages are named with what they
// told.
#include "common/wire/stream_v2.hpp"

#include <random>

#include <catch2/catch.hpp>

#include "tests/support/cbor_build.hpp"

using namespace ff;
using namespace ff::wire;
using ff::test::CborBuild;
using ff::test::image_message;

namespace {

std::vector<std::byte> start_message() {
  const std::vector<float> flat{1.0f, 0.5f, 2.0f, 1.0f};
  const std::vector<std::uint32_t> mask{0, 1, 0, 4};
  CborBuild out;
  out.map(19).text("type").text("start");
  out.text("arm_date").tag(0).text("2026-11-21T20:57:03.123456789+09:00");
  out.text("beam_center_x").floating(1.25).text("channels").array(2).text("threshold_1").text("difference");
  out.text("count_time").floating(0.001).text("frame_time").number(1);
  out.text("goniometer").map(1).text("omega").map(3).text("increment").floating(0.1).text("start").number(90);
  out.text("vendor_extra").text("passed over");
  out.text("flatfield").map(1).text("threshold_1").typed_array(2, 2, 85, std::as_bytes(std::span(flat)));
  out.text("pixel_mask").map(1).text("threshold_1").typed_array(2, 2, 70, std::as_bytes(std::span(mask)));
  out.text("threshold_energy").map(1).text("threshold_1").floating(6000);
  out.text("image_dtype").text("uint16").text("image_size_x").number(2).text("image_size_y").number(2);
  out.text("number_of_images").number(100).text("saturation_value").null();
  out.text("series_id").number(42).text("series_unique_id").text("01ABC");
  out.text("user_data").map(1).text("proposal").text("2026A0001");
  out.map(0).text("unknown");  // a key that is no text, with its value
  return out.take();
}

std::int64_t date_ns(std::string_view text) {
  auto ns = stream_v2::parse_date(text);
  REQUIRE(ns.ok());
  return *ns;
}

}  // namespace

TEST_CASE("a start message is read field by field and unknown keys are passed over", "[wire]") {
  const auto bytes = start_message();
  auto message = stream_v2::parse(bytes);
  REQUIRE(message.ok());
  const auto& start = std::get<stream_v2::Start>(*message);
  CHECK(start.series_id == 42);
  CHECK(start.series_unique_id == "01ABC");
  CHECK(start.arm_date_utc_ns == date_ns("2026-11-21T11:57:03.123456789Z"));
  CHECK(start.beam_center_x_px == 1.25);
  CHECK(start.channels == std::vector<std::string>{"threshold_1", "difference"});
  CHECK(start.frame_time_s == 1.0);
  REQUIRE(start.goniometer.size() == 1);
  CHECK(start.goniometer[0].name == "omega");
  CHECK(start.goniometer[0].start_deg == 90);
  CHECK(start.goniometer[0].increment_deg == 0.1);
  REQUIRE(start.flatfield.size() == 1);
  CHECK(start.flatfield[0].array.dtype == Dtype::f32);
  REQUIRE(start.pixel_mask.size() == 1);
  CHECK(start.pixel_mask[0].array.rows == 2);
  CHECK(load_le<std::uint32_t>(start.pixel_mask[0].array.bytes.data() + 12) == 4);
  CHECK(start.threshold_energy_ev.at(0).value == 6000);
  CHECK(start.image_dtype == "uint16");
  CHECK(start.number_of_images == 100u);
  CHECK_FALSE(start.saturation_value.has_value());
  CHECK(start.user_data.size() == 20);
}

TEST_CASE("every typed array of 8, 16 and 32 bits is understood in both byte orders", "[wire]") {
  struct Row {
    std::uint64_t tag;
    Dtype dtype;
    bool big_endian;
  };
  const Row rows[] = {{64, Dtype::u8, false},  {68, Dtype::u8, false},  {65, Dtype::u16, true},
                      {66, Dtype::u32, true},  {69, Dtype::u16, false}, {70, Dtype::u32, false},
                      {72, Dtype::i8, false},  {73, Dtype::i16, true},  {74, Dtype::i32, true},
                      {77, Dtype::i16, false}, {78, Dtype::i32, false}, {80, Dtype::f16, true},
                      {81, Dtype::f32, true},  {84, Dtype::f16, false}, {85, Dtype::f32, false}};
  for (const Row& row : rows) {
    const std::vector<std::byte> pixels(6 * dtype_bytes(row.dtype));
    for (const std::uint64_t shape_tag : {std::uint64_t{40}, std::uint64_t{1040}}) {
      CborBuild out;
      out.typed_array(2, 3, row.tag, pixels, shape_tag);
      auto array = stream_v2::parse_array(out.bytes());
      REQUIRE(array.ok());
      CHECK(array->dtype == row.dtype);
      CHECK(array->big_endian == row.big_endian);
      CHECK(array->column_major == (shape_tag == 1040));
      CHECK(array->rows == 2);
      CHECK(array->cols == 3);
    }
  }
}

TEST_CASE("compressed bytes are passed on with their algorithm and element size", "[wire]") {
  CborBuild out;
  out.tag(40).array(2).array(2).number(512).number(1028).tag(69);
  out.tag(56500).array(3).text("bslz4").number(2).blob(as_bytes("compressed"));
  auto array = stream_v2::parse_array(out.bytes());
  REQUIRE(array.ok());
  CHECK(array->compression == "bslz4");
  CHECK(array->compressor_element_bytes == 2);
  CHECK(array->raw_bytes() == 512u * 1028u * 2u);
  CHECK(as_text(array->bytes) == "compressed");
}

TEST_CASE("an array of a wrong shape or type is refused by name", "[wire]") {
  const std::vector<std::byte> pixels(12);
  const auto code_of = [](CborBuild& out) { return stream_v2::parse_array(out.bytes()).error().code; };
  CborBuild zero, wide, cube, short_of_bytes, huge, untyped;
  CHECK(code_of(zero.typed_array(0, 3, 69, {})) == Errc::shape_mismatch);
  CHECK(code_of(wide.typed_array(1, 1, 71, pixels)) == Errc::dtype_unsupported);
  cube.tag(40).array(2).array(3).number(1).number(2).number(3).tag(69).blob(pixels);
  CHECK(code_of(cube) == Errc::shape_mismatch);
  CHECK(code_of(short_of_bytes.typed_array(2, 4, 69, pixels)) == Errc::shape_mismatch);
  CHECK(code_of(huge.typed_array(UINT64_MAX, UINT64_MAX, 69, pixels)) == Errc::too_large);
  untyped.tag(40).array(2).array(2).number(1).number(1).array(1).number(0);
  CHECK(code_of(untyped) == Errc::dtype_unsupported);
}

TEST_CASE("an image whose pixels can't be used still tells its number", "[wire]") {
  CborBuild out;
  out.map(4).text("type").text("image").text("series_id").number(3).text("image_id").number(17);
  out.text("data").map(1).text("threshold_1").typed_array(1, 1, 71, std::vector<std::byte>(8));
  auto message = stream_v2::parse(out.bytes());
  REQUIRE(message.ok());
  const auto& image = std::get<stream_v2::Image>(*message);
  CHECK(image.image_id == 17);
  REQUIRE(image.data.size() == 1);
  CHECK(image.data[0].pixels.error().code == Errc::dtype_unsupported);
}

TEST_CASE("a truncated image tells series and number where they stood before the cut", "[wire]") {
  auto bytes = image_message(9, 1234, 2, 2, {1, 2, 3, 4});
  bytes.resize(bytes.size() - 3);
  stream_v2::Seen seen;
  auto message = stream_v2::parse(bytes, &seen);
  REQUIRE_FALSE(message.ok());
  CHECK(message.error().code == Errc::truncated);
  CHECK(seen.type == "image");
  CHECK(seen.series_id == 9u);
  CHECK(seen.image_id == 1234u);
}

TEST_CASE("messages that are not Stream V2 are refused by name", "[wire]") {
  CborBuild no_type, unknown_type, no_series, trailing, nested;
  CHECK(stream_v2::parse(no_type.map(1).text("a").number(1).bytes()).error().code == Errc::malformed);
  CHECK(stream_v2::parse(unknown_type.map(1).text("type").text("calibration").bytes()).error().code ==
        Errc::unsupported_feature);
  CHECK(stream_v2::parse(no_series.map(1).text("type").text("end").bytes()).error().code == Errc::malformed);
  trailing.map(2).text("type").text("end").text("series_id").number(1).number(0);
  CHECK(stream_v2::parse(trailing.bytes()).error().code == Errc::malformed);
  nested.map(3).text("type").text("end").text("series_id").number(1).text("user_data");
  for (int level = 0; level < 5000; ++level) nested.array(1);
  nested.number(0);
  CHECK(stream_v2::parse(nested.bytes()).error().code == Errc::too_deep);
  CHECK_FALSE(stream_v2::parse({}).ok());
  CHECK(stream_v2::parse(as_bytes("{\"htype\":\"dheader-1.0\"}")).error().code != Errc::invalid_argument);
}

TEST_CASE("the type may stand anywhere in the message", "[wire]") {
  CborBuild out;
  out.map(2).text("series_id").number(5).text("type").text("end");
  auto message = stream_v2::parse(out.bytes());
  REQUIRE(message.ok());
  CHECK(std::get<stream_v2::End>(*message).series_id == 5);
}

TEST_CASE("a rational time becomes nanoseconds rounded down, also where 64 bits would overflow", "[wire]") {
  CHECK(stream_v2::rational_to_ns({1, 3}).value() == 333'333'333);
  CHECK(stream_v2::rational_to_ns({0, 50'000'000}).value() == 0);
  CHECK(stream_v2::rational_to_ns({UINT64_MAX, UINT64_MAX}).value() == 1'000'000'000);
  CHECK(stream_v2::rational_to_ns({9'223'372'036'854'775'807ull, 1'000'000'000}).value() == INT64_MAX);
  CHECK(stream_v2::rational_to_ns({1, 0}).error().code == Errc::malformed);
  CHECK(stream_v2::rational_to_ns({UINT64_MAX, 1}).error().code == Errc::out_of_range);
}

TEST_CASE("dates are read with any offset and fraction, or refused", "[wire]") {
  CHECK(date_ns("1970-01-01T00:00:00Z") == 0);
  CHECK(date_ns("1970-01-01T01:00:00.5+01:00") == 500'000'000);
  CHECK(date_ns("2000-03-01T00:00:00Z") == 951'868'800'000'000'000);
  CHECK(date_ns("1969-12-31T23:59:59.999999999999Z") == -1);
  for (const char* broken :
       {"", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-01T25:00:00Z",
        "2026-01-01T00:00:00Zjunk", "now", "9999-01-01T00:00:00Z", "-026-01-01T00:00:00Z"})
    CHECK_FALSE(stream_v2::parse_date(broken).ok());
}

TEST_CASE("flipped bytes never read outside the message nor change its frame number unseen", "[wire]") {
  const auto image = image_message(1, 5, 4, 4, std::vector<std::uint16_t>(16, 3), "id");
  const auto start = start_message();
  std::mt19937_64 random(20261121);
  int parsed = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::byte> bytes = round % 2 == 0 ? image : start;
    const int flips = 1 + static_cast<int>(random() % 4);
    for (int flip = 0; flip < flips; ++flip) bytes[random() % bytes.size()] = std::byte(random() & 0xff);
    stream_v2::Seen seen;
    auto message = stream_v2::parse(bytes, &seen);
    if (!message.ok()) {
      CHECK_FALSE(message.error().message.empty());
      continue;
    }
    ++parsed;
    if (const auto* parsed_image = std::get_if<stream_v2::Image>(&*message))
      for (const auto& channel : parsed_image->data)
        if (channel.pixels.ok()) CHECK(channel.pixels->bytes.size() <= bytes.size());
  }
  CHECK(parsed > 0);
}
