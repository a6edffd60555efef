// SPDX-License-Identifier: Apache-2.0
//
// The peers that are re-made here must give back what they were given, or their sizes mean nothing.
#include <limits>

#include "tests/unit/tools/recording_fixture.hpp"
#include "tools/bench/frame_peers.hpp"
#include "tools/bench/terse_code.hpp"
#include "tools/bench/tezip_back_end.hpp"
#include "tools/bench/tezip_peer.hpp"

using namespace ff;
using namespace ff::tools;

namespace {

std::vector<std::int32_t> random_values(std::size_t count, std::uint32_t spread) {
  SeededRandom random(spread);
  std::vector<std::int32_t> values(count);
  for (std::int32_t& value : values)
    value = static_cast<std::int32_t>(random.below(spread)) - static_cast<std::int32_t>(spread / 2);
  return values;
}

void check_round_trip(const std::vector<std::int32_t>& values) {
  const auto decoded = decode_residuals(encode_residuals(values), values.size());
  INFO((decoded.ok() ? std::string() : decoded.error().message));
  REQUIRE(decoded.ok());
  CHECK(*decoded == values);
}

BenchFrames random_frames(const FrameShape& shape, std::size_t count, std::uint32_t spread) {
  BenchFrames frames;
  frames.info.shape = shape;
  frames.info.frames = frames.frames = count;
  frames.pixels.resize(count * shape.bytes());
  SeededRandom random(count);
  for (std::byte& byte : frames.pixels) byte = static_cast<std::byte>(random.below(spread));
  return frames;
}

}  // namespace

TEST_CASE("TEZip's back end gives back every residual", "[bench][tezip]") {
  constexpr auto kLeast = std::numeric_limits<std::int32_t>::min(),
                 kMost = std::numeric_limits<std::int32_t>::max();
  check_round_trip({});
  check_round_trip({-5});
  check_round_trip(std::vector<std::int32_t>(10'000, 3));
  check_round_trip({kLeast, kMost, kLeast, 0, kMost, -1, 1});
  check_round_trip(random_values(100'000, 9));
  check_round_trip(random_values(100'000, 60'000));
}

TEST_CASE("a rank table of more than 65536 entries has wide ranks, and one of exactly 65536 narrow ones",
          "[bench][tezip]") {
  for (const std::int32_t entries : {65'536, 65'537}) {
    std::vector<std::int32_t> values;
    std::int32_t sum = 0;
    for (std::int32_t i = 0; i < entries; ++i)
      values.push_back(sum += i - entries / 2);  // all differences differ
    check_round_trip(values);
  }
}

TEST_CASE("a damaged residual stream is an error, never other values", "[bench][tezip]") {
  const auto values = random_values(5'000, 50);
  const auto coded = encode_residuals(values);
  CHECK_FALSE(decode_residuals(ByteSpan(coded).first(coded.size() / 2), values.size()).ok());
  CHECK_FALSE(decode_residuals(coded, values.size() + 1).ok());
  CHECK_FALSE(decode_residuals(coded, 1).ok());
  CHECK_FALSE(decode_residuals({}, 1).ok());
  std::vector<std::byte> outside(4 + 4 + 2);  // one table entry, and rank 1
  outside[0] = outside[8] = std::byte{1};
  CHECK_FALSE(decode_residuals(zstd9(outside), 1).ok());
}

TEST_CASE("merged runs stay within the bound and are as long as it lets them be", "[bench][tezip]") {
  std::vector<std::int32_t> values = {0, 2, 4, 5, 1, 1, 9};
  std::vector<std::int32_t> exact = values;
  merge_runs(exact, 0);
  CHECK(exact == values);
  merge_runs(values, 2);
  CHECK(values == std::vector<std::int32_t>{2, 2, 2, 3, 3, 3, 9});
  const auto original = random_values(20'000, 40);
  for (const std::int32_t bound : {1, 3, 20, 1'000'000}) {
    auto merged = original;
    merge_runs(merged, bound);
    for (std::size_t i = 0; i < merged.size(); ++i) REQUIRE(std::abs(merged[i] - original[i]) <= bound);
  }
}

TEST_CASE("TEZip as a peer decodes its frames exactly, or within the bound", "[bench][tezip]") {
  std::vector<BenchFrames> all;
  for (const Dtype dtype : {Dtype::u8, Dtype::u16, Dtype::i32})
    all.push_back(random_frames({dtype, 13, 17}, 21, 256));
  for (const char* source :
       {"sim:eiger2-16m,rows=50,cols=60,frames=9", "sim:pilatus-6m,rows=210,cols=60,frames=9"})
    all.push_back(std::move(*load_bench_frames(source, 0)));
  for (const std::string& source : real_recordings()) all.push_back(std::move(*load_bench_frames(source, 3)));
  for (const BenchFrames& frames : all) {
    INFO(frames.name << " " << dtype_name(frames.info.shape.dtype));
    for (const auto predictor : {TezipPredictor::previous, TezipPredictor::mean}) {
      const Measured exact = measure_tezip(frames, {predictor, 8, 0, 1, 1});
      CHECK(exact.state == MeasureState::measured);
      const Measured lossy = measure_tezip(frames, {predictor, 8, 5, 1, 1});
      CHECK(lossy.state == MeasureState::measured);
      CHECK(lossy.bytes <= exact.bytes);
      CHECK(*lossy.max_error <= 5);
    }
  }
}

TEST_CASE("TERSE needs one bit for a block of zeros and gives back every pixel", "[bench][terse]") {
  for (const Dtype dtype : {Dtype::u8, Dtype::i8, Dtype::u16, Dtype::i16, Dtype::u32, Dtype::i32}) {
    INFO(dtype_name(dtype));
    const FrameShape shape{dtype, 7, 11};  // the last block is short
    std::vector<std::byte> out(terse_bound(shape)), back(shape.bytes());
    CHECK(terse_encode(shape, std::vector<std::byte>(shape.bytes()), out) == 1);
    for (const std::uint32_t spread : {2u, 100u, 256u}) {
      const BenchFrames frames = random_frames(shape, 1, spread);
      const std::size_t bytes = terse_encode(shape, frames.pixels, out);
      REQUIRE(terse_decode(shape, ByteSpan(out).first(bytes), back).ok());
      CHECK(back == frames.pixels);
      CHECK_FALSE(terse_decode(shape, ByteSpan(out).first(bytes / 2), back).ok());
    }
  }
}

TEST_CASE("every peer that codes frame by frame gives back frames of odd shapes", "[bench]") {
  for (const Dtype dtype : {Dtype::u8, Dtype::u16, Dtype::i32}) {
    for (const FrameShape& shape :
         {FrameShape{dtype, 1, 1}, FrameShape{dtype, 3, 5}, FrameShape{dtype, 131, 97}}) {
      const BenchFrames frames = random_frames(shape, 3, 20);
      for (const FramePeer& peer : frame_peers()) {
        INFO(peer.codec << " " << shape.rows << " x " << shape.cols);
        const Measured measured = measure_frame_peer(frames, peer.codec, 1);
        CHECK(measured.state == MeasureState::measured);
        CHECK(measured.bytes > 0);
      }
    }
  }
}
