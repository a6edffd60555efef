// SPDX-License-Identifier: Apache-2.0
#include "common/base/clock.hpp"

#include <cstdio>
#include <ctime>
#include <fstream>
#include <sys/timex.h>

namespace ff {
namespace {

std::int64_t read_clock_ns(clockid_t clock) noexcept {
  timespec now{};
  clock_gettime(clock, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

std::int64_t utc_now_ns() noexcept { return read_clock_ns(CLOCK_REALTIME); }
std::int64_t monotonic_now_ns() noexcept { return read_clock_ns(CLOCK_MONOTONIC); }

const std::string& boot_id() {
  static const std::string id = [] {
    std::string text;
    std::ifstream("/proc/sys/kernel/random/boot_id") >> text;
    return text.empty() ? std::string("unknown") : text;
  }();
  return id;
}

ClockQuality clock_quality() noexcept {
  timex kernel{};
  const int state = adjtimex(&kernel);
  if (state < 0) return {};
  const std::int64_t offset = kernel.offset;
  return {.known = true,
          .disciplined = state != TIME_ERROR && (kernel.status & STA_UNSYNC) == 0,
          .offset_ns = (kernel.status & STA_NANO) != 0 ? offset : offset * 1000,
          .uncertainty_ns = static_cast<std::uint64_t>(kernel.maxerror) * 1000};
}

std::string format_utc(std::int64_t utc_ns) {
  std::int64_t seconds = utc_ns / 1'000'000'000, rest = utc_ns % 1'000'000'000;
  if (rest < 0) {
    --seconds;
    rest += 1'000'000'000;
  }
  const std::time_t time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  gmtime_r(&time, &parts);
  char date[32], text[48];
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text, sizeof text, "%s.%09dZ", date, static_cast<int>(rest));
  return text;
}

}  // namespace ff
