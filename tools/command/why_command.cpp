// SPDX-License-Identifier: Apache-2.0
//
// `foreframe why SERIES FRAME`: where a frame is, or where and why it ended.
#include <cstdio>

#include <CLI/CLI.hpp>

#include "hpc_sink/store/frame_story.hpp"
#include "hpc_sink/store/hdf5_writer.hpp"
#include "tools/command/command_support.hpp"
#include "tools/command/commands.hpp"
#include "tools/command/ledger_arguments.hpp"

namespace ff::tools {
namespace {

constexpr const char* kWhyExamples =
    "Examples:\n"
    "  foreframe why 019a6b 1204             the frame's story: seen, window, groups, device, log offsets, "
    "file, seal\n"
    "  foreframe why 019a6b 1204 --json      the same for programs\n"
    "  foreframe ledger show 019a6b          which frames were lost, to ask about one of them\n"
    "Exit codes: 0 told, 64 wrong arguments, 66 no such series or frame, 74 input/output failed.\n";

int run(const LedgerArguments& arguments, std::uint64_t frame) {
  const auto chosen = choose_series(arguments);
  if (!chosen.ok()) return report_error("why", chosen.error());
  if (chosen->rows.size() != 1)
    return report_error("why", fail(Errc::invalid_argument, "'" + arguments.series + "' means " +
                                                                std::to_string(chosen->rows.size()) +
                                                                " series: write more of it"));
  if (const Status prepared = sink::prepare_hdf5(); !prepared.ok())
    return report_error("why", prepared.error());
  const auto catalogue = chosen->catalogues.of(chosen->rows.front().uid);
  if (!catalogue.ok()) return report_error("why", catalogue.error());
  const auto story = sink::tell_frame(arguments.store, **catalogue, chosen->rows.front(), frame);
  if (!story.ok()) return report_error("why", story.error());
  std::printf(
      "%s", arguments.json ? (sink::story_json(*story, 1) + "\n").c_str() : sink::story_text(*story).c_str());
  return kExitDone;
}

}  // namespace

int why_command(int argc, char** argv) {
  CLI::App app("Where a frame is, or where and why it ended: what the store knows about one frame number.",
               "foreframe why");
  LedgerArguments arguments;
  std::uint64_t frame = 0;
  app.add_option("SERIES", arguments.series, "series uid, or how it begins")->required();
  app.add_option("FRAME", frame, "frame number in the series, from 0")->required();
  app.add_option("--store", arguments.store, "folder of the sink's store (store.path)")
      ->capture_default_str();
  app.add_flag("--json", arguments.json, "for programs; see docs/formats/ledger.md");
  app.footer(kWhyExamples);
  return parse_and_run(app, argc, argv, [&] { return run(arguments, frame); });
}

}  // namespace ff::tools
