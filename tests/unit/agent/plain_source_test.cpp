// SPDX-License-Identifier: Apache-2.0
//
// The plain format: what the document's Python sends arrives, and broken messages are named.
#include "agent/ingest/plain_source.hpp"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include <catch2/catch.hpp>

#include "agent/ingest/pixel_unpack.hpp"
#include "tests/support/cbor_build.hpp"
#include "tests/support/temp_dir.hpp"

using namespace ff;
using namespace ff::agent;

namespace {

std::vector<Payload> message_of(std::string_view header, std::vector<std::byte> pixels = {},
                                bool with_pixels = true) {
  std::vector<Payload> parts{Payload::copy(as_bytes(header))};
  if (with_pixels) parts.push_back(Payload::own(std::move(pixels)));
  return parts;
}

Unreadable refused(std::vector<Payload> parts) {
  auto event = read_plain(parts);
  REQUIRE(std::holds_alternative<Unreadable>(event));
  return std::get<Unreadable>(event);
}

/// The sender of docs/formats/plain.md, sent to `address`.
std::string sender_of_the_document(const std::string& address) {
  std::ifstream file(std::string(FF_SOURCE_DIR) + "/docs/formats/plain.md");
  std::ostringstream text;
  text << file.rdbuf();
  const std::string page = text.str(), fence = "```python\n";
  const std::size_t begin = page.find(fence) + fence.size();
  std::string code = page.substr(begin, page.find("```", begin) - begin);
  const std::string documented = "tcp://127.0.0.1:31001";
  code.replace(code.find(documented), documented.size(), address);
  return code;
}

std::string python() {
  const char* named = std::getenv("FF_PYTHON");
  const std::string in_tree = std::string(FF_SOURCE_DIR) + "/build/venv/bin/python";
  return named != nullptr ? named : std::filesystem::exists(in_tree) ? in_tree : "python3";
}

}  // namespace

TEST_CASE("an image of the plain format is read with its pixels, time and user data", "[agent]") {
  auto parts = message_of(
      R"({"type":"image","series":3,"frame":9,"dtype":"uint16","shape":[1,2],"byte_order":"big",
          "time_ns":1700000000000000001,"user_data":{"shot":5},"vendor":[1]})",
      {std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}});
  const auto event = read_plain(parts);
  const auto& frame = std::get<FrameArrived>(event);
  CHECK(frame.key.id == 3);
  CHECK(frame.frame == 9);
  CHECK(frame.detector_time_ns == 1'700'000'000'000'000'001);
  std::vector<std::byte> pixels(4);
  REQUIRE(unpack_pixels(frame.channels.at(0), pixels).ok());
  CHECK(load_le<std::uint16_t>(pixels.data()) == 0x0102);
  test::CborBuild user_data;
  user_data.map(1).text("shot").number(5);
  CHECK(as_text(frame.user_data) == as_text(user_data.bytes()));
}

TEST_CASE("a column-major frame is turned", "[agent]") {
  ChannelPixels pixels;
  pixels.shape = {Dtype::u8, 2, 3};
  pixels.column_major = true;
  const std::vector<std::uint8_t> columns{1, 4, 2, 5, 3, 6};
  pixels.bytes = std::as_bytes(std::span(columns));
  std::vector<std::uint8_t> rows(6);
  REQUIRE(unpack_pixels(pixels, std::as_writable_bytes(std::span(rows))).ok());
  CHECK(rows == std::vector<std::uint8_t>{1, 2, 3, 4, 5, 6});
}

TEST_CASE("broken headers of the plain format are refused by name", "[agent]") {
  CHECK(refused(message_of("")).why.code == Errc::malformed);
  CHECK(refused(message_of("[1,2]")).why.code == Errc::malformed);
  CHECK(refused(message_of("{\"type\":\"image\"")).why.code == Errc::malformed);
  CHECK(refused(message_of(R"({"type":"image","series":-1})")).why.code == Errc::malformed);
  CHECK(refused(message_of(R"({"type":"video","series":1})")).why.code == Errc::unsupported_feature);
  CHECK(refused(message_of(std::string(100'000, ' '))).why.code == Errc::too_large);
  CHECK(refused(message_of("{\"a\":" + std::string(30'000, '[') + std::string(30'000, ']') + "}")).why.code ==
        Errc::too_deep);
  CHECK(refused({}).why.code == Errc::truncated);
}

TEST_CASE("an image of the plain format that can't be used still tells its number", "[agent]") {
  const auto wrong_dtype =
      refused(message_of(R"({"type":"image","series":1,"frame":4,"dtype":"uint64","shape":[1,1]})"));
  CHECK(wrong_dtype.why.code == Errc::dtype_unsupported);
  CHECK(wrong_dtype.frame == 4u);
  const auto zero =
      refused(message_of(R"({"type":"image","series":1,"frame":5,"dtype":"uint8","shape":[0,8]})"));
  CHECK(zero.why.code == Errc::shape_mismatch);
  const auto no_pixels = refused(
      message_of(R"({"type":"image","series":1,"frame":6,"dtype":"uint8","shape":[1,8]})", {}, false));
  CHECK(no_pixels.why.code == Errc::truncated);
  CHECK(no_pixels.frame == 6u);
}

TEST_CASE("the ten lines of Python in the document reach the agent", "[agent]") {
  if (std::system((python() + " -c 'import zmq, numpy' 2>/dev/null").c_str()) != 0)
    FAIL("no Python with pyzmq and numpy here: tools/setup makes one");
  const int port = 20'000 + static_cast<int>(getpid() % 20'000);
  const std::string address = "tcp://127.0.0.1:" + std::to_string(port);
  ZmqPullOptions options;
  options.address = address;
  options.bind = true;
  auto source = PlainSource::open(options);
  REQUIRE(source.ok());
  test::TempDir folder;
  const auto script = folder.path() / "send.py";
  std::ofstream(script) << sender_of_the_document(address);
  REQUIRE(std::system((python() + " " + script.string() + " &").c_str()) == 0);

  std::vector<std::string> seen;
  while (seen.empty() || seen.back() != "end") {
    auto event = (*source)->poll(std::chrono::seconds(20));
    REQUIRE(event.ok());
    REQUIRE(event->has_value());
    const auto& what = (*event)->what;
    if (const auto* start = std::get_if<SeriesStarted>(&what)) {
      seen.push_back("start");
      CHECK(start->images_expected == 20u);
      CHECK(start->shape == FrameShape{Dtype::u16, 64, 48});
    } else if (const auto* frame = std::get_if<FrameArrived>(&what)) {
      CHECK(frame->frame == seen.size() - 1);
      CHECK(frame->channels.at(0).bytes.size() == 64 * 48 * 2);
      seen.push_back("image");
    } else {
      REQUIRE(std::holds_alternative<SeriesEnded>(what));
      seen.push_back("end");
    }
  }
  CHECK(seen.size() == 22);
}
