// SPDX-License-Identifier: Apache-2.0
//
// What the three daemons' mains have in common: arguments, configuration, exit codes, signals, systemd.
//
//   --config FILE | --no-config   --set KEY=VALUE ...   --check   --print-config   --print-config-docs
//   --version   --help
//
// Exit codes: 0 stopped as asked, 64 wrong arguments, 69 something needed is unavailable, 70 our own fault,
// 74 input/output, 78 configuration.
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "common/base/result.hpp"
#include "common/service/config.hpp"
#include "common/service/metrics.hpp"
#include "common/service/status_server.hpp"

namespace ff::service {

inline constexpr int kExitOk = 0, kExitUsage = 64, kExitUnavailable = 69, kExitSoftware = 70, kExitIo = 74,
                     kExitConfig = 78;

/// The exit code for an error that ends a program.
[[nodiscard]] int exit_code_for(Errc code) noexcept;

/// Keys every daemon has: logging.level, logging.format, status.listen. Put into each daemon's schema.
struct CommonConfig {
  std::string log_level = "info";
  std::string log_format = "text";
  std::string status_listen;
};
void describe(ConfigSchema& schema, CommonConfig& config);

/// SIGTERM or SIGINT asks to stop: finish what is in hand, say what was done, leave. A second one ends at
/// once.
class StopSignal {
 public:
  StopSignal() = default;
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  [[nodiscard]] bool requested() const noexcept { return requested_.load(std::memory_order_relaxed); }
  void request() noexcept { requested_.store(true, std::memory_order_relaxed); }
  /// Routes the process's SIGTERM and SIGINT here (one StopSignal per process).
  void install();

 private:
  std::atomic<bool> requested_{false};
};

/// What a running daemon gets.
struct DaemonContext {
  StopSignal& stop;
  Metrics& metrics;
  Health& health;
  StatusServer& status;
  /// READY=1 and a status line to systemd; a no-op elsewhere.
  void ready(const std::string& status_line) const;
  /// WATCHDOG=1 and Health::progress(); from the main loop, at every turn.
  void progress() const;
};

struct DaemonSpec {
  std::string program;                          ///< "foreframe-agent"
  std::string metrics_name;                     ///< "agent"
  std::string purpose;                          ///< one line for --help
  std::string examples;                         ///< for --help
  std::function<void(ConfigSchema&)> describe;  ///< declares all keys; CommonConfig's are added
  /// Checks what one key alone can't show; returns what --check prints (memory bound ...), or the error.
  std::function<Result<std::string>()> check;
  /// The daemon. Returns when stopped; the text is the closing summary.
  std::function<Result<std::string>(DaemonContext&)> run;
  std::string
      default_config;  ///< "/etc/foreframe/agent.toml"; used when it is there and --config isn't given
  std::string default_status_listen;  ///< "127.0.0.1:9464"
};

/// The whole main(): returns the exit code.
[[nodiscard]] int run_daemon(int argc, char** argv, const DaemonSpec& spec);

}  // namespace ff::service
