// SPDX-License-Identifier: Apache-2.0
//
// Messages from a detector with seeded damage, through both sources up to the unpacked pixels. Whatever the bytes:
// reading ends, stays inside the message and gives an event. Worth most under AddressSanitizer.
// FF_FUZZ_SEED and FF_FUZZ_ROUNDS choose others and more.
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "agent/ingest/pixel_unpack.hpp"
#include "agent/ingest/plain_source.hpp"
#include "agent/ingest/stream_v2_source.hpp"
#include "tests/support/cbor_build.hpp"

using namespace ff;
using namespace ff::agent;
using ff::test::CborBuild;

namespace {

using Bytes = std::vector<std::byte>;

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

Bytes compressed_image() {
  std::vector<std::uint16_t> pixels(512);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint16_t>(i % 5);
  const ByteSpan raw = std::as_bytes(std::span(pixels));
  const auto kind = kernels::DetectorCompression::bslz4;
  Bytes packed(kernels::detector_compressed_bound(kind, raw.size(), 2));
  packed.resize(kernels::compress_detector(kind, raw, 2, packed).value());
  CborBuild out;
  out.map(6).text("type").text("image").text("series_id").number(1).text("image_id").number(2);
  out.text("start_time")
      .array(2)
      .number(1)
      .number(50'000'000)
      .text("user_data")
      .map(1)
      .text("a")
      .byte(0x9f)
      .number(1)
      .byte(0xff);
  out.text("data").map(1).text("threshold_1").tag(40).array(2).array(2).number(16).number(32).tag(69);
  out.tag(56500).array(3).text("bslz4").number(2).blob(packed);
  return out.take();
}

Bytes start() {
  const std::vector<std::uint32_t> mask(64, 1);
  CborBuild out;
  out.map(6)
      .text("type")
      .text("start")
      .text("series_id")
      .number(1)
      .text("arm_date")
      .tag(0)
      .text("2026-11-21T20:57:03Z");
  out.text("goniometer").map(1).text("omega").map(2).text("start").floating(1).text("increment").number(2);
  out.text("channels").array(1).text("threshold_1");
  out.text("pixel_mask").map(1).text("threshold_1").typed_array(8, 8, 70, std::as_bytes(std::span(mask)));
  return out.take();
}

/// One to four wounds: bytes changed, cut off, doubled or taken out.
void damage(Bytes& bytes, std::mt19937_64& random) {
  for (std::uint64_t wounds = 1 + random() % 4; wounds > 0 && !bytes.empty(); --wounds) {
    const auto at = bytes.begin() + static_cast<std::ptrdiff_t>(random() % bytes.size());
    switch (random() % 4) {
      case 0: *at = std::byte(random() & 0xff); break;
      case 1: bytes.erase(at, bytes.end()); break;
      case 2: bytes.erase(at); break;
      default: bytes.insert(at, *at); break;
    }
  }
}

/// Unpacks every channel that claims to be usable, as ingest would. The number of pixels read.
std::size_t unpack_all(const std::variant<SeriesStarted, FrameArrived, SeriesEnded, Unreadable>& event) {
  std::size_t unpacked = 0;
  if (const auto* frame = std::get_if<FrameArrived>(&event))
    for (const ChannelPixels& pixels : frame->channels) {
      if (pixels.problem || pixels.shape.bytes() > (1u << 22)) continue;
      Bytes out(pixels.shape.bytes());
      if (unpack_pixels(pixels, out).ok()) unpacked += pixels.shape.pixels();
    }
  if (const auto* broken = std::get_if<Unreadable>(&event)) CHECK_FALSE(broken->why.message.empty());
  return unpacked;
}

}  // namespace

TEST_CASE("damaged Stream V2 messages are read to their end or refused by name", "[fuzz]") {
  const std::uint64_t seed = number_from("FF_FUZZ_SEED", 20261121),
                      rounds = number_from("FF_FUZZ_ROUNDS", 20'000);
  std::mt19937_64 random(seed);
  INFO("seed " << seed);
  const Bytes messages[] = {compressed_image(), start()};
  REQUIRE(unpack_all(read_stream_v2(messages[0])) == 512);
  std::size_t intact = 0;
  for (std::uint64_t round = 0; round < rounds; ++round) {
    Bytes message = messages[round % 2];
    damage(message, random);
    intact += unpack_all(read_stream_v2(message)) > 0 ? 1 : 0;
  }
  CHECK(intact > 0);
}

TEST_CASE("damaged plain messages are read to their end or refused by name", "[fuzz]") {
  const std::uint64_t seed = number_from("FF_FUZZ_SEED", 20261121),
                      rounds = number_from("FF_FUZZ_ROUNDS", 20'000);
  std::mt19937_64 random(seed);
  INFO("seed " << seed);
  const std::string header =
      R"({"type":"image","series":1,"frame":2,"dtype":"uint8","shape":[4,4],"user_data":{"a":[1,{"b":2}]}})";
  for (std::uint64_t round = 0; round < rounds; ++round) {
    Bytes damaged(as_bytes(header).begin(), as_bytes(header).end());
    damage(damaged, random);
    std::vector<Payload> parts{Payload::own(damaged), Payload::own(Bytes(16))};
    unpack_all(read_plain(parts));
  }
}
