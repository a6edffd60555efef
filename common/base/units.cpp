// SPDX-License-Identifier: Apache-2.0
#include "common/base/units.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <span>

namespace ff {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

constexpr std::array<Unit, 11> kSizes{{{"B", 1},
                                       {"kB", 1e3},
                                       {"MB", 1e6},
                                       {"GB", 1e9},
                                       {"TB", 1e12},
                                       {"KiB", 1024.},
                                       {"MiB", 1048576.},
                                       {"GiB", 1073741824.},
                                       {"TiB", 1099511627776.},
                                       {"PB", 1e15},
                                       {"PiB", 1125899906842624.}}};
constexpr std::array<Unit, 7> kDurations{
    {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"min", 60e9}, {"h", 3600e9}, {"d", 86400e9}}};
constexpr std::array<Unit, 8> kRates{{{"B/s", 1},
                                      {"kB/s", 1e3},
                                      {"MB/s", 1e6},
                                      {"GB/s", 1e9},
                                      {"bit/s", 0.125},
                                      {"kbit/s", 125.},
                                      {"Mbit/s", 125e3},
                                      {"Gbit/s", 125e6}}};
constexpr std::array<Unit, 3> kFrequencies{{{"Hz", 1}, {"kHz", 1e3}, {"MHz", 1e6}}};

std::string unit_names(std::span<const Unit> units) {
  std::string names;
  for (const Unit& unit : units) names += (names.empty() ? "" : ", ") + std::string(unit.name);
  return names;
}

Result<double> parse_with_unit(std::string_view text, std::span<const Unit> units, std::string_view example) {
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  std::string_view name(rest, static_cast<std::size_t>(end - rest));
  while (name.starts_with(' ')) name.remove_prefix(1);
  if (error == std::errc{} && std::isfinite(number) && number >= 0)
    for (const Unit& unit : units)
      if (name == unit.name) return number * unit.factor;
  return fail(Errc::malformed, "'" + std::string(text.substr(0, 64)) +
                                   "' is not a number with a unit such as \"" + std::string(example) +
                                   "\"; units: " + unit_names(units));
}

template <std::size_t N>
std::string format_exact(std::uint64_t value, const std::array<Unit, N>& largest_first) {
  for (const Unit& unit : largest_first) {
    const auto factor = static_cast<std::uint64_t>(unit.factor);
    if (value % factor == 0 && value >= factor)
      return std::to_string(value / factor) + " " + std::string(unit.name);
  }
  return std::to_string(value) + " " + std::string(largest_first[N - 1].name);
}

}  // namespace

Result<std::uint64_t> parse_size_bytes(std::string_view text) {
  FF_ASSIGN(const double bytes, parse_with_unit(text, kSizes, "2 GiB"));
  if (bytes > 9e18)
    return fail(Errc::out_of_range, "'" + std::string(text) + "' is more bytes than any disk has");
  return static_cast<std::uint64_t>(std::llround(bytes));
}

Result<Nanoseconds> parse_duration(std::string_view text) {
  FF_ASSIGN(const double ns, parse_with_unit(text, kDurations, "200 ms"));
  if (ns > 9e18) return fail(Errc::out_of_range, "'" + std::string(text) + "' is longer than a century");
  return Nanoseconds(std::llround(ns));
}

Result<double> parse_rate_bytes_per_second(std::string_view text) {
  return parse_with_unit(text, kRates, "8 Gbit/s");
}

Result<double> parse_frequency_hz(std::string_view text) {
  return parse_with_unit(text, kFrequencies, "500 Hz");
}

std::string format_size(std::uint64_t bytes) {
  static constexpr std::array<Unit, 9> kLargestFirst{{{"TiB", 1099511627776.},
                                                      {"TB", 1e12},
                                                      {"GiB", 1073741824.},
                                                      {"GB", 1e9},
                                                      {"MiB", 1048576.},
                                                      {"MB", 1e6},
                                                      {"KiB", 1024.},
                                                      {"kB", 1e3},
                                                      {"B", 1}}};
  return format_exact(bytes, kLargestFirst);
}

std::string format_duration(Nanoseconds duration) {
  static constexpr std::array<Unit, 7> kLargestFirst{
      {{"d", 86400e9}, {"h", 3600e9}, {"min", 60e9}, {"s", 1e9}, {"ms", 1e6}, {"us", 1e3}, {"ns", 1}}};
  return format_exact(static_cast<std::uint64_t>(duration.count()), kLargestFirst);
}

std::string human_bytes(double bytes) {
  static constexpr std::array<std::string_view, 5> kNames{"B", "kB", "MB", "GB", "TB"};
  std::size_t step = 0;
  for (; bytes >= 1000 && step + 1 < kNames.size(); ++step) bytes /= 1000;
  char text[32];
  std::snprintf(text, sizeof text, "%.3g %s", bytes, std::string(kNames[step]).c_str());
  return text;
}

std::string human_rate(double bytes_per_second) { return human_bytes(bytes_per_second) + "/s"; }

}  // namespace ff
