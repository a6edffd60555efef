// SPDX-License-Identifier: Apache-2.0
//
// The benchmark's parts: statistics, bounds, names, reports. Peers re-made here are in peer_codecs_test.cpp.
#include <nlohmann/json.hpp>

#include "tests/unit/tools/recording_fixture.hpp"
#include "tools/bench/codec_bench_report.hpp"
#include "tools/bench/simulated_sets.hpp"

using namespace ff;
using namespace ff::tools;

namespace {

BenchFrames frames_with(const FrameShape& shape, std::vector<std::byte> pixels) {
  BenchFrames frames;
  frames.name = "made-up";
  frames.info.shape = shape;
  frames.frames = pixels.size() / shape.bytes();
  frames.info.frames = frames.frames;
  frames.pixels = std::move(pixels);
  return frames;
}

CodecBenchOptions quick(const std::string& peers) {
  CodecBenchOptions options;
  options.profiles = {kernels::Profile::fast};
  options.peers = *parse_bench_peers(peers);
  options.own.repeat = 1;
  options.max_seconds = 0.1;
  return options;
}

}  // namespace

TEST_CASE("the median of repeats is their middle one, or the mean of the middle two", "[bench]") {
  Spread spread;
  CHECK(spread.empty());
  CHECK(spread.median() == 0);
  for (const double value : {5.0, 1.0, 3.0}) spread.add(value);
  CHECK(spread.median() == 3);
  spread.add(4);
  CHECK(spread.median() == 3.5);
  CHECK(spread.least() == 1);
  CHECK(spread.most() == 5);
  CHECK(spread.count() == 4);
}

TEST_CASE("a time below the clock's resolution gives no speed", "[bench]") {
  const Spread speeds = gigabytes_per_second(2e9, {0.0, 1.0, 4.0});
  CHECK(speeds.count() == 2);
  CHECK(speeds.most() == 2);
  CHECK(speeds.least() == 0.5);
}

TEST_CASE("order-0 entropy counts the bits that a histogram needs", "[bench]") {
  const FrameShape shape{Dtype::u8, 2, 4};
  std::vector<std::byte> pixels(16, std::byte{7});
  CHECK(order0_bits_per_pixel(frames_with(shape, pixels)) == Approx(0).margin(1e-12));
  for (std::size_t i = 0; i < 8; ++i) pixels[i] = std::byte{9};
  CHECK(order0_bits_per_pixel(frames_with(shape, pixels)) == Approx(1));
  for (std::size_t i = 0; i < 16; ++i) pixels[i] = static_cast<std::byte>(i);
  CHECK(order0_bits_per_pixel(frames_with(shape, pixels)) == Approx(4));
}

TEST_CASE("a bound is read from words, and wrong words are refused", "[bench]") {
  CHECK(parse_lossy_bound("abs:3")->value == 3);
  CHECK(parse_lossy_bound("rel:2.5%")->kind == LossyBound::Kind::relative);
  CHECK(parse_lossy_bound("sqrt:0.5")->text == "sqrt:0.5");
  for (const char* wrong :
       {"", "3", "abs", "abs:", "abs:0", "abs:-1", "abs:1.5", "abs:3%", "most:3", "rel:x"})
    CHECK_FALSE(parse_lossy_bound(wrong).ok());
}

TEST_CASE("a relative bound is a share of the range without sentinels", "[bench]") {
  const std::vector<std::uint16_t> values = {10, 110, 65535, 60};
  const auto bytes = std::as_bytes(std::span(values));
  BenchFrames frames = frames_with({Dtype::u16, 2, 2}, {bytes.begin(), bytes.end()});
  frames.info.sentinels = {65535};
  const ValueRange range = range_without_sentinels(frames);
  CHECK(range.least == 10);
  CHECK(range.largest == 110);
  CHECK(absolute_bound(*parse_lossy_bound("rel:3%"), range) == 3);
  CHECK_FALSE(absolute_bound(*parse_lossy_bound("rel:0.1%"), range).has_value());  // 0.1 of a count: exact
  CHECK(absolute_bound(*parse_lossy_bound("abs:7"), range) == 7);
  CHECK_FALSE(absolute_bound(*parse_lossy_bound("sqrt:1"), range).has_value());
}

TEST_CASE("peers are asked for by name, and an unknown name is refused", "[bench]") {
  CHECK(parse_bench_peers("none")->empty());
  CHECK(parse_bench_peers("all")->size() == bench_peers().size());
  CHECK(parse_bench_peers("jpeg-ls,zfp")->size() == 2);
  CHECK_FALSE(parse_bench_peers("jpeg-sl").ok());
}

