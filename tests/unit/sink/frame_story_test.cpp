// SPDX-License-Identifier: Apache-2.0
//
// What `foreframe why` tells about frames that are stored, lost on the way, damaged, or never heard of.
#include "hpc_sink/store/frame_story.hpp"

#include <catch2/catch.hpp>

#include "hpc_sink/store/series_store.hpp"
#include "tests/support/coded_series.hpp"
#include "tests/support/sink_run.hpp"

namespace {

using namespace ff;
using namespace ff::test;
namespace pb = foreframe::wire;

Result<sink::FrameStory> tell_from(const std::filesystem::path& store, std::uint64_t frame) {
  const auto catalogue = sink::Catalogue::open_read_only(catalogue_of(store));
  REQUIRE(catalogue.ok());
  const auto rows = (*catalogue)->series();
  REQUIRE(rows.ok());
  return sink::tell_frame(store, **catalogue, rows->front(), frame);
}

// Window 0 whole but for frame 5, which the agent never got; window 1 with a block that can't be decoded; of window 2
// nothing comes.
struct TroubledStore {
  TroubledStore() {
    std::vector<CodedRecord> records;
    for (CodedRecord record : series.records) {
      const std::uint64_t window = record.header.has_block()    ? record.header.block().window()
                                   : record.header.has_window() ? record.header.window().window()
                                                                : 0;
      if (window == 2) continue;
      if (record.header.has_block() && window == 1 && record.header.block().tile() == 1 &&
          record.header.block().group() == 1) {
        const auto parsed = wire::parse_envelope(record.envelope.bytes());
        std::vector<std::byte> payload(parsed->payload.begin(), parsed->payload.end());
        payload.back() ^= std::byte{1};
        record = reseal(record, record.header, payload);
      }
      records.push_back(std::move(record));
    }
    const auto log = std::make_shared<FakeLog>();
    append_to(*log, series, records);
    REQUIRE(run_over(log, quick_config(folder.path())).summary.ok());
  }
  [[nodiscard]] Result<sink::FrameStory> tell(std::uint64_t frame) const {
    return tell_from(folder.path(), frame);
  }
  CodedSeries series = make_coded_series({.frames = 24, .lost = {5}});
  TemporaryFolder folder;
};

bool says(const std::string& text, const std::string& words) {
  UNSCOPED_INFO(text << "\nwanted: " << words);
  return text.find(words) != std::string::npos;
}

}  // namespace

TEST_CASE("why tells of a stored frame when it was seen, how it was coded and where it lies", "[sink][why]") {
  const TroubledStore store;
  const auto story = store.tell(4);
  REQUIRE(story.ok());
  REQUIRE(story->streams.size() == 1);
  const sink::StreamStory& own = story->streams[0];
  CHECK(own.fate == sink::make_fate(pb::STORED_EXACT));
  CHECK(own.window == 0);
  CHECK(own.position == 4);
  CHECK(own.reported);
  REQUIRE(own.groups.size() == 1);
  CHECK(own.groups[0].group() == 1);  // groups of three frames
  CHECK(own.groups[0].epoch() == 1000);
  CHECK(own.groups[0].blocks() == own.tiles);
  CHECK(own.facts.agents(0) == "test-agent");
  CHECK(own.facts.first_offset() == 0);
  CHECK(own.facts.last_offset() > own.facts.first_offset());
  CHECK(own.times.received_utc_ns - own.times.detector_ns == 500);
  const auto content = sink::read_data_file(store.folder.path() / own.file, false);
  REQUIRE(content.ok());
  CHECK(content->index.frame_numbers.at(own.row) == 4);
  CHECK(content->index.pixel_crcs.at(own.row) == own.pixel_crc);
  REQUIRE(story->seal);
  CHECK(story->seal->number() == 1);
  const std::string text = sink::story_text(*story), json = sink::story_json(*story, 1);
  CHECK(says(text, "stored bit for bit in " + own.file));
  CHECK(says(text, "group 1 (frames 3-5 of the window)"));
  CHECK(says(text, "device reference, profile raw, exact, epoch 1000"));
  CHECK(says(text, "seal 1 of "));
  CHECK(says(json, "\"state\": \"stored_exact\""));
  CHECK(says(json, "\"first_offset\": 0"));
}

TEST_CASE("why tells where a frame ended that is not stored", "[sink][why]") {
  const TroubledStore store;
  const auto unreceived = store.tell(5), damaged = store.tell(8 + 4), silent = store.tell(16);
  REQUIRE((unreceived.ok() && damaged.ok() && silent.ok()));
  CHECK(says(sink::story_text(*unreceived), "lost (receive)"));
  CHECK(says(sink::story_text(*unreceived), "the agent never received it"));
  CHECK(says(sink::story_text(*damaged), "damaged (decode)"));
  CHECK(says(sink::story_text(*damaged), "tile 1 group 1 epoch 1000: "));
  CHECK(says(sink::story_text(*silent), "lost (log)"));
  CHECK(says(sink::story_text(*silent), "no record of its window came"));
  CHECK(silent->streams[0].file.empty());
}

TEST_CASE("why says that a series does not have a frame", "[sink][why]") {
  const TroubledStore store;
  CHECK(store.tell(24).error().code == Errc::not_found);
  CHECK(store.tell(UINT64_MAX).error().code == Errc::not_found);
}

TEST_CASE("why tells what the log has lost of the partition of a frame that is not stored", "[sink][why]") {
  const CodedSeries series = make_coded_series({.frames = 48});  // windows 0, 2, 4 in partition 0
  const TemporaryFolder folder;
  const auto log = std::make_shared<FakeLog>();
  append_to(*log, series, series.records);
  log->free_below(transport::Topic::blocks, 0, 5);
  REQUIRE(run_over(log, quick_config(folder.path())).summary.ok());
  const auto freed = tell_from(folder.path(), 0), stored = tell_from(folder.path(), 16);
  REQUIRE((freed.ok() && stored.ok()));
  CHECK(stored->streams[0].log_gaps.empty());
  REQUIRE(freed->streams[0].log_gaps.size() == 1);
  CHECK(says(sink::story_text(*freed), "log gap   partition 0, offsets 0-4 were gone before they were read"));
  CHECK(says(sink::story_json(*freed, 1), "\"next_offset\": 5"));
}

TEST_CASE("why tells how often a window was sent until it was done", "[sink][why]") {
  const CodedSeries series = make_coded_series({.frames = 24});
  std::vector<CodedRecord> first, again;
  for (const CodedRecord& record : series.records) {
    const bool of_window_1 = (record.header.has_block() && record.header.block().window() == 1) ||
                             (record.header.has_window() && record.header.window().window() == 1);
    if (of_window_1) again.push_back(record);
    if (!of_window_1 || !record.header.has_block() || record.header.block().tile() != 0)
      first.push_back(record);
  }
  const TemporaryFolder folder;
  const auto log = std::make_shared<FakeLog>();
  append_to(*log, series, first);
  REQUIRE(run_over(log, quick_config(folder.path())).summary.ok());
  append_to(*log, series, again);
  REQUIRE(run_over(log, quick_config(folder.path())).summary.ok());
  const auto twice = tell_from(folder.path(), 8 + 3), once = tell_from(folder.path(), 0);
  REQUIRE((twice.ok() && once.ok()));
  CHECK(twice->streams[0].fate == sink::make_fate(pb::STORED_EXACT));
  CHECK(twice->streams[0].facts.sends() == 2);
  CHECK(says(sink::story_text(*twice), ", sent 2 times, read by "));
  CHECK(says(sink::story_json(*once, 1), "\"sends\": 1"));
}
