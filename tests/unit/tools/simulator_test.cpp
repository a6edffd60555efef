// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <map>

#include "common/base/crc32c.hpp"
#include "tests/unit/tools/recording_fixture.hpp"
#include "tools/simulator/rate_map.hpp"

using namespace ff;
using namespace ff::tools;

namespace {

std::vector<std::uint16_t> frame_of(FrameReader& reader, std::uint64_t index) {
  std::vector<std::uint16_t> frame(reader.info().shape.pixels());
  REQUIRE(reader.read(index, std::as_writable_bytes(std::span(frame))).ok());
  return frame;
}

}  // namespace

TEST_CASE("every level of the ladder draws Poisson counts: mean and variance equal the rate", "[simulator]") {
  const PoissonLevels levels(50'000);
  const double rate = GENERATE(0.01, 0.5, 3.0, 40.0, 1000.0, 40'000.0);
  const std::uint16_t level = levels.level_of(rate);
  CHECK(levels.rate(level) == Approx(rate).epsilon(0.04));
  SeededRandom random(7);
  constexpr int kDraws = 400'000;
  double sum = 0, squares = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double count = levels.sample(level, static_cast<std::uint32_t>(random.next() >> 32));
    sum += count;
    squares += count * count;
  }
  const double mean = sum / kDraws, variance = squares / kDraws - mean * mean;
  const double expected = levels.rate(level);
  CHECK(mean == Approx(expected).margin(5 * std::sqrt(expected / kDraws)));
  CHECK(variance == Approx(expected).epsilon(0.03));
}

TEST_CASE("the stated entropy of a level is that of the counts it draws", "[simulator]") {
  const PoissonLevels levels(100);
  const double rate = GENERATE(0.02, 0.5, 20.0);
  const std::uint16_t level = levels.level_of(rate);
  SeededRandom random(11);
  std::map<std::uint32_t, int> histogram;
  constexpr int kDraws = 1'000'000;
  for (int i = 0; i < kDraws; ++i)
    ++histogram[levels.sample(level, static_cast<std::uint32_t>(random.next()))];
  double entropy = 0;
  for (const auto& [count, times] : histogram) {
    const double probability = static_cast<double>(times) / kDraws;
    entropy -= probability * std::log2(probability);
  }
  CHECK(levels.entropy_bits(level) == Approx(entropy).epsilon(0.01));
}

TEST_CASE("a static frame has the mean that was asked for, and masks its gaps and dead pixels",
          "[simulator]") {
  const auto reader = simulated("sim:eiger2-16m,rows=600,cols=1100,rate=0.8,seed=5");
  const RecordingInfo& info = reader->info();
  const auto frame = frame_of(*reader, 0);
  double sum = 0;
  std::size_t good = 0, gaps = 0, dead = 0;
  for (std::size_t i = 0; i < frame.size(); ++i) {
    if (info.pixel_mask[i] != 0) REQUIRE(frame[i] == 65535);
    gaps += info.pixel_mask[i] == kPixelGap ? 1 : 0;
    dead += info.pixel_mask[i] == kPixelDead ? 1 : 0;
    if (info.pixel_mask[i] != 0) continue;
    sum += frame[i];
    ++good;
  }
  CHECK(gaps == 38u * 1100 + 12u * (600 - 38));  // rows 512 ... 549, columns 1028 ... 1039
  CHECK(dead > 0);
  CHECK(sum / static_cast<double>(good) == Approx(0.8).epsilon(0.03));
  CHECK(info.sentinels == std::vector<std::int64_t>{65535});
  CHECK(info.entropy_bits_per_pixel.value() > 0.5);
}

TEST_CASE("the same seed gives the same pixels, on every machine, in any order", "[simulator]") {
  // The sums were taken once; they change only if the simulator changes what it draws.
  const auto [source, sum] = GENERATE(
      table<std::string, std::uint32_t>({{"sim:eiger2-16m,rows=64,cols=96,seed=3", 0u},
                                         {"sim:pilatus-6m,rows=64,cols=96,kind=rotation,dtype=u16", 1u},
                                         {"sim:eiger2-16m,rows=64,cols=96,kind=speckle,rate=2", 2u},
                                         {"sim:citius-module,rows=64,cols=96,rate=3", 3u}}));
  static const std::uint32_t kSums[] = {0x6b993f71, 0xfdd1fa16, 0x095321aa, 0x5f20ba2c};
  const auto reader = simulated(source);
  const auto third = frame_of(*reader, 3), first = frame_of(*reader, 1), again = frame_of(*reader, 3);
  CHECK(third == again);
  CHECK(third != first);
  CHECK(crc32c(std::as_bytes(std::span(third))) == kSums[sum]);
  CHECK(frame_of(*simulated(source + ",seed=99"), 3) != third);
}

TEST_CASE("Bragg spots come and go; the background below them stays", "[simulator]") {
  const auto reader = simulated("sim:eiger2-16m,rows=500,cols=500,kind=rotation,rate=0.2,seed=2,frames=300");
  const auto still = simulated("sim:eiger2-16m,rows=500,cols=500,rate=0.2,seed=2");
  std::size_t bright_first = 0, bright_both = 0;
  const auto first = frame_of(*reader, 9), later = frame_of(*reader, 209);
  for (std::size_t i = 0; i < first.size(); ++i) {
    const bool bright = first[i] > 30 && first[i] != 65535;
    bright_first += bright ? 1 : 0;
    bright_both += bright && later[i] > 30 ? 1 : 0;
  }
  CHECK(bright_first > 10);
  CHECK(bright_both < bright_first / 2);
  CHECK(frame_of(*still, 9) != first);
}

TEST_CASE("speckle forgets itself over tau frames", "[simulator]") {
  constexpr std::uint64_t kTau = 10;
  const auto reader = simulated("sim:eiger2-16m,rows=500,cols=500,kind=speckle,rate=20,tau=10,seed=4");
  const auto base = frame_of(*reader, 0), next = frame_of(*reader, 1), far = frame_of(*reader, 6 * kTau);
  const auto& mask = reader->info().pixel_mask;
  // Correlation of contrast between two frames, pixel by pixel over equal mean rates: neighbours of one speckle.
  const auto correlation = [&](const std::vector<std::uint16_t>& a, const std::vector<std::uint16_t>& b) {
    double ab = 0, aa = 0, bb = 0;
    for (std::size_t i = 0; i + 1 < a.size(); i += 2) {
      if (mask[i] != 0 || mask[i + 1] != 0 || a[i] > 2000 || b[i] > 2000) continue;
      const double x = std::log1p(a[i]) - 2.2, y = std::log1p(b[i]) - 2.2;
      ab += x * y;
      aa += x * x;
      bb += y * y;
    }
    return ab / std::sqrt(aa * bb);
  };
  CHECK(correlation(base, next) > 0.7);
  CHECK(correlation(base, far) < 0.6 * correlation(base, next));
}

TEST_CASE("an integrating pixel switches its gain where it would saturate, and says so in its top bits",
          "[simulator]") {
  const auto dim = frame_of(*simulated("sim:jungfrau-4m,rows=256,cols=256,rate=1"), 0);
  const auto bright = frame_of(*simulated("sim:jungfrau-4m,rows=256,cols=256,rate=3000"), 0);
  std::size_t dim_high = 0, medium = 0;
  for (const std::uint16_t pixel : dim) dim_high += (pixel >> 14) == 0 ? 1 : 0;
  for (const std::uint16_t pixel : bright) medium += (pixel >> 14) == 1 ? 1 : 0;
  CHECK(dim_high > dim.size() * 99 / 100);
  CHECK(medium > bright.size() / 2);
}

TEST_CASE("a wrong word in a simulator's name is refused by name", "[simulator]") {
  for (const char* wrong :
       {"sim:eiger", "sim:eiger2-16m,rows", "sim:eiger2-16m,rows=0", "sim:eiger2-16m,rate=nan",
        "sim:eiger2-16m,frames=1x", "sim:eiger2-16m,kind=moving", "sim:eiger2-16m,color=red",
        "sim:jungfrau-4m,dtype=u8", "sim:pilatus-6m,dtype=f32"}) {
    const auto opened = open_recording(wrong);
    REQUIRE_FALSE(opened.ok());
    CHECK(opened.error().message.starts_with("sim:"));
  }
}
