// SPDX-License-Identifier: Apache-2.0
//
// Fuzz target: a Stream V2 message (CBOR) through its source to the unpacked pixels. Whatever the bytes, reading ends,
// stays inside the message and gives an event.
#include "agent/ingest/stream_v2_source.hpp"
#include "tests/fuzz/agent/message_input.hpp"
#include "tests/support/cbor_build.hpp"

namespace {

using namespace ff;
using namespace ff::fuzz;
using ff::test::CborBuild;

Verdict run(ByteSpan input) { return use_event(agent::read_stream_v2({input.begin(), input.end()})); }

Bytes image() {
  std::vector<std::uint16_t> pixels(512);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint16_t>(i % 5);
  const ByteSpan raw = std::as_bytes(std::span(pixels));
  const auto kind = kernels::DetectorCompression::bslz4;
  Bytes packed(kernels::detector_compressed_bound(kind, raw.size(), 2));
  packed.resize(kernels::compress_detector(kind, raw, 2, packed).value());
  CborBuild out;
  out.map(6).text("type").text("image").text("series_id").number(1).text("image_id").number(2);
  out.text("start_time").array(2).number(1).number(50'000'000);
  out.text("user_data").map(1).text("a").byte(0x9f).number(1).byte(0xff);
  out.text("data").map(1).text("threshold_1").tag(40).array(2).array(2).number(16).number(32).tag(69);
  out.tag(56500).array(3).text("bslz4").number(2).blob(packed);
  return out.take();
}

Bytes start() {
  const std::vector<std::uint32_t> mask(64, 1);
  CborBuild out;
  out.map(6).text("type").text("start").text("series_id").number(1);
  out.text("arm_date").tag(0).text("2026-11-21T20:57:03Z");
  out.text("goniometer").map(1).text("omega").map(2).text("start").floating(1).text("increment").number(2);
  out.text("channels").array(1).text("threshold_1");
  out.text("pixel_mask").map(1).text("threshold_1").typed_array(8, 8, 70, std::as_bytes(std::span(mask)));
  return out.take();
}

std::vector<Bytes> seeds() { return {image(), start()}; }

}  // namespace

FF_FUZZ_TARGET(stream_v2, run, seeds, damage_bytes);
