// SPDX-License-Identifier: Apache-2.0
#include "common/service/daemon.hpp"

#include <csignal>
#include <cstdio>
#include <iostream>
#include <optional>
#include <systemd/sd-daemon.h>

#include <CLI/CLI.hpp>

#include "common/base/clock.hpp"
#include "common/service/log_lines.hpp"
#include "common/service/logging.hpp"

namespace ff::service {
namespace {

struct Arguments {
  std::string config;
  bool no_config = false;
  std::vector<std::string> set;
  bool check = false, print_config = false, print_config_docs = false;
};

std::atomic<StopSignal*> g_stop{nullptr};
static_assert(std::atomic<StopSignal*>::is_always_lock_free,
              "a signal handler may only touch lock-free atomics");

void on_stop_signal(int number) {
  StopSignal* stop = g_stop.load();
  if (stop == nullptr || stop->requested()) {
    std::signal(number, SIG_DFL);
    std::raise(number);
    return;
  }
  stop->request();
}

LogLevel level_named(const std::string& word) noexcept {
  if (word == "debug") return LogLevel::debug;
  if (word == "warning") return LogLevel::warning;
  return word == "error" ? LogLevel::error : LogLevel::info;
}

/// The exit code to end with, or nothing to go on with `arguments`.
std::optional<int> parse_arguments(int argc, char** argv, const DaemonSpec& spec, Arguments& arguments) {
  CLI::App app(spec.purpose, spec.program);
  app.footer((spec.examples.empty() ? "" : "Examples:\n" + spec.examples + "\n\n") +
             "Exit codes: 0 stopped as asked, 64 wrong arguments, 69 something needed is unavailable,\n"
             "70 a fault of the program, 74 input/output, 78 configuration.");
  auto* config = app.add_option("--config", arguments.config,
                                "Configuration file (TOML); " + spec.default_config + " when it exists");
  app.add_flag("--no-config", arguments.no_config, "Use the defaults, whatever files exist")
      ->excludes(config);
  app.add_option("--set", arguments.set, "Override one key: --set spool.max=\"4 GiB\"; may be repeated")
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_flag("--check", arguments.check, "Check the configuration, say what it needs, and leave");
  app.add_flag("--print-config", arguments.print_config,
               "Print the complete configuration in force, and leave");
  app.add_flag("--print-config-docs", arguments.print_config_docs,
               "Print all keys as a Markdown table, and leave");
  app.set_version_flag("--version", spec.program + " " FF_VERSION);
  try {
    app.parse(argc, argv);
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
}

Status load_config(ConfigSchema& schema, const DaemonSpec& spec, const Arguments& arguments) {
  std::error_code ignored;
  if (!arguments.config.empty()) {
    FF_TRY(schema.load_file(arguments.config));
  } else if (!arguments.no_config && std::filesystem::exists(spec.default_config, ignored)) {
    FF_TRY(schema.load_file(spec.default_config));
  }
  for (const std::string& assignment : arguments.set) {
    const std::size_t equals = assignment.find('=');
    if (equals == std::string::npos)
      return fail(Errc::config_error, "--set " + assignment + ": expected KEY=VALUE");
    FF_TRY(schema.set(assignment.substr(0, equals), assignment.substr(equals + 1)));
  }
  return {};
}

int refuse_config(const DaemonSpec& spec, const Error& error) {
  std::cerr << spec.program << ": configuration refused, nothing was started\n" << error.message << "\n";
  return kExitConfig;
}

int run_until_stopped(const DaemonSpec& spec, const CommonConfig& common) {
  log_setup(spec.metrics_name, level_named(common.log_level), common.log_format);
  const BackgroundLog background;  // nobody's thread waits for whoever reads our stderr
  const auto end_with = [](const Error& error) {
    log_error("stopped by an error", {{"error", to_string(error.code)}, {"what", error.message}});
    return exit_code_for(error.code);
  };
  StopSignal stop;
  stop.install();
  Metrics metrics(spec.metrics_name);
  Health health;
  auto status = StatusServer::start(common.status_listen, metrics, health);
  if (!status.ok()) return end_with(status.error());
  log_info("starting", {{"version", FF_VERSION}, {"status", (*status)->address()}});

  DaemonContext context{stop, metrics, health, **status};
  const Result<std::string> summary = spec.run(context);
  sd_notify(0, "STOPPING=1");
  if (!summary.ok() && summary.error().code != Errc::stopped) return end_with(summary.error());
  log_info("stopped", {{"summary", summary.ok() ? *summary : summary.error().message}});
  return kExitOk;
}

int run_checked(int argc, char** argv, const DaemonSpec& spec) {
  Arguments arguments;
  if (const auto exit_code = parse_arguments(argc, argv, spec, arguments)) return *exit_code;

  ConfigSchema schema(spec.program);
  CommonConfig common;
  common.status_listen = spec.default_status_listen;
  spec.describe(schema);
  describe(schema, common);
  if (const Status loaded = load_config(schema, spec, arguments); !loaded.ok())
    return refuse_config(spec, loaded.error());
  if (arguments.print_config || arguments.print_config_docs) {
    std::cout << (arguments.print_config ? schema.render() : schema.render_markdown());
    return kExitOk;
  }
  const Result<std::string> checked = spec.check ? spec.check() : Result<std::string>(std::string());
  if (!checked.ok()) return refuse_config(spec, checked.error());
  if (arguments.check) {
    std::cout << *checked << (checked->empty() || checked->ends_with('\n') ? "" : "\n")
              << "configuration is good\n";
    return kExitOk;
  }
  return run_until_stopped(spec, common);
}

}  // namespace

int exit_code_for(Errc code) noexcept {
  switch (code) {
    case Errc::stopped: return kExitOk;
    case Errc::config_error:
    case Errc::invalid_argument:
    case Errc::out_of_range: return kExitConfig;
    case Errc::disconnected:
    case Errc::refused:
    case Errc::timed_out:
    case Errc::queue_full: return kExitUnavailable;
    case Errc::io_error:
    case Errc::disk_full:
    case Errc::not_found:
    case Errc::already_exists:
    case Errc::truncated:
    case Errc::crc_mismatch:
    case Errc::bad_magic:
    case Errc::malformed: return kExitIo;
    default: return kExitSoftware;
  }
}

void describe(ConfigSchema& schema, CommonConfig& config) {
  schema.section("logging", "Lines about what happens go to stderr, where systemd's journal picks them up.");
  schema.choice("logging.level", &config.log_level, {"debug", "info", "warning", "error"},
                "Lowest level that is written.");
  schema.choice("logging.format", &config.log_format, {"text", "json"},
                "One line of text or one JSON object per event.");
  schema.section("status", "Read-only HTTP: /metrics (Prometheus), /healthz, /readyz.");
  schema.text("status.listen", &config.status_listen,
              "Address and port. Anybody who reaches it can read it: keep it on loopback or behind a "
              "firewall. Empty: "
              "no server; port 0: any free port.");
}

void StopSignal::install() {
  g_stop.store(this);
  struct sigaction action {};
  action.sa_handler = on_stop_signal;
  sigemptyset(&action.sa_mask);
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // a peer that leaves is an error of its socket, not of the process
}

StopSignal::~StopSignal() {
  StopSignal* self = this;
  g_stop.compare_exchange_strong(self, nullptr);
}

void DaemonContext::ready(const std::string& status_line) const {
  health.progress();
  sd_notify(0, ("READY=1\nSTATUS=" + status_line).c_str());
  log_info("ready", {{"status", status_line}});
}

void DaemonContext::progress() const {
  health.progress();
  // The loop may turn a thousand times a second; systemd wants to hear of it a few times a minute.
  static std::atomic<std::int64_t> next_ns{0};
  constexpr std::int64_t kPauseNs = 1'000'000'000;
  const std::int64_t now = monotonic_now_ns();
  if (now < next_ns.load(std::memory_order_relaxed)) return;
  next_ns.store(now + kPauseNs, std::memory_order_relaxed);
  sd_notify(0, "WATCHDOG=1");
}

int run_daemon(int argc, char** argv, const DaemonSpec& spec) {
  try {
    return run_checked(argc, argv, spec);
  } catch (const std::exception& error) {
    std::cerr << spec.program << ": stopped by an unexpected exception: " << error.what()
              << "; please report this\n";
    return kExitSoftware;
  }
}

}  // namespace ff::service
