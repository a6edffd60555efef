// SPDX-License-Identifier: Apache-2.0
//
// `foreframe ledger list|show|verify|key`: what became of every frame, from a sink's catalogue, also while the sink
// runs. Verify and key: ledger_verify.cpp.
#include <cstdio>
#include <filesystem>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "hpc_sink/store/ledger.hpp"
#include "tools/command/command_support.hpp"
#include "tools/command/commands.hpp"
#include "tools/command/ledger_arguments.hpp"

namespace ff::tools {
namespace {

constexpr const char* kLedgerExamples =
    "Examples:\n"
    "  foreframe ledger list                                    every series of the store, a line each\n"
    "  foreframe ledger show 019a6b                             what became of each frame\n"
    "  foreframe ledger key                                     who signs: keep this line where nobody "
    "changes it\n"
    "  foreframe ledger verify --key beamline.pub               all series: seals, windows, files\n"
    "  foreframe ledger verify 019a6b --deep                    and every pixel\n"
    "  foreframe ledger verify 019a.../eiger_master.h5 --deep   from the files alone\n"
    "  foreframe ledger verify --log kafka://broker:9092        the seals in the ledger topic\n"
    "Exit codes of verify: 0 all holds, 1 something contradicts its seal, 64 wrong arguments, 65 an input "
    "can't be read,\n"
    "66 an input is not there, 69 the log can't be reached, 74 input/output failed, 75 not sealed yet.\n";

struct ShownLedger {
  sink::SeriesLedger ledger;
  std::uint32_t seal = 0;  ///< number of the last seal; 0: none
};

Result<std::vector<ShownLedger>> load(const LedgerArguments& arguments) {
  FF_ASSIGN(const ChosenSeries chosen, choose_series(arguments));
  std::vector<ShownLedger> ledgers;
  for (const sink::SeriesRow& row : chosen.rows) {
    FF_ASSIGN(const auto catalogue, chosen.catalogues.of(row.uid));
    FF_ASSIGN(sink::SeriesLedger ledger, sink::build_ledger(*catalogue, row));
    FF_ASSIGN(const std::vector<sink::SealRow> seals, catalogue->seals(row.uid));
    ledgers.push_back({std::move(ledger), seals.empty() ? 0 : seals.back().number});
  }
  return ledgers;
}

nlohmann::ordered_json seal_json(const ShownLedger& shown) {
  return shown.seal == 0 ? nlohmann::ordered_json() : nlohmann::ordered_json(shown.seal);
}

void print_list(const std::vector<ShownLedger>& ledgers, bool json) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const ShownLedger& shown : ledgers) {
    const sink::SeriesLedger& ledger = shown.ledger;
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
                      {"seal", seal_json(shown)},
                      {"master", ledger.series.master}});
    else
      std::printf("%s  %-16s %10llu of %10llu frames stored  %s%s\n", ledger.series.uid.to_string().c_str(),
                  ledger.series.detector.c_str(), static_cast<unsigned long long>(stored),
                  static_cast<unsigned long long>(expected), state,
                  shown.seal == 0 ? "" : (", seal " + std::to_string(shown.seal)).c_str());
  }
  if (json)
    std::printf("%s\n", list.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace).c_str());
}

