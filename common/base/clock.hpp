// SPDX-License-Identifier: Apache-2.0
//
// Clocks: UTC for records, monotonic for every time-out and rate. Never mix them.
#pragma once

#include <cstdint>
#include <string>

namespace ff {

/// Nanoseconds since 1970-01-01 UTC. May jump; goes into records only.
[[nodiscard]] std::int64_t utc_now_ns() noexcept;
/// Nanoseconds of CLOCK_MONOTONIC. Never jumps; comparable within one boot of one host.
[[nodiscard]] std::int64_t monotonic_now_ns() noexcept;
/// Names this boot of this host, so that monotonic times of different boots are never compared.
[[nodiscard]] const std::string& boot_id();
/// "2026-11-21T20:57:03.123456789Z"
[[nodiscard]] std::string format_utc(std::int64_t utc_ns);

}  // namespace ff
