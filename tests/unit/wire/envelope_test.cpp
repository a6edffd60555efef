// SPDX-License-Identifier: Apache-2.0
//
// Envelope: what goes in comes out; what is broken is named.
#include "common/wire/envelope.hpp"

#include <random>

#include <catch2/catch.hpp>

#include "common/base/uuid.hpp"
#include "common/wire/tile_grid.hpp"

using namespace ff;
using namespace ff::wire;

namespace {

foreframe::wire::StreamGeometry geometry_of(std::uint32_t rows, std::uint32_t cols) {
  foreframe::wire::StreamGeometry geometry;
  geometry.set_rows(rows);
  geometry.set_cols(cols);
  geometry.set_dtype(static_cast<std::uint32_t>(Dtype::u16));
  geometry.set_tile_rows(512);
  geometry.set_tile_cols(512);
  return geometry;
}

EnvelopeHeader block_header() {
  EnvelopeHeader header;
  header.set_series_uid(Uuid::mint().to_wire());
  header.set_detector("eiger");
  header.set_epoch(7);
  header.set_sequence(4711);
  header.set_window_frames(16);
  auto& block = *header.mutable_block();
  *block.mutable_geometry() = geometry_of(1000, 600);
  block.set_window(3);
  block.set_tile(2);
  block.set_first_frame(4);
  block.set_frame_count(8);
  block.set_present(0b10110111);
  return header;
}

std::vector<std::byte> random_bytes(std::size_t count) {
  std::mt19937 random(1);
  std::vector<std::byte> bytes(count);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

Errc code_of(ByteSpan bytes) {
  const auto parsed = parse_envelope(bytes);
  REQUIRE_FALSE(parsed.ok());
  return parsed.error().code;
}

}  // namespace

TEST_CASE("an envelope gives back its header and its payload", "[wire]") {
  const EnvelopeHeader header = block_header();
  const auto payload = random_bytes(10'000);
  const auto sealed = seal_envelope(header, payload);
  REQUIRE(sealed.ok());
  const auto parsed = parse_envelope(sealed->bytes());
  REQUIRE(parsed.ok());
  CHECK(parsed->header.SerializeAsString() == header.SerializeAsString());
  CHECK(std::equal(payload.begin(), payload.end(), parsed->payload.begin(), parsed->payload.end()));
}

TEST_CASE("sealing in place gives the same bytes as sealing a copy", "[wire]") {
  const EnvelopeHeader header = block_header();
  const auto payload = random_bytes(5'001);
  std::vector<std::byte> buffer(kBlockHeadroomBytes + 8'000);
  std::copy(payload.begin(), payload.end(), buffer.begin() + kBlockHeadroomBytes);
  const auto in_place = seal_envelope_in_place(header, std::move(buffer), payload.size());
  const auto copied = seal_envelope(header, payload);
  REQUIRE(in_place.ok());
  CHECK(std::equal(in_place->bytes().begin(), in_place->bytes().end(), copied->bytes().begin(),
                   copied->bytes().end()));
}

TEST_CASE("an envelope cut at any byte is refused", "[wire]") {
  const auto sealed = seal_envelope(block_header(), random_bytes(300));
  for (std::size_t length = 0; length < sealed->size(); ++length)
    CHECK(code_of(sealed->bytes().first(length)) == Errc::truncated);
}

TEST_CASE("a flipped bit anywhere in an envelope is refused", "[wire]") {
  const auto sealed = seal_envelope(block_header(), random_bytes(64));
  for (std::size_t bit = 0; bit < sealed->size() * 8; ++bit) {
    std::vector<std::byte> bytes(sealed->bytes().begin(), sealed->bytes().end());
    bytes[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    CHECK_FALSE(parse_envelope(bytes).ok());
  }
}

TEST_CASE("a version that this build does not read is refused by name", "[wire]") {
  const auto sealed = seal_envelope(block_header(), {});
  std::vector<std::byte> bytes(sealed->bytes().begin(), sealed->bytes().end());
  bytes[5] = std::byte{9};
  const auto parsed = parse_envelope(bytes);
  REQUIRE(parsed.error().code == Errc::unsupported_version);
  CHECK(parsed.error().message.find("0.9") != std::string::npos);
}

TEST_CASE("a header whose fields contradict each other is malformed", "[wire]") {
  const auto seal = [](const EnvelopeHeader& header) { return seal_envelope(header, {}).value(); };
  EnvelopeHeader header = block_header();
  SECTION("frames outside the window") { header.mutable_block()->set_first_frame(9); }
  SECTION("first frame that would wrap") { header.mutable_block()->set_first_frame(0xffffffff); }
  SECTION("presence bits beyond the group") { header.mutable_block()->set_present(0x1ff); }
  SECTION("no frame at all") { header.mutable_block()->set_present(0); }
  SECTION("a tile that is not there") { header.mutable_block()->set_tile(4); }
  SECTION("no such pixel type") { header.mutable_block()->mutable_geometry()->set_dtype(99); }
  SECTION("zero rows") { header.mutable_block()->mutable_geometry()->set_rows(0); }
  SECTION("a tile above 2^20 pixels") { header.mutable_block()->mutable_geometry()->set_tile_cols(4096); }
  SECTION("short uid") { header.set_series_uid("abc"); }
  SECTION("W above 64") { header.set_window_frames(65); }
  SECTION("no record") { header.clear_block(); }
  SECTION("window record without states") {
    header.mutable_window()->set_frame_count(16);
    *header.mutable_window()->mutable_geometry() = geometry_of(4, 4);
  }
  CHECK(code_of(seal(header).bytes()) == Errc::malformed);
}

TEST_CASE("an attachment outside the payload is malformed", "[wire]") {
  EnvelopeHeader header = block_header();
  *header.mutable_series_start()->mutable_geometry() = geometry_of(4, 4);
  auto& mask = *header.mutable_series_start()->add_attachments();
  mask.set_offset(10);
  mask.set_bytes(UINT64_MAX - 4);
  CHECK(code_of(seal_envelope(header, random_bytes(100))->bytes()) == Errc::malformed);
}

TEST_CASE("tiles cover every pixel of a frame exactly once", "[wire]") {
  const auto [rows, cols] =
      GENERATE(std::pair{1, 1}, std::pair{512, 512}, std::pair{513, 1025}, std::pair{2527, 2463});
  const TileGrid grid(geometry_of(static_cast<std::uint32_t>(rows), static_cast<std::uint32_t>(cols)));
  std::vector<int> covered(static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols));
  for (std::uint32_t tile = 0; tile < grid.count(); ++tile) {
    const TileRect rect = grid.rect(tile);
    for (std::uint32_t r = 0; r < rect.rows; ++r)
      for (std::uint32_t c = 0; c < rect.cols; ++c)
        ++covered[static_cast<std::size_t>(rect.row + r) * static_cast<std::size_t>(cols) + rect.col + c];
  }
  CHECK(std::all_of(covered.begin(), covered.end(), [](int count) { return count == 1; }));
}

TEST_CASE("all records of a window go to one partition, and windows take turns", "[wire]") {
  EnvelopeHeader block = block_header();
  EnvelopeHeader window = block_header();
  window.mutable_window()->set_window(3);
  CHECK(partition_of(block, 4) == partition_of(window, 4));
  CHECK(partition_of(block, 4) == 3);
  block.mutable_block()->set_window(4);
  CHECK(partition_of(block, 4) == 0);
  CHECK(partition_of(block, 0) == 0);
}
