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
/// What the kernel knows of the error of its UTC clock.
struct ClockQuality {
  bool known = false;                ///< the kernel could be asked
  bool disciplined = false;          ///< a time service (NTP, PTP) steers the clock
  std::int64_t offset_ns = 0;        ///< last known offset that is still being corrected
  std::uint64_t uncertainty_ns = 0;  ///< the kernel's bound on the error
};
/// One system call; needs no privilege.
[[nodiscard]] ClockQuality clock_quality() noexcept;
/// "2026-11-21T20:57:03.123456789Z"
[[nodiscard]] std::string format_utc(std::int64_t utc_ns);

}  // namespace ff
