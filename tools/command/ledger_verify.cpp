// SPDX-License-Identifier: Apache-2.0
//
// `foreframe ledger verify` and `key`: does what lies here say what was sealed, and who signs.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <nlohmann/json.hpp>

#include "common/base/clock.hpp"
#include "common/base/uuid.hpp"
#include "hpc_sink/seal/ledger_check.hpp"
#include "hpc_sink/seal/merkle_tree.hpp"
#include "hpc_sink/seal/published_seals.hpp"
#include "hpc_sink/store/hdf5_writer.hpp"
#include "tools/command/command_support.hpp"
#include "tools/command/ledger_arguments.hpp"

namespace ff::tools {
namespace {

using Json = nlohmann::ordered_json;

Result<sink::CheckOptions> check_options(const LedgerArguments& arguments) {
  sink::CheckOptions options;
  options.deep = arguments.deep;
  if (arguments.key.empty()) return options;
  std::string text = arguments.key;
  if (std::filesystem::exists(text)) {
    std::ifstream file(text, std::ios::binary);
    text.assign(std::istreambuf_iterator<char>(file), {});
  }
  FF_ASSIGN(options.key, sink::parse_public_key(text));
  return options;
}

Json counts_json(const sink::SealBody::StreamCounts& c) {
  return {{"stream", c.stream()},
          {"channel", c.channel()},
          {"expected", c.expected()},
          {"end_known", c.end_known()},
          {"stored_exact", c.stored_exact()},
          {"stored_bounded", c.stored_bounded()},
          {"summarised", c.summarised()},
          {"vetoed", c.vetoed()},
          {"damaged", c.damaged()},
          {"lost", c.lost()},
          {"not_acquired", c.not_acquired()},
          {"open", c.open()}};
}

Json body_json(const sink::SealBody& body) {
  Json json{{"number", body.number()},
            {"reason", body.reason()},
            {"sealed_utc", format_utc(body.sealed_utc_ns())},
            {"sealer", body.sealer()},
            {"destination", body.destination()},
            {"merkle_root", sink::to_hex(body.merkle_root())},
            {"leaves", body.leaves()},
            {"previous_seal_sha256", sink::to_hex(body.previous_seal_sha256())},
            {"detector_seal_sha256", sink::to_hex(body.detector_seal_sha256())},
            {"streams", Json::array()}};
  for (const auto& stream : body.streams()) json["streams"].push_back(counts_json(stream));
  return json;
}

std::string uid_of(const sink::SealBody& body) {
  const auto uid = Uuid::from_bytes(as_bytes(body.series_uid()));
  return uid.ok() ? uid->to_string() : "?";
}

Json check_json(const std::string& what, const sink::LedgerCheck& check) {
  Json json{{"what", what}, {"holds", check.holds()}, {"broken", check.broken}, {"notes", check.notes}};
  if (check.body) {
    json["series_uid"] = uid_of(*check.body);
    json["detector"] = check.body->detector();
    json["seal"] = body_json(*check.body);
  }
  json["public_key"] = check.public_key;
  json["checked"] = {{"seals", check.seals},
                     {"windows", check.leaves},
                     {"files", check.files},
                     {"frames", check.frames},
                     {"pixels", check.decoded}};
  return json;
}

std::string counts_text(const sink::SealBody::StreamCounts& c) {
  std::string text =
      "  stream " + std::to_string(c.stream()) + ": expected " + std::to_string(c.expected()) + " =";
  bool first = true;
  for (const auto& [word, count] : {std::pair("stored_exact", c.stored_exact()),
                                    {"stored_bounded", c.stored_bounded()},
                                    {"summarised", c.summarised()},
                                    {"vetoed", c.vetoed()},
                                    {"damaged", c.damaged()},
                                    {"lost", c.lost()},
                                    {"not_acquired", c.not_acquired()}}) {
    if (count == 0) continue;
    text += std::string(first ? " " : " + ") + std::to_string(count) + " " + word;
    first = false;
  }
  if (first) text += " 0";
  if (c.open() > 0)
    text += "; of the lost, " + std::to_string(c.open()) + " are in windows of which no record came";
  if (!c.end_known()) text += "; its end was not known";
  return text + "\n";
}

std::string body_text(const sink::SealBody& body, const std::string& public_key) {
  std::string text = "series " + uid_of(body) + "  detector " + body.detector() + "\n  seal " +
                     std::to_string(body.number()) + " of " + format_utc(body.sealed_utc_ns()) + ", " +
                     body.reason() + ", by " + body.sealer() + " for " + body.destination() + "\n  root " +
                     sink::to_hex(body.merkle_root()) + " over " + std::to_string(body.leaves()) +
                     " windows\n  signed by " + public_key + "\n";
  for (const auto& stream : body.streams()) text += counts_text(stream);
  return text;
}

void print_check(const std::string& what, const sink::LedgerCheck& check, const LedgerArguments& arguments) {
  std::string text = check.body ? body_text(*check.body, check.public_key) : what + "\n";
  text += "  checked " + std::to_string(check.seals) + " seals, " + std::to_string(check.leaves) +
          " windows, " + std::to_string(check.files) + " files, " + std::to_string(check.frames) +
          (check.decoded ? " frames with their pixels\n" : " frames (their pixels with --deep)\n");
  if (arguments.key.empty())
    text += "  note: the signing key was not compared with one you trust; see --key\n";
  for (const std::string& note : check.notes) text += "  note: " + note + "\n";
  for (const std::string& broken : check.broken) text += "  BROKEN " + broken + "\n";
  text += check.holds() ? "  holds\n" : "  DOES NOT HOLD\n";
  std::fputs(text.c_str(), stdout);
}

struct Verdicts {
  Json json = Json::array();
  int exit_code = kExitDone;
};

void take(Verdicts& verdicts, const std::string& what, const Result<sink::LedgerCheck>& check,
          const LedgerArguments& arguments) {
  if (!check.ok()) {
    const int code = report_error("ledger verify", check.error());
    const bool unsealed = check.error().code == Errc::not_found && !is_master_file(arguments);
    if (verdicts.exit_code != kExitBroken) verdicts.exit_code = unsealed ? kExitNotYet : code;
    return;
  }
  if (!check->holds()) verdicts.exit_code = kExitBroken;
  if (arguments.json)
    verdicts.json.push_back(check_json(what, *check));
  else
    print_check(what, *check, arguments);
}

int finish(const Verdicts& verdicts, const LedgerArguments& arguments) {
  if (arguments.json)
    std::printf("%s\n", verdicts.json.dump(1, ' ', false, Json::error_handler_t::replace).c_str());
  return verdicts.exit_code;
}

Result<std::vector<sink::Seal>> topic_seals(const LedgerArguments& arguments) {
  transport::LogOptions options;
  options.url = arguments.log_url;
  options.topic_prefix = arguments.topic_prefix;
  FF_ASSIGN(const auto reader,
            transport::open_log_follower(options, "foreframe-ledger", {transport::Topic::ledger}));
  return sink::read_published_seals(*reader);
}

bool meant(const sink::Seal& seal, const std::string& series) {
  sink::SealBody body;
  return body.ParseFromString(seal.body()) && uid_of(body).starts_with(series);
}

// Those that the store has of the same series; none where there is no such store.
std::vector<sink::Seal> seals_here(const LedgerArguments& arguments, const sink::Seal& published) {
  sink::SealBody body;
  std::vector<sink::Seal> seals;
  const auto catalogues = sink::StoreCatalogues::open(arguments.store);
  if (!catalogues.ok() || !body.ParseFromString(published.body())) return seals;
  const auto uid = Uuid::from_bytes(as_bytes(body.series_uid()));
  if (!uid.ok()) return seals;
  const auto catalogue = catalogues->of(*uid);
  if (!catalogue.ok()) return seals;
  const auto rows = (*catalogue)->seals(*uid);
  if (!rows.ok()) return seals;
  for (const sink::SealRow& row : *rows) seals.push_back(row.seal);
  return seals;
}

int verify_topic(const LedgerArguments& arguments, const sink::CheckOptions& options) {
  const auto seals = topic_seals(arguments);
  if (!seals.ok()) return report_error("ledger verify", seals.error());
  Verdicts verdicts;
  std::size_t found = 0;
  for (const sink::Seal& seal : *seals) {
    if (!meant(seal, arguments.series)) continue;
    ++found;
    const std::vector<sink::Seal> here = seals_here(arguments, seal);
    sink::LedgerCheck check = sink::check_published(seal, here, options);
    if (here.empty()) check.notes.emplace_back("no store with this series was compared; see --store");
    take(verdicts, arguments.log_url, check, arguments);
  }
  if (found == 0)
    return report_error("ledger verify", fail(Errc::not_found, "no seal of such a series in the topic"));
  return finish(verdicts, arguments);
}

int verify_store(const LedgerArguments& arguments, const sink::CheckOptions& options) {
  const auto chosen = choose_series(arguments);
  if (!chosen.ok()) return report_error("ledger verify", chosen.error());
  if (chosen->rows.empty())
    return report_error("ledger verify",
                        fail(Errc::not_found, "the store " + arguments.store + " holds no series"));
  Verdicts verdicts;
  for (const sink::SeriesRow& row : chosen->rows) {
    const auto catalogue = chosen->catalogues.of(row.uid);
    if (!catalogue.ok()) return report_error("ledger verify", catalogue.error());
    take(verdicts, row.uid.to_string(), sink::check_store(arguments.store, **catalogue, row, options),
         arguments);
  }
  return finish(verdicts, arguments);
}

}  // namespace

int ledger_verify(const LedgerArguments& arguments) {
  const auto options = check_options(arguments);
  if (!options.ok()) return report_error("ledger verify", options.error());
  if (const Status prepared = sink::prepare_hdf5(); !prepared.ok())
    return report_error("ledger verify", prepared.error());
  if (!arguments.log_url.empty()) return verify_topic(arguments, *options);
  if (!is_master_file(arguments)) return verify_store(arguments, *options);
  Verdicts verdicts;
  take(verdicts, arguments.series, sink::check_master(arguments.series, *options), arguments);
  return finish(verdicts, arguments);
}

int ledger_key(const LedgerArguments& arguments) {
  const std::filesystem::path folder = std::filesystem::path(arguments.store) / "keys";
  std::vector<std::filesystem::path> files;
  if (!arguments.key.empty()) {
    files.emplace_back(arguments.key);
  } else {
    std::error_code code;
    for (const auto& entry : std::filesystem::directory_iterator(folder, code))
      if (entry.path().extension() == ".pem") files.push_back(entry.path());
    if (files.empty())
      return report_error("ledger key",
                          fail(Errc::not_found, "no key in " + folder.string() +
                                                    ": give the file (seal.key_file) with --key-file"));
  }
  for (const auto& file : files) {
    const auto key = sink::SealKey::load(file);
    if (!key.ok()) return report_error("ledger key", key.error());
    if (arguments.pem)
      std::fputs(sink::to_pem(key->public_key()).c_str(), stdout);
    else
      std::printf("%s  %s\n", sink::to_text(key->public_key()).c_str(), file.c_str());
  }
  return kExitDone;
}

int ledger_from_topic(const LedgerArguments& arguments, bool list) {
  const auto seals = topic_seals(arguments);
  if (!seals.ok()) return report_error("ledger", seals.error());
  Json json = Json::array();
  for (const sink::Seal& seal : *seals) {
    sink::SealBody body;
    if (!meant(seal, arguments.series) || !body.ParseFromString(seal.body())) continue;
    Json one = body_json(body);
    one["series_uid"] = uid_of(body);
    one["detector"] = body.detector();
    json.push_back(one);
    const auto key = sink::seal_public_key(seal);
    if (arguments.json) continue;
    if (list)
      std::printf("%s  %-16s seal %u, %s\n", uid_of(body).c_str(), body.detector().c_str(), body.number(),
                  body.reason().c_str());
    else
      std::fputs(body_text(body, key.ok() ? sink::to_text(*key) : "?").c_str(), stdout);
  }
  if (arguments.json) std::printf("%s\n", json.dump(1, ' ', false, Json::error_handler_t::replace).c_str());
  return json.empty() ? kExitNoInput : kExitDone;
}

}  // namespace ff::tools
