// SPDX-License-Identifier: Apache-2.0
//
// `foreframe drill`: arguments and report of tools/drill.
#include <cstdio>
#include <iostream>

#include <CLI/CLI.hpp>

#include "common/base/units.hpp"
#include "common/service/logging.hpp"
#include "tools/command/command_support.hpp"
#include "tools/command/commands.hpp"
#include "tools/drill/drill.hpp"

namespace ff::tools {
namespace {

constexpr int kExitFailed = 1;

constexpr const char* kDrillExamples =
    "examples:\n"
    "  foreframe drill link-cut --collector tcp://collector:5555 --lasts \"30 s\"\n"
    "  foreframe drill sink-restart --command \"systemctl restart foreframe-sink\"\n"
    "  foreframe drill broker-restart        asks you to restart the broker, and goes on when you press "
    "Enter\n"
    "  foreframe drill disk-full --rate 200 --lasts \"1 min\"\n"
    "drills:\n"
    "  link-cut        the drill's own link to the collector is cut and comes back\n"
    "  broker-restart  the site's broker is restarted by --command or by hand\n"
    "  disk-full       the drill's own spool is full: 16 MiB while its link is cut\n"
    "  sink-restart    the site's sink is restarted by --command or by hand\n"
    "A drill streams simulated frames as the detector \"drill\", beside the real ones, through the "
    "collector, the log and\n"
    "the sinks as they are. It passes when every frame reached the agent and every record has its receipts.\n"
    "exit codes: 0 passed, 1 failed, 64 wrong arguments, 69 no collector answers";

struct DrillArguments {
  std::string kind, lasts = "10 s", before = "5 s", after = "5 s", patience = "2 min", scratch;
  bool json = false;
  DrillOptions drill;
};

void declare(CLI::App& app, DrillArguments& arguments) {
  DrillOptions& drill = arguments.drill;
  app.add_option("DRILL", arguments.kind, "link-cut, broker-restart, disk-full or sink-restart")->required();
  app.add_option("--collector", drill.collector, "the site's collector (default tcp://127.0.0.1:5555)");
  app.add_option(
      "--destination", drill.destinations,
      "log.group of a sink that must store the frames; may be given several times (default foreframe-sink)");
  app.add_option("--command", drill.command, "restarts broker or sink; without it you are asked to");
  app.add_option("--source", drill.source, "frames to stream: a recording or sim:PRESET");
  app.add_option("--rate", drill.rate_hz, "images a second (default 50)")->check(CLI::Range(0.1, 1e6));
  app.add_option("--before", arguments.before, "undisturbed time before the fault (default 5 s)");
  app.add_option("--lasts", arguments.lasts, "how long a link is cut (default 10 s)");
  app.add_option("--after", arguments.after, "frames go on for so long after it (default 5 s)");
  app.add_option("--patience", arguments.patience, "for the last receipt (default 2 min)");
  app.add_option("--scratch", arguments.scratch,
                 "folder for the drill's spool (default: for temporary files)");
  app.add_flag("--json", arguments.json, "print the report as JSON on stdout");
  app.footer(kDrillExamples);
}

Status interpret(DrillArguments& arguments) {
  DrillOptions& drill = arguments.drill;
  FF_ASSIGN(drill.kind, parse_drill_kind(arguments.kind));
  FF_ASSIGN(drill.before, parse_duration(arguments.before));
  FF_ASSIGN(drill.lasts, parse_duration(arguments.lasts));
  FF_ASSIGN(drill.after, parse_duration(arguments.after));
  FF_ASSIGN(drill.patience, parse_duration(arguments.patience));
  drill.scratch = arguments.scratch;
  return {};
}

bool ask_operator(const std::string& sentence) {
  std::fprintf(stderr, "%s Press Enter when done, Ctrl-D to give up: ", sentence.c_str());
  std::string line;
  return static_cast<bool>(std::getline(std::cin, line));
}

void print_report(const DrillReport& report) {
  std::printf(
      "\n%s: %llu frames sent, %llu reached the agent, at most %llu records waited in the spool, all "
      "receipted %.1f s after the fault\n",
      report.passed ? "PASSED" : "FAILED", static_cast<unsigned long long>(report.frames_sent),
      static_cast<unsigned long long>(report.frames_received),
      static_cast<unsigned long long>(report.spool_records_most), report.recovery_s);
  for (const std::string& failure : report.failures) std::printf("  %s\n", failure.c_str());
}

int drill(DrillArguments& arguments) {
  if (const Status understood = interpret(arguments); !understood.ok())
    return report_error("drill", understood.error());
  service::log_setup("drill", service::LogLevel::error, "text");
  const auto tell = [](const DrillEvent& event) {
    std::fprintf(stderr, "%7.1f s  %s\n", event.at_s, event.what.c_str());
  };
  const auto report = run_drill(arguments.drill, tell, ask_operator);
  if (!report.ok()) return report_error("drill", report.error());
  if (arguments.json)
    std::fputs(to_json(*report, arguments.drill).c_str(), stdout);
  else
    print_report(*report);
  return report->passed ? kExitDone : kExitFailed;
}

}  // namespace

int drill_command(int argc, char** argv) {
  DrillArguments arguments;
  CLI::App app{
      "Breaks one thing on a live installation while simulated frames pass, and says whether all came "
      "through.",
      "foreframe drill"};
  declare(app, arguments);
  return parse_and_run(app, argc, argv, [&] { return drill(arguments); });
}

}  // namespace ff::tools
