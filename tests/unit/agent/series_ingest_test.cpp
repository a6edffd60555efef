// SPDX-License-Identifier: Apache-2.0
//
// SeriesIngest: every fault of a detector's stream has its counter and exactly its effect on frames and
// series.
#include "agent/ingest/series_ingest.hpp"

#include <random>

#include <catch2/catch.hpp>

#include "tests/unit/agent/agent_fixture.hpp"

using namespace ff;
using namespace ff::test;
using foreframe::wire::SeriesEnd;

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

}  // namespace

TEST_CASE("a complete series is opened, taken frame by frame and closed by the detector's end", "[agent]") {
  IngestBench bench;
  bench.send(start_of(7, 3, 4, 6));
  for (std::uint64_t frame = 0; frame < 3; ++frame) bench.send(image_of(7, frame));
  bench.send(end_of(7));
  CHECK(bench.frames() == "0:1 1:1 2:1");
  REQUIRE(bench.all<SeriesOpened>().size() == 1);
  CHECK_FALSE(bench.all<SeriesOpened>()[0]->series->start_missing);
  REQUIRE(bench.all<SeriesClosed>().size() == 1);
  CHECK(bench.all<SeriesClosed>()[0]->reason == SeriesEnd::DETECTOR_END);
  CHECK(bench.all<SeriesClosed>()[0]->frames_received == 3);
  const auto taken = bench.all<FrameTaken>()[2];
  const auto wanted = pixels_of(2, 24);
  CHECK(std::memcmp(taken->note.pixels->frame.pixels().data(), wanted.data(), 48) == 0);
}

TEST_CASE("images without a start open a series with the first image's geometry, flagged", "[agent]") {
  IngestBench bench;
  bench.send(image_of(7, 5));
  REQUIRE(bench.all<SeriesOpened>().size() == 1);
  CHECK(bench.all<SeriesOpened>()[0]->series->start_missing);
  CHECK(bench.all<SeriesOpened>()[0]->series->streams[0].shape == FrameShape{Dtype::u16, 4, 6});
  CHECK(bench.metrics.count(Fault::start_missing) == 1);
  CHECK(bench.frames() == "5:1");

  SECTION("and a start that comes late completes the series record under the same uid") {
    bench.send(start_of(7, 100, 4, 6));
    CHECK(bench.metrics.count(Fault::start_late) == 1);
    REQUIRE(bench.all<SeriesAmended>().size() == 1);
    CHECK(bench.all<SeriesAmended>()[0]->series->uid == bench.all<SeriesOpened>()[0]->series->uid);
    CHECK(bench.all<SeriesAmended>()[0]->series->images_expected == 100u);
  }
}

TEST_CASE("stray images of an old series are ignored and counted", "[agent]") {
  IngestBench bench;
  bench.send(start_of(6, 1, 4, 6));
  bench.send(image_of(6, 0));
  bench.send(end_of(6));
  bench.send(start_of(7, 2, 4, 6));
  bench.send(image_of(6, 0));  // over
  bench.send(image_of(3, 9));  // never seen, but older than the open one
  bench.send(image_of(7, 0));
  CHECK(bench.metrics.count(Fault::stray_image) == 2);
  CHECK(bench.frames() == "0:1 0:1");
  CHECK(bench.all<SeriesOpened>().size() == 2);
}

TEST_CASE("a doubled frame is taken once", "[agent]") {
  IngestBench bench;
  bench.send(start_of(7, 3, 4, 6));
  bench.send(image_of(7, 0));
  bench.send(image_of(7, 0));
  CHECK(bench.frames() == "0:1");
  CHECK(bench.metrics.count(Fault::frame_duplicated) == 1);
}

TEST_CASE("an image cut short is damaged where its number is known, and a good copy is still taken",
          "[agent]") {
  IngestBench bench;
  bench.send(start_of(7, 3, 4, 6));
  auto cut = image_of(7, 1);
  cut.resize(cut.size() - 5);
  bench.send(cut);
  CHECK(bench.frames() == "1:6");
  CHECK(bench.all<FrameTaken>()[0]->note.stage == foreframe::wire::STAGE_INGEST);
  CHECK(bench.metrics.count(Fault::frame_unreadable) == 1);
  bench.send(image_of(7, 1));
  CHECK(bench.frames() == "1:6 1:1");
}