std::string shown_json(const ShownLedger& shown) {
  auto json = nlohmann::ordered_json::parse(sink::ledger_json(shown.ledger, 0));
  json["seal"] = seal_json(shown);
  return json.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string shown_text(const ShownLedger& shown) {
  return sink::ledger_text(shown.ledger) +
         (shown.seal == 0 ? "  not sealed\n"
                          : "  seal " + std::to_string(shown.seal) + "; see ledger verify\n");
}

// The newest series when none was named: UUIDv7 sorts by time.
void print_one(const std::vector<ShownLedger>& ledgers, const LedgerArguments& arguments) {
  const bool all = !arguments.series.empty();
  for (std::size_t i = all ? 0 : ledgers.size() - 1; i < ledgers.size(); ++i)
    std::printf("%s\n", arguments.json ? shown_json(ledgers[i]).c_str() : shown_text(ledgers[i]).c_str());
}

int show(const LedgerArguments& arguments, bool list) {
  if (!arguments.log_url.empty()) return ledger_from_topic(arguments, list);
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

void add_place(CLI::App& command, LedgerArguments& arguments) {
  command.add_option("--store", arguments.store, "folder of the sink's store (store.path)")
      ->capture_default_str();
}

void add_topic(CLI::App& command, LedgerArguments& arguments) {
  command.add_option("--log", arguments.log_url,
                     "read the seals of the ledger topic instead: kafka://... or log:///...");
  command.add_option("--topic-prefix", arguments.topic_prefix, "log.topic_prefix of the site")
      ->capture_default_str();
  command.add_flag("--json", arguments.json, "for programs; see docs/formats/ledger.md");
}

CLI::App* add_verify(CLI::App& app, LedgerArguments& arguments) {
  CLI::App* const verify =
      app.add_subcommand("verify", "do catalogue, master, files and pixels say what was sealed");
  verify->add_option("SERIES|FILE", arguments.series,
                     "series uid, or how it begins, or a master file; without it all series of the store");
  verify->add_option("--key", arguments.key,
                     "public key that must have signed: \"ed25519:...\", or a file with it or in PEM");
  verify->add_flag("--deep", arguments.deep,
                   "decode every frame of the data files and compare its pixels' CRC");
  add_place(*verify, arguments);
  add_topic(*verify, arguments);
  return verify;
}

}  // namespace

Result<ChosenSeries> choose_series(const LedgerArguments& arguments) {
  ChosenSeries chosen;
  FF_ASSIGN(chosen.catalogues, sink::StoreCatalogues::open(arguments.store));
  FF_ASSIGN(std::vector<sink::SeriesRow> rows, chosen.catalogues.series());
  for (sink::SeriesRow& row : rows)
    if (row.uid.to_string().starts_with(arguments.series)) chosen.rows.push_back(std::move(row));
  if (chosen.rows.empty() && !arguments.series.empty())
    return fail(Errc::not_found, "no series '" + arguments.series + "' in " + arguments.store);
  return chosen;
}

bool is_master_file(const LedgerArguments& arguments) {
  std::error_code ignored;
  return !arguments.series.empty() && (std::filesystem::is_regular_file(arguments.series, ignored) ||
                                       arguments.series.find(".h5") != std::string::npos);
}

int ledger_command(int argc, char** argv) {
  CLI::App app(
      "What became of every frame of a series (stored, damaged, lost and where, not acquired), and its "
      "seals.",
      "foreframe ledger");
  LedgerArguments arguments;
  app.require_subcommand(1);
  app.footer(kLedgerExamples);
  CLI::App* const one = app.add_subcommand("show", "one series in full; without SERIES the newest");
  CLI::App* const list = app.add_subcommand("list", "all series of a store, a line each");
  one->add_option("SERIES", arguments.series, "series uid, or how it begins");
  for (CLI::App* const command : {one, list}) {
    add_place(*command, arguments);
    add_topic(*command, arguments);
  }
  CLI::App* const verify = add_verify(app, arguments);
  CLI::App* const key = app.add_subcommand("key", "the public keys of the sinks that sign in this store");
  add_place(*key, arguments);
  key->add_option("--key-file", arguments.key, "the sink's seal.key_file, where it is elsewhere");
  key->add_flag("--pem", arguments.pem, "as PEM, for openssl");
  return parse_and_run(app, argc, argv, [&] {
    if (verify->parsed()) return ledger_verify(arguments);
    if (key->parsed()) return ledger_key(arguments);
    return show(arguments, list->parsed());
  });
}

}  // namespace ff::tools
