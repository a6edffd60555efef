// SPDX-License-Identifier: Apache-2.0
//
// Log lines as they reach stderr.
#include "common/service/logging.hpp"

#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <iterator>
#include <regex>
#include <thread>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "common/service/log_lines.hpp"

using namespace ff::service;

namespace {

/// What `write` sends to file descriptor 2.
std::string captured_stderr(const std::function<void()>& write) {
  const auto path =
      std::filesystem::temp_directory_path() / ("foreframe_log_test_" + std::to_string(getpid()));
  const int saved = dup(2);
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  dup2(file, 2);
  write();
  dup2(saved, 2);
  close(file);
  close(saved);
  std::ifstream stream(path);
  std::string text((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  std::filesystem::remove(path);
  return text;
}

}  // namespace

TEST_CASE("a text line has UTC time, level, program, event and named values", "[log]") {
  const std::string line = captured_stderr([] {
    log_setup("agent", LogLevel::info, "text");
    log_info("series started", {{"images_expected", 1000}, {"rate_hz", 133.25}, {"strict", true}});
  });
  CHECK(std::regex_match(line,
                         std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info    agent  series started )"
                                    R"(images_expected=1000 rate_hz=133.25 strict=true\n)")));
}

TEST_CASE("lines below the lowest level are not written", "[log]") {
  const std::string text = captured_stderr([] {
    log_setup("agent", LogLevel::warning, "text");
    log_debug("a");
    log_info("b");
    log_warning("c");
    log_error("d");
  });
  CHECK(text.find(" a\n") == std::string::npos);
  CHECK(text.find(" b\n") == std::string::npos);
  CHECK(text.find("warning agent  c\n") != std::string::npos);
  CHECK(text.find("error   agent  d\n") != std::string::npos);
}

TEST_CASE("text from the network can neither break a line nor control a terminal", "[log]") {
  const std::string line = captured_stderr([] {
    log_setup("agent", LogLevel::info, "text");
    log_info("start message", {{"series", "a\nb \x1b[2J=\"c\""}, {"empty", ""}});
  });
  CHECK(std::count(line.begin(), line.end(), '\n') == 1);
  CHECK(line.find('\x1b') == std::string::npos);
  CHECK(line.find(R"(series="a\nb \u001b[2J=\"c\"" empty="")") != std::string::npos);
}

TEST_CASE("a JSON line is one JSON object, whatever bytes it carries", "[log]") {
  const std::string line = captured_stderr([] {
    log_setup("sink", LogLevel::info, "json");
    log_error("write failed", {{"path", "/a \"b\"\xff"}, {"bytes", 12}});
  });
  const auto object = nlohmann::json::parse(line);
  CHECK(object["level"] == "error");
  CHECK(object["program"] == "sink");
  CHECK(object["event"] == "write failed");
  CHECK(object["bytes"] == "12");
  CHECK(object["path"].get<std::string>().find("/a \"b\"") == 0);
  CHECK(object["time"].get<std::string>().back() == 'Z');
}

TEST_CASE("a burst of equal lines logs the first and counts the rest", "[log]") {
  LogLimiter limiter;
  std::uint64_t held_back = 99;
  CHECK(limiter.allow(held_back));
  CHECK(held_back == 0);
  for (int i = 0; i < 100; ++i) CHECK_FALSE(limiter.allow(held_back));
}

TEST_CASE("a stderr that nobody reads holds no thread up; what was lost is counted once it is read",
          "[log]") {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  const int saved = dup(2);
  dup2(ends[1], 2);
  close(ends[1]);
  log_setup("agent", LogLevel::info, "text");

  std::string text;
  std::thread reader;
  const auto read_all = [&] {
    char piece[4096];
    for (ssize_t got = 0; (got = read(ends[0], piece, sizeof piece)) > 0;)
      text.append(piece, static_cast<std::size_t>(got));
  };
  bool waited = false;
  {
    const BackgroundLog background(200'000);
    auto lines = std::async(std::launch::async, [] {
      for (int line = 0; line < 20'000; ++line) log_info("frame lost", {{"frame", line}});
    });
    waited = lines.wait_for(std::chrono::seconds(20)) != std::future_status::ready;
    reader = std::thread(read_all);
  }
  dup2(saved, 2);  // the pipe's last end for writing
  close(saved);
  reader.join();
  close(ends[0]);
  CHECK_FALSE(waited);
  CHECK(text.find("frame lost frame=0\n") != std::string::npos);
  CHECK(std::regex_search(text, std::regex(R"(log lines were lost: .* lines=\d+\n)")));
}

TEST_CASE("a background log writes all lines in order before it ends", "[log]") {
  const std::string text = captured_stderr([] {
    log_setup("agent", LogLevel::info, "text");
    const BackgroundLog background;
    for (int line = 0; line < 1000; ++line) log_info("line", {{"number", line}});
  });
  std::size_t at = 0;
  for (int line = 0; line < 1000 && at != std::string::npos; ++line)
    at = text.find("line number=" + std::to_string(line) + "\n", at);
  CHECK(at != std::string::npos);
}
