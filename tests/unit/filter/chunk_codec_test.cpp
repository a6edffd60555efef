// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "common/base/crc32c.hpp"
#include "tests/unit/filter/chunk_samples.hpp"

namespace {

using namespace ff;
using namespace ff::test;
using sink::ChunkShape;

std::vector<std::byte> frames_of(const ChunkShape& shape, std::uint64_t seed) {
  if (!dtype_is_float(shape.frame.dtype))
    return tests::counting_frames(shape.frame, shape.frames, 20, 2000, seed).pixels;
  std::vector<std::byte> pixels(shape.bytes());
  tests::TestRandom random(seed);
  for (auto& byte : pixels) byte = static_cast<std::byte>(random.below(64));
  return pixels;
}

// Header and table made right again after a test changed them.
void seal(std::vector<std::byte>& chunk) {
  const std::size_t blocks = load_le<std::uint16_t>(chunk.data() + 14);
  const ByteSpan bytes(chunk);
  store_le(chunk.data() + 44, crc32c(bytes.subspan(48, 8 * blocks), crc32c(bytes.first(44))));
}

}  // namespace

TEST_CASE("A chunk of every pixel type, profile and shape comes back bit for bit", "[filter]") {
  for (const Dtype dtype :
       {Dtype::u8, Dtype::u16, Dtype::u32, Dtype::i8, Dtype::i16, Dtype::i32, Dtype::f16, Dtype::f32}) {
    for (const auto& [frames, rows, cols] : {std::tuple{1u, 1u, 1u}, {3u, 17u, 40u}, {64u, 8u, 31u}}) {
      for (const char* profile : {"fast", "small", "max", "auto"}) {
        INFO(dtype_name(dtype) << " " << frames << " x " << rows << " x " << cols << " " << profile);
        const ChunkShape shape{{dtype, rows, cols}, frames};
        const auto pixels = frames_of(shape, frames + rows);
        const auto chunk = sink::encode_chunk(shape, pixels, {kernels::parse_profile(profile).value(), 0});
        REQUIRE(chunk.ok());
        std::vector<std::byte> decoded;
        REQUIRE(decode(*chunk, decoded).ok());
        CHECK(decoded == pixels);
      }
    }
  }
}

TEST_CASE("A frame of more than a million pixels is cut into bands, and many frames into groups",
          "[filter]") {
  const ChunkShape wide{{Dtype::u16, 1100, 2048}, 3}, deep{{Dtype::u8, 1024, 1024}, 20};
  for (const auto& [shape, tiles, blocks] : {std::tuple{wide, 3u, 3u}, {deep, 1u, 2u}}) {
    const auto pixels = frames_of(shape, 5);
    const auto chunk = sink::encode_chunk(shape, pixels, {kernels::Profile::fast, 0});
    REQUIRE(chunk.ok());
    const auto parsed = sink::parse_chunk(*chunk);
    REQUIRE(parsed.ok());
    CHECK(parsed->geometry.tiles() == tiles);
    CHECK(parsed->blocks.size() == blocks);
    std::vector<std::byte> decoded;
    REQUIRE(decode(*chunk, decoded).ok());
    CHECK(decoded == pixels);
  }
}

TEST_CASE("Frames of nothing but the fill value are not coded and come back", "[filter]") {
  const ChunkShape shape{{Dtype::u16, 30, 50}, 8};
  auto pixels = frames_of(shape, 9);
  const auto frame = pixels.begin() + static_cast<std::ptrdiff_t>(2 * shape.frame.bytes());
  std::fill(frame, frame + static_cast<std::ptrdiff_t>(3 * shape.frame.bytes()), std::byte{0xff});
  const auto chunk = sink::encode_chunk(shape, pixels, {kernels::Profile::fast, 0xffff});
  REQUIRE(chunk.ok());
  std::vector<std::byte> decoded;
  REQUIRE(decode(*chunk, decoded).ok());
  CHECK(decoded == pixels);
  const auto info = kernels::inspect_block(sink::parse_chunk(*chunk)->blocks.front().bytes);
  REQUIRE(info.ok());
  CHECK(info->place.present == 0b11100011);

  std::ranges::fill(pixels, std::byte{0xff});
  const auto empty = sink::encode_chunk(shape, pixels, {kernels::Profile::fast, 0xffff});
  REQUIRE(empty.ok());
  CHECK(empty->size() == 48);
  REQUIRE(decode(*empty, decoded).ok());
  CHECK(decoded == pixels);
}