TEST_CASE("a start for the same series id begins a new series, the old one is closed", "[agent]") {
  IngestBench bench;
  bench.send(start_of(7, 10, 4, 6));
  bench.send(image_of(7, 0));
  bench.send(start_of(7, 10, 4, 6));
  bench.send(image_of(7, 0));
  REQUIRE(bench.all<SeriesOpened>().size() == 2);
  CHECK(bench.all<SeriesOpened>()[0]->series->uid != bench.all<SeriesOpened>()[1]->series->uid);
  CHECK(bench.all<SeriesClosed>().at(0)->reason == SeriesEnd::NEWER_SERIES);
  CHECK(bench.metrics.count(Fault::end_missing) == 1);
  CHECK(bench.frames() == "0:1 0:1");
}

TEST_CASE("the same start twice, known by its unique id, is one series", "[agent]") {
  IngestBench bench;
  bench.send(start_of(7, 10, 4, 6, "01A"));
  bench.send(start_of(7, 10, 4, 6, "01A"));
  CHECK(bench.all<SeriesOpened>().size() == 1);
  CHECK(bench.metrics.count(Fault::start_repeated) == 1);
}

TEST_CASE("images of a newer series close the one before, although neither end nor start came", "[agent]") {
  IngestBench bench;
  bench.send(start_of(7, 10, 4, 6));
  bench.send(image_of(7, 0));
  bench.send(image_of(8, 0));
  CHECK(bench.all<SeriesClosed>().at(0)->reason == SeriesEnd::NEWER_SERIES);
  CHECK(bench.all<SeriesOpened>().size() == 2);
  CHECK(bench.metrics.count(Fault::end_missing) == 1);
  CHECK(bench.metrics.count(Fault::start_missing) == 1);
}

TEST_CASE("an abort without end is closed by the idle time-out", "[agent]") {
  IngestBench bench;
  bench.send(start_of(7, 10, 4, 6), kSecond);
  bench.send(image_of(7, 0), 2 * kSecond);
  bench.ingest.tick(31 * kSecond);
  CHECK(bench.all<SeriesClosed>().empty());
  bench.ingest.tick(32 * kSecond);
  REQUIRE(bench.all<SeriesClosed>().size() == 1);
  CHECK(bench.all<SeriesClosed>()[0]->reason == SeriesEnd::IDLE);
  CHECK(bench.metrics.count(Fault::series_idle) == 1);
}

TEST_CASE("an agent that was stopped itself does not take that for the detector's silence", "[agent]") {
  IngestBench bench;
  bench.send(start_of(7, 10, 4, 6), kSecond);
  bench.send(image_of(7, 0), 2 * kSecond);
  bench.ingest.tick(2 * kSecond);
  bench.ingest.tick(100 * kSecond);  // SIGSTOP, or a full pool: the images are still in the socket
  CHECK(bench.all<SeriesClosed>().empty());
  bench.send(image_of(7, 1), 100 * kSecond);
  CHECK(bench.frames() == "0:1 1:1");
  for (std::int64_t now = 101; now <= 129; ++now) bench.ingest.tick(now * kSecond);
  CHECK(bench.all<SeriesClosed>().empty());
  bench.ingest.tick(130 * kSecond);
  CHECK(bench.all<SeriesClosed>().size() == 1);
}

TEST_CASE("an end without a start is counted and opens nothing", "[agent]") {
  IngestBench bench;
  bench.send(end_of(7));
  CHECK(bench.items.empty());
  CHECK(bench.metrics.count(Fault::stray_end) == 1);
}

TEST_CASE("frames that arrive just after the end still belong to the series", "[agent]") {
  IngestBench bench;
  bench.send(start_of(7, 2, 4, 6), kSecond);
  bench.send(image_of(7, 1), kSecond);
  bench.send(end_of(7), kSecond);
  CHECK(bench.all<SeriesClosed>().empty());
  bench.send(image_of(7, 0), kSecond + 1);
  CHECK(bench.all<SeriesClosed>().size() == 1);
  CHECK(bench.frames() == "1:1 0:1");
}

