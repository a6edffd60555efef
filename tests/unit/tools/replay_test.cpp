// SPDX-License-Identifier: Apache-2.0
#include "tools/replay/replay.hpp"

#include <atomic>
#include <set>
#include <thread>
#include <zmq.h>

#include <nlohmann/json.hpp>

#include "common/wire/stream_v2.hpp"
#include "tests/unit/tools/recording_fixture.hpp"

using namespace ff;
using namespace ff::tools;
namespace v2 = ff::wire::stream_v2;

namespace {

/// Frames in memory as a recording.
class MemoryReader final : public FrameReader {
 public:
  MemoryReader(const FrameShape& shape, std::size_t count)
      : FrameReader(info_of(shape, count)), frames(made_up_frames(shape, count)) {
    info_.pixel_mask.assign(shape.pixels(), 0);
    info_.pixel_mask[3] = kPixelGap;
  }
  Status read(std::uint64_t index, MutableByteSpan pixels) override {
    FF_TRY(check_read(index, pixels));
    std::copy(frames[index].begin(), frames[index].end(), pixels.begin());
    return {};
  }
  Frames frames;
};

/// Pulls everything a replay sends, on a thread of its own.
class Puller {
 public:
  explicit Puller(const std::string& endpoint) : thread_([this, endpoint] { run(endpoint); }) {}
  ~Puller() { (void)stop(); }
  std::vector<MessageParts> stop() {
    done_ = true;
    if (thread_.joinable()) thread_.join();
    return std::move(messages_);
  }

 private:
  void run(const std::string& endpoint) {
    void* const context = zmq_ctx_new();
    void* const socket = zmq_socket(context, ZMQ_PULL);
    const int timeout_ms = 100;
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &timeout_ms, sizeof timeout_ms);
    zmq_connect(socket, endpoint.c_str());
    bool more = false;
    for (;;) {
      zmq_msg_t message;
      zmq_msg_init(&message);
      const bool got = zmq_msg_recv(&message, socket, 0) >= 0;
      if (got) {
        const auto* const bytes = static_cast<const std::byte*>(zmq_msg_data(&message));
        if (!more) messages_.emplace_back();
        messages_.back().emplace_back(bytes, bytes + zmq_msg_size(&message));
        more = zmq_msg_more(&message) != 0;
      }
      zmq_msg_close(&message);
      if (!got && done_) break;
    }
    zmq_close(socket);
    zmq_ctx_term(context);
  }
  std::atomic<bool> done_{false};
  std::vector<MessageParts> messages_;
  std::thread thread_;
};

struct Outcome {
  ReplayReport report;
  std::vector<MessageParts> messages;
  nlohmann::json json;
};

std::string free_endpoint() {
  void* const context = zmq_ctx_new();
  void* const socket = zmq_socket(context, ZMQ_PUSH);
  REQUIRE(zmq_bind(socket, "tcp://127.0.0.1:*") == 0);
  char endpoint[128] = {};
  std::size_t room = sizeof endpoint;
  zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &room);
  zmq_close(socket);
  zmq_ctx_term(context);
  return endpoint;
}

Outcome replay(FrameReader& reader, const std::vector<std::string>& faults, ReplayOptions options = {}) {
  options.as_fast_as_possible = true;
  options.socket.endpoint = free_endpoint();
  const auto plan = FaultPlan::parse(faults, 42);
  REQUIRE(plan.ok());
  Puller puller(options.socket.endpoint);
  auto report = run_replay(reader, *plan, options, [](std::uint64_t, std::uint64_t) {});
  INFO((report.ok() ? std::string() : report.error().message));
  REQUIRE(report.ok());
  Outcome outcome{std::move(*report), puller.stop(), {}};
  outcome.json = nlohmann::json::parse(to_json(outcome.report, reader.info(), *plan, options));
  return outcome;
}

/// Pixels of an array, decompressed, little-endian, row-major.
std::vector<std::byte> pixels_of(const v2::ArrayView& view) {
  const std::size_t bytes = dtype_bytes(view.dtype);
  std::vector<std::byte> raw(view.raw_bytes());
  const auto kind = kernels::parse_detector_compression(view.compression);
  REQUIRE(kind.ok());
  REQUIRE(kernels::decompress_detector(*kind, view.bytes, bytes, raw).ok());
  std::vector<std::byte> out(raw.size());
  for (std::size_t row = 0; row < view.rows; ++row) {
    for (std::size_t col = 0; col < view.cols; ++col) {
      const std::size_t from = view.column_major ? col * view.rows + row : row * view.cols + col;
      for (std::size_t b = 0; b < bytes; ++b) {
        out[(row * view.cols + col) * bytes + b] = raw[from * bytes + (view.big_endian ? bytes - 1 - b : b)];
      }
    }
  }
  return out;
}

}  // namespace