TEST_CASE("The stream's blocks decode as they came: vetoed frames and the edge read as the fill",
          "[filter]") {
  const FrameShape tile{Dtype::u16, 20, 24};
  const auto window = tests::counting_frames(tile, 16, 100, 900, 1);
  const auto blocks =
      coded_groups(window, {{0, 5, 0b10111, true}, {5, 4, 0b1111, false}, {12, 3, 0b101, false}});
  const auto geometry = one_tile(tile, 16, 32, 32, 0xffff);
  const auto chunk = chunk_of(geometry, blocks);
  REQUIRE(chunk.ok());
  std::vector<std::byte> decoded;
  REQUIRE(decode(*chunk, decoded).ok());
  const std::uint64_t there = 0b10111 | 0b1111 << 5 | 0b101 << 12;
  for (std::uint32_t t = 0; t < 16; ++t) {
    for (std::uint32_t row = 0; row < 32; ++row) {
      for (std::uint32_t col = 0; col < 32; ++col) {
        const auto pixel = load_le<std::uint16_t>(decoded.data() + ((t * 32 + row) * 32 + col) * 2);
        const bool coded = (there >> t & 1) != 0 && row < 20 && col < 24;
        const auto expected =
            coded ? load_le<std::uint16_t>(window.pixels.data() + ((t * 20 + row) * 24 + col) * 2) : 0xffff;
        if (pixel != expected) FAIL("frame " << t << ", row " << row << ", column " << col);
      }
    }
  }
}

TEST_CASE("A restarted agent's key group may begin inside a group of the killed one", "[filter]") {
  const FrameShape tile{Dtype::u16, 16, 16};
  const auto window = tests::counting_frames(tile, 12, 100, 900, 2);
  auto blocks = coded_groups(window, {{0, 4, 0xf, true}, {4, 4, 0xf, false}});
  const auto later = coded_groups(window, {{6, 3, 0x7, true}, {9, 3, 0x7, false}});
  blocks.insert(blocks.end(), later.begin(), later.end());
  const auto chunk = chunk_of(one_tile(tile, 12, 16, 16, 0), blocks);
  REQUIRE(chunk.ok());
  std::vector<std::byte> decoded;
  REQUIRE(decode(*chunk, decoded).ok());
  CHECK(decoded == window.pixels);
}

TEST_CASE("Lossy blocks decode within the bound that they carry", "[filter]") {
  const FrameShape tile{Dtype::u16, 40, 40};
  const auto window = tests::counting_frames(tile, 8, 2000, 20000, 3);
  kernels::EncodeOptions options;
  options.bound = kernels::parse_loss_bound("sqrt:1").value();
  const auto chunk =
      chunk_of(one_tile(tile, 8, 40, 40, 0), coded_groups(window, {{0, 8, 0xff, true}}, options));
  REQUIRE(chunk.ok());
  std::vector<std::byte> decoded;
  REQUIRE(decode(*chunk, decoded).ok());
  CHECK(decoded != window.pixels);
  for (std::size_t i = 0; i < decoded.size(); i += 2) {
    REQUIRE(kernels::within_bound(options.bound, load_le<std::uint16_t>(window.pixels.data() + i),
                                  load_le<std::uint16_t>(decoded.data() + i)));
  }
}

TEST_CASE("A chunk that breaks a rule is refused, and the message names the block", "[filter]") {
  const FrameShape tile{Dtype::u16, 16, 16};
  const auto window = tests::counting_frames(tile, 8, 100, 900, 4);
  const auto groups = coded_groups(window, {{0, 4, 0xf, true}, {4, 4, 0xf, false}});
  const auto again = coded_groups(window, {{0, 8, 0xff, true}});
  const auto geometry = one_tile(tile, 8, 16, 16, 0);
  std::vector<std::byte> decoded;
  const auto refused = [&](const sink::ChunkGeometry& shape,
                           const std::vector<std::vector<std::byte>>& blocks, Errc code, const char* words) {
    const auto chunk = chunk_of(shape, blocks);
    REQUIRE(chunk.ok());
    const Status status = decode(*chunk, decoded);
    REQUIRE_FALSE(status.ok());
    CHECK(status.error().code == code);
    CHECK_THAT(status.error().message, Catch::Contains(words));
  };
  refused(geometry, {groups[1]}, Errc::state_mismatch,
          "block 0 of tile 0: state_mismatch: a tile's first block");
  refused(geometry, {groups[0], groups[0]}, Errc::malformed,
          "block 1 of tile 0: malformed: it begins no later");
  refused(one_tile(tile, 7, 16, 16, 0), {groups[0], groups[1]}, Errc::malformed, "outside the chunk");
  refused(one_tile({Dtype::u16, 16, 15}, 8, 16, 16, 0), {groups[0]}, Errc::shape_mismatch, "not its tile's");
  refused(one_tile({Dtype::i16, 16, 16}, 8, 16, 16, 0), {groups[0]}, Errc::shape_mismatch, "not its tile's");
  auto damaged = groups;
  damaged[1][100] ^= std::byte{1};
  refused(geometry, damaged, Errc::crc_mismatch, "block 1 of tile 0: crc_mismatch: block: payload CRC");
  auto longer = groups;
  longer[0].push_back(std::byte{0});
  refused(geometry, longer, Errc::malformed, "block 0 of tile 0: malformed: its length");
  // 8 + 7 + 6 + 5 + 4 frames are within 4 x 8, and 3 more are not.
  std::vector<std::vector<std::byte>> repeated;
  for (std::uint8_t first = 0; first < 6; ++first) {
    const auto count = static_cast<std::uint8_t>(8 - first);
    repeated.push_back(coded_groups(window, {{first, count, 0xffu >> first, true}}).front());
  }
  refused(geometry, repeated, Errc::malformed, "block 5 of tile 0: malformed: its tile's blocks repeat");
  repeated.pop_back();
  CHECK(decode(*chunk_of(geometry, repeated), decoded).ok());
  CHECK(decoded == window.pixels);
}

