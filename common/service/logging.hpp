// SPDX-License-Identifier: Apache-2.0
//
// Structured log lines: an event in words, then named values.
//
//     log_info("series started", {{"series", uid.to_string()}, {"images_expected", 1000}});
//
// To stderr (journald picks it up): "2026-11-21T20:57:03.123Z info  agent  series started series=…
// images_expected=1000" or, with logging.format = "json", one JSON object a line. Thread-safe. Never from the
// per-pixel path; per-frame faults are counted in metrics and logged through LogLimiter.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace ff::service {

enum class LogLevel { debug, info, warning, error };

/// One named value of a log line.
struct LogValue {
  std::string_view name;
  std::string value;

  LogValue(std::string_view n, std::string v) : name(n), value(std::move(v)) {}
  LogValue(std::string_view n, std::string_view v) : name(n), value(v) {}
  LogValue(std::string_view n, const char* v) : name(n), value(v) {}
  LogValue(std::string_view n, bool v) : name(n), value(v ? "true" : "false") {}
  template <std::integral T>
  requires(!std::same_as<T, bool>) LogValue(std::string_view n, T v) : name(n), value(std::to_string(v)) {}
  LogValue(std::string_view n, double v);
};

using LogValues = std::initializer_list<LogValue>;

/// Call once at start. `format`: "text" or "json". `program`: "agent", "collector", "sink", "foreframe".
void log_setup(std::string_view program, LogLevel lowest, std::string_view format);
void log(LogLevel level, std::string_view event, LogValues values = {});

inline void log_debug(std::string_view event, LogValues values = {}) { log(LogLevel::debug, event, values); }
inline void log_info(std::string_view event, LogValues values = {}) { log(LogLevel::info, event, values); }
inline void log_warning(std::string_view event, LogValues values = {}) {
  log(LogLevel::warning, event, values);
}
inline void log_error(std::string_view event, LogValues values = {}) { log(LogLevel::error, event, values); }

/// Lets the first line of a burst through, then one a second, saying how many it held back.
class LogLimiter {
 public:
  /// True when the caller may log now; `held_back` is then the number of lines suppressed since.
  [[nodiscard]] bool allow(std::uint64_t& held_back) noexcept;

 private:
  std::int64_t next_ns_ = 0;
  std::uint64_t held_back_ = 0;
};

}  // namespace ff::service