TEST_CASE("after the end nobody is waited for longer than the grace", "[agent]") {
  IngestBench bench;
  bench.send(start_of(7, 5, 4, 6), kSecond);
  bench.send(image_of(7, 0), kSecond);
  bench.send(end_of(7), kSecond);
  bench.ingest.tick(kSecond + 499'000'000);
  CHECK(bench.all<SeriesClosed>().empty());
  bench.ingest.tick(kSecond + 500'000'000);
  CHECK(bench.all<SeriesClosed>().at(0)->reason == SeriesEnd::DETECTOR_END);
}

TEST_CASE("a frame of another size or type than its series is damaged, not converted", "[agent]") {
  IngestBench bench;
  bench.send(start_of(7, 5, 4, 6));
  bench.send(image_of(7, 0, 6, 4));
  CborBuild other_type;
  other_type.map(4).text("type").text("image").text("series_id").number(7).text("image_id").number(1);
  other_type.text("data").map(1).text("threshold_1").typed_array(4, 6, 70, std::vector<std::byte>(96));
  bench.send(other_type.take());
  CHECK(bench.frames() == "0:6 1:6");
  CHECK(bench.metrics.count(Fault::frame_wrong_shape) == 2);
}

TEST_CASE("frame numbers beyond the series are ignored and counted", "[agent]") {
  IngestBench bench;
  bench.send(start_of(7, 5, 4, 6));
  bench.send(image_of(7, 5));
  bench.send(image_of(7, UINT64_MAX));
  CHECK(bench.frames().empty());
  CHECK(bench.metrics.count(Fault::frame_out_of_range) == 2);
  bench.send(image_of(8, UINT64_MAX));
  CHECK(bench.frames().empty());
  CHECK(bench.metrics.count(Fault::frame_out_of_range) == 3);
}

TEST_CASE("a frame above detector.frame_max is refused with a counter and costs no memory", "[agent]") {
  SeriesIngestOptions options;
  options.frame_bytes_max = 40;
  IngestBench bench(options);
  bench.send(start_of(7, 5, 4, 6));
  bench.send(image_of(7, 0));
  CHECK(bench.items.empty());
  CHECK(bench.metrics.count(Fault::start_unusable) == 1);
  CHECK(bench.metrics.count(Fault::frame_unreadable) == 1);
  CHECK(bench.pool.slots() == 0);
}