TEST_CASE("replayed images hold the recording's pixels, in every dress", "[replay]") {
  const auto dtype = GENERATE(Dtype::u8, Dtype::u16, Dtype::u32, Dtype::i32);
  const auto compression = GENERATE(kernels::DetectorCompression::none, kernels::DetectorCompression::lz4,
                                    kernels::DetectorCompression::bslz4);
  const auto [big_endian, column_major, channels] =
      GENERATE(table<bool, bool, std::uint32_t>({{false, false, 1}, {true, true, 2}}));
  MemoryReader reader({dtype, 17, 29}, 3);
  ReplayOptions options;
  options.messages.payload = {compression, big_endian, column_major};
  options.messages.channels = channels;
  options.frames = 5;  // the recording begins again after its third frame
  const Outcome outcome = replay(reader, {}, options);
  REQUIRE(outcome.messages.size() == 7);
  for (std::uint64_t frame = 0; frame < 5; ++frame) {
    const auto parsed = v2::parse(outcome.messages[frame + 1][0]);
    REQUIRE(parsed.ok());
    const auto& image = std::get<v2::Image>(*parsed);
    CHECK(image.image_id == frame);
    REQUIRE(image.data.size() == channels);
    for (std::size_t c = 0; c < channels; ++c)
      CHECK(pixels_of(image.data[c].pixels.value()) == reader.frames[(frame + c) % 3]);
  }
}

TEST_CASE("start and end say everything that a detector says", "[replay]") {
  MemoryReader reader({Dtype::u16, 17, 29}, 2);
  ReplayOptions options;
  options.rate_hz = 100;
  options.first_series_id = 7;
  options.messages.image_user_data = true;
  options.messages.start_user_data_json = R"({"proposal": "p1"})";
  const bool unknown_keys = GENERATE(false, true);
  const Outcome outcome = replay(
      reader, unknown_keys ? std::vector<std::string>{"unknown-keys"} : std::vector<std::string>{}, options);
  REQUIRE(outcome.messages.size() == 4);
  const auto start_message = v2::parse(outcome.messages.front()[0]),
             end_message = v2::parse(outcome.messages.back()[0]);
  REQUIRE(start_message.ok());
  REQUIRE(end_message.ok());
  const auto& start = std::get<v2::Start>(*start_message);
  CHECK(start.series_id == 7);
  CHECK(start.number_of_images == 2u);
  CHECK(start.image_size_x == 29u);
  CHECK(start.image_size_y == 17u);
  CHECK(start.image_dtype == "uint16");
  CHECK(start.frame_time_s.value() == Approx(0.01));
  CHECK(start.channels == std::vector<std::string>{"threshold_1"});
  CHECK(start.goniometer.size() == 4);
  CHECK(start.detector_translation_m.size() == 3);
  CHECK(start.arm_date_utc_ns.has_value());
  CHECK(start.countrate_correction_table.has_value());
  CHECK(start.flatfield.size() == 1);
  CHECK_FALSE(start.user_data.empty());
  REQUIRE(start.pixel_mask.size() == 1);
  const auto mask = pixels_of(start.pixel_mask[0].array);
  CHECK(std::memcmp(mask.data(), reader.info().pixel_mask.data(), mask.size()) == 0);
  CHECK(std::get<v2::End>(*end_message).series_unique_id == start.series_unique_id);
  const auto image_message = v2::parse(outcome.messages[2][0]);
  REQUIRE(image_message.ok());
  const auto& image = std::get<v2::Image>(*image_message);
  CHECK(v2::rational_to_ns(*image.start_time).value() == 10'000'000);
  CHECK_FALSE(image.user_data.empty());
}

