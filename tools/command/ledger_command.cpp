// SPDX-License-Identifier: Apache-2.0
//
// `foreframe ledger list|show`: what became of every frame, from a sink's catalogue, also while the sink
// runs.
#include <cstdio>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "hpc_sink/store/ledger.hpp"
#include "hpc_sink/store/series_store.hpp"
#include "tools/command/command_support.hpp"
#include "tools/command/commands.hpp"

namespace ff::tools {
namespace {

struct LedgerArguments {
  std::string store = "/var/lib/foreframe/store";
  std::string series;
  bool json = false;
};

Result<std::vector<sink::SeriesLedger>> load(const LedgerArguments& arguments) {
  FF_ASSIGN(const auto catalogue, sink::Catalogue::open_read_only(sink::catalogue_path(arguments.store)));
  FF_ASSIGN(const std::vector<sink::SeriesRow> rows, catalogue->series());
  std::vector<sink::SeriesLedger> ledgers;
  for (const sink::SeriesRow& row : rows) {
    if (!arguments.series.empty() && !row.uid.to_string().starts_with(arguments.series)) continue;
    FF_ASSIGN(sink::SeriesLedger ledger, sink::build_ledger(*catalogue, row));
    ledgers.push_back(std::move(ledger));
  }
  if (ledgers.empty() && !arguments.series.empty())
    return fail(Errc::not_found, "no series '" + arguments.series + "' in " + arguments.store);
  return ledgers;
}

void print_list(const std::vector<sink::SeriesLedger>& ledgers, bool json) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const sink::SeriesLedger& ledger : ledgers) {
    std::uint64_t expected = 0, stored = 0;
    for (const sink::StreamLedger& stream : ledger.streams) {
      expected += stream.expected;
      stored += stream.count(foreframe::wire::STORED_EXACT) + stream.count(foreframe::wire::STORED_BOUNDED);
    }
    const char* const state = ledger.series.closed_utc_ns == 0 ? "open"
                              : ledger.closes()                ? "closes"
                                                               : "does not close";
    if (json)
      list.push_back({{"series_uid", ledger.series.uid.to_string()},
                      {"detector", ledger.series.detector},
                      {"expected", expected},
                      {"stored", stored},
                      {"closed", ledger.series.closed_utc_ns != 0},
                      {"closes", ledger.closes()},
                      {"master", ledger.series.master}});
    else
      std::printf("%s  %-16s %10llu of %10llu frames stored  %s\n", ledger.series.uid.to_string().c_str(),
                  ledger.series.detector.c_str(), static_cast<unsigned long long>(stored),
                  static_cast<unsigned long long>(expected), state);
  }
  if (json)
    std::printf("%s\n", list.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace).c_str());
}

// The newest series when none was named: UUIDv7 sorts by time.
void print_one(const std::vector<sink::SeriesLedger>& ledgers, const LedgerArguments& arguments) {
  const bool all = !arguments.series.empty();
  for (std::size_t i = all ? 0 : ledgers.size() - 1; i < ledgers.size(); ++i)
    std::printf("%s\n", arguments.json ? sink::ledger_json(ledgers[i], 1).c_str()
                                       : sink::ledger_text(ledgers[i]).c_str());
}

int run(const LedgerArguments& arguments, bool list) {
  const auto ledgers = load(arguments);
  if (!ledgers.ok()) return report_error("ledger", ledgers.error());
  if (list) {
    print_list(*ledgers, arguments.json);
  } else if (ledgers->empty()) {
    return report_error("ledger", fail(Errc::not_found, "the store " + arguments.store + " holds no series"));
  } else {
    print_one(*ledgers, arguments);
  }
  return kExitDone;
}

}  // namespace

int ledger_command(int argc, char** argv) {
  CLI::App app("What became of every frame of a series: stored, damaged, lost and where, not acquired.",
               "foreframe ledger");
  LedgerArguments arguments;
  app.require_subcommand(1);
  CLI::App* const show = app.add_subcommand("show", "one series in full; without SERIES the newest");
  CLI::App* const list = app.add_subcommand("list", "all series of a store, a line each");
  show->add_option("SERIES", arguments.series, "series uid, or how it begins");
  for (CLI::App* const command : {show, list}) {
    command->add_option("--store", arguments.store, "folder of the sink's store (store.path)")
        ->capture_default_str();
    command->add_flag("--json", arguments.json, "for programs; see docs/formats/ledger.md");
  }
  return parse_and_run(app, argc, argv, [&] { return run(arguments, list->parsed()); });
}

}  // namespace ff::tools