TEST_CASE("a recording's report holds every codec that was asked for, and its JSON says the same",
          "[bench]") {
  const CodecBenchOptions options = quick("fast");
  std::size_t steps = 0;
  const std::string source = "sim:eiger2-16m,rows=40,cols=33,frames=20,rate=2";
  auto bench = bench_recording(source, options, [&](const std::string&) { ++steps; });
  REQUIRE(bench.ok());
  CHECK(steps == bench_steps(options));
  REQUIRE(bench->results.size() == 6);
  CodecBenchReport report{"foreframe bench codec x", "2000-01-02", options, {std::move(*bench)}, {}, {}};
  CHECK_FALSE(any_failed(report));
  const auto json = nlohmann::json::parse(bench_json(report));
  CHECK(json["format"] == "foreframe-bench-codec");
  CHECK(json["date"] == "2000-01-02");
  const auto& first = json["recordings"][0];
  CHECK(first["raw_bytes"] == 40 * 33 * 2 * 20);
  CHECK(first["entropy_bits_per_pixel"].get<double>() > 1);
  for (const auto& result : first["results"]) {
    INFO(result.dump());
    CHECK(result["state"] == "measured");
    const double bits = result["bits_per_pixel"];
    CHECK(bits == Approx(8 * result["bytes"].get<double>() / (40 * 33 * 20)).epsilon(1e-4));
  }
  const std::string csv = sizes_csv(report);
  CHECK(csv.starts_with("recording,window_frames,raw_bytes,fast_bytes\n"));
  CHECK(csv.ends_with(",16,52800," + std::to_string(report.recordings[0].results[0].bytes) + "\n"));
}

TEST_CASE("a table names what was not measured, and why", "[bench]") {
  RecordingBench bench;
  bench.name = "water";
  bench.results.push_back(not_measured("x265", "x265 lossless", MeasureState::not_possible, "16 bits"));
  bench.results.push_back(not_measured("ffv1", "FFV1", MeasureState::not_installed, ""));
  const std::string table = bench_table(bench);
  CHECK(table.find("x265 lossless                   not possible: 16 bits\n") != std::string::npos);
  CHECK(table.find("FFV1                            not installed\n") != std::string::npos);
}

TEST_CASE("our codec gives the same bytes however often it is measured, and its tiles cover the frame",
          "[bench]") {
  auto frames = load_bench_frames("sim:citius-module,rows=70,cols=90,frames=18", 0);
  REQUIRE(frames.ok());
  OwnCodecOptions options;
  options.repeat = 1;
  const Measured once = measure_own_codec(*frames, kernels::Profile::fast, options);
  REQUIRE(once.state == MeasureState::measured);
  options.repeat = 3;
  CHECK(measure_own_codec(*frames, kernels::Profile::fast, options).bytes == once.bytes);
  options.tile_rows = 32;
  options.tile_cols = 64;
  options.group_frames = 5;
  const Measured tiled = measure_own_codec(*frames, kernels::Profile::fast, options);
  CHECK(tiled.state == MeasureState::measured);
  CHECK(tiled.bytes > once.bytes);
}

TEST_CASE("within a bound our codec is smaller, and its largest error is what the bound allows at most",
          "[bench]") {
  CodecBenchOptions options = quick("none");
  for (const char* text : {"abs:3", "rel:3%", "sqrt:0.5"}) options.bounds.push_back(*parse_lossy_bound(text));
  std::size_t steps = 0;
  const std::string source = "sim:eiger2-16m,rows=80,cols=90,frames=18,rate=20";
  const auto bench = bench_recording(source, options, [&](const std::string&) { ++steps; });
  REQUIRE(bench.ok());
  CHECK(steps == bench_steps(options));
  REQUIRE(bench->lossy.size() == 3);
  for (const LossyBench& lossy : bench->lossy) {
    INFO(lossy.bound.text << " " << lossy.results[0].note);
    REQUIRE(lossy.results[0].state == MeasureState::measured);
    CHECK(lossy.results[0].bytes < bench->results[0].bytes);
    REQUIRE(lossy.results[0].max_error.has_value());
    CHECK(*lossy.results[0].max_error > 0);
    if (lossy.absolute) CHECK(*lossy.results[0].max_error <= *lossy.absolute);
  }
}

TEST_CASE("a relative bound reaches our codec with the range that it refers to", "[bench]") {
  const auto bound = declared_bound(*parse_lossy_bound("rel:3"), {-5, 200}, Dtype::i16);
  REQUIRE(bound.ok());
  CHECK(kernels::to_string(*bound) == "rel:3%,-5,200");
  CHECK(declared_bound(*parse_lossy_bound("abs:3"), {0, 0}, Dtype::u16)->limit == 3);
  CHECK_FALSE(declared_bound(*parse_lossy_bound("sqrt:100"), {0, 9}, Dtype::u16).ok());
}

TEST_CASE("the sets of simulated frames can be opened, and carry their rates", "[bench]") {
  for (const auto& sets : {photon_sweep(), detector_frames()}) {
    for (const SimulatedSet& set : sets) {
      INFO(set.source);
      CHECK(open_recording(set.source).ok());
      CHECK((set.photons_per_pixel > 0) != (set.detector_bytes_per_s > 0));
    }
  }
  CHECK(detector_frames()[1].detector_bytes_per_s == Approx(3 * detector_frames()[0].detector_bytes_per_s));
}
