// SPDX-License-Identifier: Apache-2.0
//
// spdlog carries the lines (level, time, lock); what stands in a line is made here, where it goes in log_lines.cpp.
#include "common/service/logging.hpp"

#include <array>
#include <atomic>
#include <charconv>
#include <memory>
#include <mutex>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>

#include "common/base/clock.hpp"
#include "common/service/log_lines.hpp"

namespace ff::service {
namespace {

/// Lines may carry text from the network: nothing in it may break the line or control a terminal.
bool needs_quotes(std::string_view text) noexcept {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte == '"' || byte == '=' || byte == 0x7f) return true;
  }
  return text.empty();
}

std::string json_text(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string_view word_of(LogLevel level) noexcept {
  constexpr std::array<std::string_view, 4> kWords{"debug", "info", "warning", "error"};
  return kWords[static_cast<std::size_t>(level)];
}

constexpr spdlog::level::level_enum spdlog_level(LogLevel level) noexcept {
  constexpr std::array kLevels{spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
                               spdlog::level::err};
  return kLevels[static_cast<std::size_t>(level)];
}

class LineSink final : public spdlog::sinks::base_sink<std::mutex> {
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    put_log_line({line.data(), line.size()});
  }
  void flush_() override {}
};

struct Setup {
  std::string program = "foreframe";
  bool json = false;
  std::shared_ptr<spdlog::logger> logger;
};

std::shared_ptr<const Setup> make_setup(std::string_view program, LogLevel lowest, bool json) {
  auto setup = std::make_shared<Setup>();
  setup->program = program;
  setup->json = json;
  setup->logger = std::make_shared<spdlog::logger>(setup->program, std::make_shared<LineSink>());
  setup->logger->set_level(spdlog_level(lowest));
  setup->logger->set_pattern(json ? "%v" : "%Y-%m-%dT%H:%M:%S.%eZ %-7l %n  %v",
                             spdlog::pattern_time_type::utc);
  return setup;
}

/// Replaced as a whole by log_setup, so that a line being written keeps the set-up it began with.
std::atomic<std::shared_ptr<const Setup>>& current_setup() {
  static std::atomic<std::shared_ptr<const Setup>> setup{make_setup("foreframe", LogLevel::info, false)};
  return setup;
}

std::string text_line(std::string_view event, LogValues values) {
  std::string line(event);
  for (const LogValue& value : values) {
    line += ' ';
    line += value.name;
    line += '=';
    line += needs_quotes(value.value) ? json_text(value.value) : value.value;
  }
  return line;
}

std::string json_line(const Setup& setup, LogLevel level, std::string_view event, LogValues values) {
  std::string line = "{\"time\":" + json_text(format_utc(utc_now_ns())) +
                     ",\"level\":" + json_text(word_of(level)) + ",\"program\":" + json_text(setup.program) +
                     ",\"event\":" + json_text(event);
  for (const LogValue& value : values) line += "," + json_text(value.name) + ":" + json_text(value.value);
  return line + "}";
}

}  // namespace

LogValue::LogValue(std::string_view n, double v) : name(n) {
  std::array<char, 32> digits{};
  const auto [end, error] =
      std::to_chars(digits.data(), digits.data() + digits.size(), v, std::chars_format::general, 6);
  value.assign(digits.data(), error == std::errc{} ? end : digits.data());
}

void log_setup(std::string_view program, LogLevel lowest, std::string_view format) {
  current_setup().store(make_setup(program, lowest, format == "json"));
}

void log(LogLevel level, std::string_view event, LogValues values) {
  const std::shared_ptr<const Setup> setup = current_setup().load();
  if (!setup->logger->should_log(spdlog_level(level))) return;
  const std::string line = setup->json ? json_line(*setup, level, event, values) : text_line(event, values);
  setup->logger->log(spdlog_level(level), spdlog::string_view_t(line));
}

bool LogLimiter::allow(std::uint64_t& held_back) noexcept {
  constexpr std::int64_t kPauseNs = 1'000'000'000;
  const std::int64_t now = monotonic_now_ns();
  if (now < next_ns_) {
    ++held_back_;
    return false;
  }
  next_ns_ = now + kPauseNs;
  held_back = std::exchange(held_back_, 0);
  return true;
}

}  // namespace ff::service