TEST_CASE("each fault strikes exactly the frames that the report names", "[replay]") {
  MemoryReader reader({Dtype::u16, 24, 40}, 40);
  const Outcome outcome = replay(
      reader, {"drop=3,20-22", "double=5", "reorder=7,39", "truncate=9,11", "corrupt=13-16", "stray-images"});
  const auto& series = outcome.json.at("series").at(0);
  CHECK(series.at("dropped") == nlohmann::json({3, 20, 21, 22}));
  CHECK(series.at("doubled") == nlohmann::json({5}));
  CHECK(series.at("reordered") == nlohmann::json({7}));  // nothing comes after frame 39
  CHECK(series.at("truncated") == nlohmann::json({9, 11}));
  CHECK(series.at("corrupted") == nlohmann::json({13, 14, 15, 16}));
  std::vector<std::uint64_t> order, stray;
  std::size_t unreadable_messages = 0;
  std::set<std::uint64_t> unreadable_pixels;
  for (const MessageParts& parts : outcome.messages) {
    const auto parsed = v2::parse(parts[0]);
    if (!parsed.ok()) ++unreadable_messages;
    if (!parsed.ok() || !std::holds_alternative<v2::Image>(*parsed)) continue;
    const auto& image = std::get<v2::Image>(*parsed);
    if (image.series_id != outcome.report.series[0].name.id) {
      stray.push_back(image.image_id);
      continue;
    }
    order.push_back(image.image_id);
    const auto& view = image.data[0].pixels.value();
    std::vector<std::byte> raw(view.raw_bytes());
    const bool readable =
        kernels::decompress_detector(kernels::DetectorCompression::bslz4, view.bytes, 2, raw).ok();
    if (!readable)
      unreadable_pixels.insert(image.image_id);
    else
      CHECK(raw == reader.frames[image.image_id]);
  }
  CHECK(stray == std::vector<std::uint64_t>{0, 1, 2});
  CHECK(unreadable_messages + unreadable_pixels.size() == 2 + 4);
  for (const std::uint64_t frame : unreadable_pixels) CHECK((frame >= 13 && frame <= 16));
  std::vector<std::uint64_t> expected;
  for (std::uint64_t frame = 0; frame < 40; ++frame) {
    const bool gone = frame == 3 || (frame >= 20 && frame <= 22) || frame == 9 || frame == 11;
    const bool damaged = frame >= 13 && frame <= 16 && unreadable_pixels.count(frame) == 0;
    if (gone || damaged || frame == 7) continue;
    expected.push_back(frame);
    if (frame == 5 || frame == 8) expected.push_back(frame == 5 ? 5 : 7);
  }
  CHECK(order == expected);
}

TEST_CASE("an aborted series has neither its last images nor an end; a missing start is missing",
          "[replay]") {
  MemoryReader reader({Dtype::u8, 8, 8}, 10);
  ReplayOptions options;
  options.series_count = 2;
  const Outcome outcome = replay(reader, {"abort=4", "missing-start"}, options);
  CHECK(outcome.messages.size() == 8);
  for (const MessageParts& parts : outcome.messages)
    CHECK(std::holds_alternative<v2::Image>(v2::parse(parts[0]).value()));
  CHECK(outcome.json.at("series").at(1).at("aborted_after") == 4);
  CHECK(outcome.json.at("series").at(1).at("end_sent") == false);
  CHECK(outcome.report.series[0].name.unique_id != outcome.report.series[1].name.unique_id);
}

TEST_CASE("the plain format sends a JSON header and the pixels", "[replay]") {
  MemoryReader reader({Dtype::u16, 6, 5}, 3);
  ReplayOptions options;
  options.messages.format = WireFormat::plain;
  options.messages.payload.compression = kernels::DetectorCompression::none;
  const Outcome outcome = replay(reader, {}, options);
  REQUIRE(outcome.messages.size() == 5);
  const auto header = [&](std::size_t i) { return nlohmann::json::parse(as_text(outcome.messages[i][0])); };
  CHECK(header(0).at("type") == "start");
  CHECK(header(0).at("frames") == 3);
  CHECK(header(2).at("frame") == 1);
  CHECK(header(2).at("shape") == nlohmann::json({6, 5}));
  CHECK(outcome.messages[2].at(1) == reader.frames[1]);
  CHECK(header(4).at("type") == "end");
}

TEST_CASE("seeded faults repeat with their seed and differ with another", "[replay]") {
  const auto chosen = [](std::uint64_t seed) {
    const auto plan = FaultPlan::parse({"drop=10%", "corrupt=0.05"}, seed);
    REQUIRE(plan.ok());
    std::vector<std::pair<std::uint64_t, FrameFault>> hits;
    for (std::uint64_t frame = 0; frame < 2000; ++frame) {
      if (const FrameFault fault = plan->fault_of(0, frame); fault != FrameFault::none)
        hits.emplace_back(frame, fault);
    }
    return hits;
  };
  const auto hits = chosen(1);
  CHECK(hits == chosen(1));
  CHECK(hits != chosen(2));
  CHECK(hits.size() > 200);
  CHECK(hits.size() < 400);
}

TEST_CASE("a fault that doesn't exist, or makes no sense, is refused", "[replay]") {
  for (const char* wrong : {"explode", "drop", "drop=", "drop=x", "drop=5-3", "drop=1.5", "drop=-1",
                            "abort=soon", "corrupt=150%"}) {
    CHECK_FALSE(FaultPlan::parse({wrong}, 1).ok());
  }
}

TEST_CASE("without a receiver replay gives up after the stated time", "[replay]") {
  MemoryReader reader({Dtype::u8, 8, 8}, 2);
  ReplayOptions options;
  options.socket.endpoint = free_endpoint();
  options.wait = std::chrono::milliseconds(50);
  const auto plan = FaultPlan::parse({}, 1);
  const auto report = run_replay(reader, *plan, options, [](std::uint64_t, std::uint64_t) {});
  REQUIRE_FALSE(report.ok());
  CHECK(report.error().code == Errc::timed_out);
}
