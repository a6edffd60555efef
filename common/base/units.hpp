// SPDX-License-Identifier: Apache-2.0
//
// Units as operators write them: "2 GiB", "50 ms", "8 Gbit/s"; and back into words for messages.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.hpp"

namespace ff {

using Nanoseconds = std::chrono::nanoseconds;

/// "0 B", "900 kB" (1000), "2 GiB" (1024) ...; whole bytes only. Errors: malformed (no unit, unknown unit).
[[nodiscard]] Result<std::uint64_t> parse_size_bytes(std::string_view text);
/// "200 ms", "10 s", "1.5 min", "2 h", "50 us", "5 ns". Errors: malformed.
[[nodiscard]] Result<Nanoseconds> parse_duration(std::string_view text);
/// "8 Gbit/s", "500 MB/s" as bytes per second. Errors: malformed.
[[nodiscard]] Result<double> parse_rate_bytes_per_second(std::string_view text);
/// "500 Hz", "17.4 kHz". Errors: malformed.
[[nodiscard]] Result<double> parse_frequency_hz(std::string_view text);

/// Exact and readable by parse_size_bytes: "2 GiB", "900 kB", "1234567 B".
[[nodiscard]] std::string format_size(std::uint64_t bytes);
/// Exact and readable by parse_duration: "200 ms", "1500 ms", "10 s".
[[nodiscard]] std::string format_duration(Nanoseconds duration);
/// Rounded, for people: "1.25 GB/s", "31.4 MB".
[[nodiscard]] std::string human_bytes(double bytes);
[[nodiscard]] std::string human_rate(double bytes_per_second);

}  // namespace ff