TEST_CASE("Header and table of a chunk are believed in no field", "[filter]") {
  const FrameShape tile{Dtype::u16, 16, 16};
  const auto window = tests::counting_frames(tile, 4, 100, 900, 4);
  const auto good = chunk_of(one_tile(tile, 4, 16, 16, 7), coded_groups(window, {{0, 4, 0xf, true}}));
  REQUIRE(good.ok());
  struct Case {
    std::size_t at;
    std::uint64_t value;
    std::size_t width;
    Errc code;
  };
  const Case cases[] = {
      {0, 'X', 1, Errc::bad_magic},         {4, 1, 1, Errc::unsupported_version},
      {5, 9, 1, Errc::unsupported_version}, {6, 47, 2, Errc::malformed},
      {8, 1, 4, Errc::truncated},           {12, 0, 1, Errc::malformed},
      {12, 9, 1, Errc::malformed},          {13, 0, 1, Errc::malformed},
      {13, 65, 1, Errc::malformed},         {14, 2, 2, Errc::malformed},
      {14, 0xffff, 2, Errc::truncated},     {16, 0, 4, Errc::malformed},
      {16, 0x10000, 4, Errc::malformed},    {16, ~0u, 4, Errc::malformed},
      {20, 0xffff, 4, Errc::malformed},  // blocks say 16 columns: the tile is not theirs any more
      {24, 0, 2, Errc::malformed},          {24, 17, 2, Errc::malformed},
      {26, 0, 2, Errc::malformed},          {26, 17, 2, Errc::malformed},
      {28, 0, 2, Errc::malformed},          {28, 17, 2, Errc::malformed},
      {30, 0, 2, Errc::malformed},          {30, 17, 2, Errc::malformed},
      {34, 1, 2, Errc::malformed},          {40, 1, 4, Errc::malformed},
      {48, 1, 2, Errc::malformed},          {50, 1, 2, Errc::malformed},
      {52, 63, 4, Errc::malformed},         {52, ~0u, 4, Errc::malformed},
  };
  std::vector<std::byte> decoded;
  for (const Case& wrong : cases) {
    INFO("byte " << wrong.at << " = " << wrong.value);
    auto chunk = *good;
    std::memcpy(chunk.data() + wrong.at, &wrong.value, wrong.width);
    const bool table_inside = load_le<std::uint16_t>(chunk.data() + 14) * 8u + 48u <= chunk.size();
    if (table_inside) {
      auto unsealed = chunk;
      if (wrong.code == Errc::malformed && wrong.at > 6) {
        REQUIRE(decode(unsealed, decoded).error().code == Errc::crc_mismatch);
      }
      seal(chunk);
    }
    const Status status = decode(chunk, decoded);
    // 65535 columns of 16 rows are a lawful chunk: more than the tile, all fill.
    if (wrong.at == 20) {
      CHECK(status.ok());
    } else {
      REQUIRE_FALSE(status.ok());
      CHECK(status.error().code == wrong.code);
    }
  }
  for (std::size_t length = 0; length < good->size(); ++length)
    REQUIRE_FALSE(decode(ByteSpan(*good).first(length), decoded).ok());
}

TEST_CASE("Chunks above 64 frames or 64 MiB are refused with their shape", "[filter]") {
  const std::vector<std::byte> none;
  for (const ChunkShape& shape : {ChunkShape{{Dtype::u16, 8, 8}, 65},
                                  {{Dtype::u16, 8, 8}, 0},
                                  {{Dtype::u16, 1024, 1024}, 33},
                                  {{Dtype::u8, 65536, 1}, 1},
                                  {{static_cast<Dtype>(9), 8, 8}, 1}}) {
    CHECK_FALSE(sink::check_chunk_shape(shape).ok());
    CHECK_FALSE(sink::encode_chunk(shape, none, {}).ok());
  }
  CHECK(sink::check_chunk_shape({{Dtype::u16, 1024, 1024}, 32}).ok());
}
