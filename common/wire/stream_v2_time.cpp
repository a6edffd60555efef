// SPDX-License-Identifier: Apache-2.0
//
// Times of Stream V2: rational seconds and dates, as nanoseconds.
#include <charconv>
#include <chrono>

#include "common/wire/stream_v2.hpp"

namespace ff::wire::stream_v2 {
namespace {

/// `count` decimal digits at `at`, which moves on.
Result<std::int64_t> digits(std::string_view text, std::size_t& at, std::size_t count) {
  std::int64_t value = 0;
  const bool room = at + count <= text.size();
  const auto parsed = room ? std::from_chars(text.data() + at, text.data() + at + count, value)
                           : std::from_chars_result{text.data(), std::errc::invalid_argument};
  if (!room || parsed.ec != std::errc{} || parsed.ptr != text.data() + at + count || value < 0)
    return fail(Errc::malformed,
                "'" + std::string(text.substr(0, 64)) + "' is no date like 2026-11-21T20:57:03Z");
  at += count;
  return value;
}

/// Fraction of a second in ns, rounded down; digits beyond the ninth are passed over.
std::int64_t fraction_ns(std::string_view text, std::size_t& at) {
  std::int64_t ns = 0, unit = 100'000'000;
  if (at >= text.size() || text[at] != '.') return 0;
  for (++at; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
    ns += (text[at] - '0') * unit;
    unit /= 10;
  }
  return ns;
}

Result<std::int64_t> offset_seconds(std::string_view text, std::size_t& at) {
  if (at < text.size() && (text[at] == 'Z' || text[at] == 'z')) return ++at, std::int64_t{0};
  if (at >= text.size()) return std::int64_t{0};  // some detectors leave the zone out: taken as UTC
  const std::int64_t sign = text[at] == '-' ? -1 : 1;
  if (text[at] != '-' && text[at] != '+') return fail(Errc::malformed, "date with a broken time zone");
  ++at;
  FF_ASSIGN(const std::int64_t hours, digits(text, at, 2));
  if (at < text.size() && text[at] == ':') ++at;
  FF_ASSIGN(const std::int64_t minutes, digits(text, at, 2));
  return sign * (hours * 3600 + minutes * 60);
}

}  // namespace

Result<std::int64_t> rational_to_ns(const Rational& seconds) {
  if (seconds.denominator == 0) return fail(Errc::malformed, "time with denominator 0");
  __extension__ using Wide = unsigned __int128;
  const Wide ns = Wide{seconds.numerator} * 1'000'000'000u / seconds.denominator;
  if (ns > static_cast<Wide>(INT64_MAX)) return fail(Errc::out_of_range, "time beyond 292 years");
  return static_cast<std::int64_t>(ns);
}

Result<std::int64_t> parse_date(std::string_view text) {
  std::size_t at = 0;
  std::int64_t parts[6];
  constexpr std::size_t kWidths[6] = {4, 2, 2, 2, 2, 2};
  for (int i = 0; i < 6; ++i) {
    FF_ASSIGN(parts[i], digits(text, at, kWidths[i]));
    if (i < 5) ++at;  // the separator, whichever it is
  }
  const std::int64_t ns = fraction_ns(text, at);
  FF_ASSIGN(const std::int64_t offset, offset_seconds(text, at));
  const std::chrono::year_month_day day{std::chrono::year(static_cast<int>(parts[0])),
                                        std::chrono::month(static_cast<unsigned>(parts[1])),
                                        std::chrono::day(static_cast<unsigned>(parts[2]))};
  if (!day.ok() || parts[3] > 23 || parts[4] > 59 || parts[5] > 60 || at != text.size())
    return fail(Errc::malformed,
                "'" + std::string(text.substr(0, 64)) + "' is no date like 2026-11-21T20:57:03Z");
  if (parts[0] < 1678 || parts[0] > 2261)
    return fail(Errc::out_of_range, "date beyond what nanoseconds can say");
  const std::int64_t days = std::chrono::sys_days(day).time_since_epoch().count();
  const std::int64_t seconds = days * 86400 + parts[3] * 3600 + parts[4] * 60 + parts[5] - offset;
  return seconds * 1'000'000'000 + ns;
}

}  // namespace ff::wire::stream_v2