TEST_CASE("zero-size frames and geometries that can't be are refused", "[agent]") {
  IngestBench bench;
  bench.send(start_of(7, 5, 0, 6));
  CHECK(bench.metrics.count(Fault::start_unusable) == 1);
  bench.send(start_of(8, 5, 70'000, 1));
  CHECK(bench.metrics.count(Fault::start_unusable) == 2);
  CborBuild empty;
  empty.map(4).text("type").text("image").text("series_id").number(9).text("image_id").number(0);
  empty.text("data").map(1).text("threshold_1").typed_array(0, 0, 69, {});
  bench.send(empty.take());
  CHECK(bench.items.empty());
  CHECK(bench.metrics.count(Fault::frame_unreadable) == 1);
}

TEST_CASE("a full pool loses the frame and says so", "[agent]") {
  SeriesIngestOptions options;
  options.pool_frames = 2;
  options.pool_wait_max = std::chrono::nanoseconds(0);
  IngestBench bench(options);
  bench.send(start_of(7, 5, 4, 6));
  for (std::uint64_t frame = 0; frame < 3; ++frame) bench.send(image_of(7, frame));
  CHECK(bench.frames() == "0:1 1:1 2:7");
  CHECK(bench.all<FrameTaken>()[2]->note.stage == foreframe::wire::STAGE_INGEST);
  CHECK(bench.metrics.count(Fault::pool_full) == 1);
}

TEST_CASE("channels become streams; an image that lacks one is damaged there only", "[agent]") {
  const auto two_channels = [](std::uint64_t frame, bool both) {
    const auto low = pixels_of(frame, 24), high = pixels_of(frame + 100, 24);
    CborBuild out;
    out.map(4)
        .text("type")
        .text("image")
        .text("series_id")
        .number(7)
        .text("image_id")
        .number(frame)
        .text("data");
    out.map(both ? 2 : 1).text("threshold_2").typed_array(4, 6, 69, std::as_bytes(std::span(high)));
    if (both) out.text("threshold_1").typed_array(4, 6, 69, std::as_bytes(std::span(low)));
    return out.take();
  };
  CborBuild start;
  start.map(6).text("type").text("start").text("series_id").number(7).text("image_dtype").text("uint16");
  start.text("image_size_x").number(6).text("image_size_y").number(4);
  start.text("channels").array(2).text("threshold_1").text("threshold_2");
  IngestBench bench;
  bench.send(start.take());
  bench.send(two_channels(0, true));
  bench.send(two_channels(1, false));
  REQUIRE(bench.all<SeriesOpened>().at(0)->series->streams.size() == 2);
  CHECK(bench.frames() == "0:1 0:1 1:6 1:1");
  CHECK(bench.metrics.count(Fault::channel_missing) == 1);
  const auto high = pixels_of(100, 24);
  const auto& second = *bench.all<FrameTaken>()[1];
  CHECK(second.stream_index == 1);
  CHECK(std::memcmp(second.note.pixels->frame.pixels().data(), high.data(), 48) == 0);
}

TEST_CASE("per-image user data goes along untouched", "[agent]") {
  CborBuild data;
  data.map(1).text("energy").floating(12.4);
  const auto pixels = pixels_of(0, 24);
  CborBuild out;
  out.map(5)
      .text("type")
      .text("image")
      .text("series_id")
      .number(7)
      .text("image_id")
      .number(0)
      .text("user_data");
  out.append(data.bytes())
      .text("data")
      .map(1)
      .text("x")
      .typed_array(4, 6, 69, std::as_bytes(std::span(pixels)));
  IngestBench bench;
  bench.send(out.take());
  REQUIRE(bench.all<FrameTaken>().size() == 1);
  CHECK(bench.all<FrameTaken>()[0]->note.user_data ==
        std::vector<std::byte>(data.bytes().begin(), data.bytes().end()));
}

TEST_CASE("garbage in every form is counted and changes nothing", "[agent]") {
  IngestBench bench;
  bench.send(start_of(7, 5, 4, 6));
  const std::size_t before = bench.items.size();
  std::mt19937_64 random(1);
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::byte> junk(random() % 300);
    for (std::byte& byte : junk) byte = std::byte(random() & 0xff);
    bench.send(junk);
  }
  CborBuild bomb;
  for (int level = 0; level < 100'000; ++level) bomb.byte(0xa1).byte(0x00);
  bench.send(bomb.take());
  CHECK(bench.items.size() == before);
  CHECK(bench.metrics.count(Fault::message_unreadable) == 2001);
}

TEST_CASE("a restarted agent goes on with the open series under the same uid and a higher epoch", "[agent]") {
  auto folder = std::make_shared<TempDir>();
  Uuid uid;
  std::uint64_t epoch = 0;
  {
    IngestBench first(folder, {});
    first.send(start_of(7, 100, 4, 6));
    first.send(image_of(7, 0));
    uid = first.all<SeriesOpened>().at(0)->series->uid;
    epoch = first.journal->epoch();
    first.journal->note_progress(uid, 0,
                                 {2, 40});  // windows 0 and 1 are in the spool; then the agent is killed
  }
  IngestBench second(folder, {});
  CHECK(second.journal->epoch() > epoch);
  SECTION("when images of the series still come") {
    second.send(image_of(7, 40));
    REQUIRE(second.all<SeriesOpened>().size() == 1);
    CHECK(second.all<SeriesOpened>()[0]->series->uid == uid);
    CHECK(second.all<SeriesOpened>()[0]->series->streams[0].first_window == 2);
    CHECK(second.frames() == "40:1");
  }
  SECTION("when another series begins, the old one is closed first") {
    second.send(start_of(8, 100, 4, 6));
    REQUIRE(second.all<SeriesOpened>().size() == 2);
    CHECK(second.all<SeriesOpened>()[0]->series->uid == uid);
    CHECK(second.all<SeriesClosed>().at(0)->reason == SeriesEnd::NEWER_SERIES);
    CHECK(second.all<SeriesOpened>()[1]->series->uid != uid);
  }
  SECTION("when nothing comes, the idle time-out closes it") {
    for (std::int64_t second_now = 1; second_now <= 32; ++second_now)
      second.ingest.tick(second_now * kSecond);
    CHECK(second.all<SeriesClosed>().at(0)->reason == SeriesEnd::IDLE);
  }
  CHECK(second.metrics.count(Fault::series_resumed) == 1);
}
