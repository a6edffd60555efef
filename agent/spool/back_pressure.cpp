// SPDX-License-Identifier: Apache-2.0
//
// Pressure on and off.
#include "agent/spool/back_pressure.hpp"

#include <charconv>
#include <string>

#include "common/service/logging.hpp"

namespace ff::agent {
namespace {

constexpr std::uint64_t kBeginPercent = 90, kEndPercent = 75;
constexpr std::string_view kWords[] = {"block", "spool", "degrade", "veto", "stop"};

}  // namespace

Result<OnFull> parse_on_full(std::string_view word) {
  for (std::size_t i = 0; i < std::size(kWords); ++i)
    if (kWords[i] == word) return static_cast<OnFull>(i);
  return fail(Errc::invalid_argument, "\"" + std::string(word) + "\" is no action");
}

Result<KeepRule> parse_keep_rule(std::string_view text) {
  KeepRule rule;
  const char* const end = text.data() + text.size();
  const auto kept = std::from_chars(text.data(), end, rule.kept);
  if (kept.ec == std::errc{} && kept.ptr != end && *kept.ptr == '/') {
    const auto of = std::from_chars(kept.ptr + 1, end, rule.of);
    if (of.ec == std::errc{} && of.ptr == end && rule.kept >= 1 && rule.kept < rule.of &&
        rule.of <= 1'000'000)
      return rule;
  }
  return fail(Errc::invalid_argument,
              "\"" + std::string(text) + "\" is no rule like \"1/10\": so many frames are kept of so many");
}

BackPressure::BackPressure(BackPressureOptions options, service::Health& health, AgentMetrics& metrics)
    : options_(std::move(options)), health_(health), metrics_(metrics) {
  if (options_.observe && options_.on_full != OnFull::spool) options_.on_full = OnFull::block;
}

void BackPressure::note_level(std::uint64_t bytes, std::uint64_t bytes_max, const std::string& waiting) {
  const std::uint64_t percent = bytes_max > 0 ? bytes * 100 / bytes_max : 0;
  if (!active() && percent >= kBeginPercent) begin(waiting);
  if (active() && !full_ && percent < kEndPercent) end();
  hook_.look_after();
}

void BackPressure::begin(const std::string& waiting) {
  active_.store(true, std::memory_order_relaxed);
  metrics_.pressure_active.set(1);
  metrics_.pressure_episodes.add();
  service::log_warning(
      "spool is nearly full",
      {{"action", kWords[static_cast<std::size_t>(options_.on_full)]}, {"waiting", waiting}});
  if (options_.on_full != OnFull::stop) return;
  metrics_.stop_hooks.add();
  hook_.run(options_.stop_hook);
}

void BackPressure::end() {
  active_.store(false, std::memory_order_relaxed);
  metrics_.pressure_active.set(0);
  service::log_info("spool has room again");
}

void BackPressure::note_full(const std::string& waiting) {
  if (!active()) begin(waiting);
  hook_.look_after();
  if (!std::exchange(full_, true)) health_.set_trouble("spool", "full; " + waiting);
}

void BackPressure::note_room() {
  if (std::exchange(full_, false)) health_.set_trouble("spool", "");
}

}  // namespace ff::agent
