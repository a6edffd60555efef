// SPDX-License-Identifier: Apache-2.0
//
// `foreframe dead list|show|export`: the records that no sink can decode, from the dead-letter topic.
// Format     docs/formats/receipts.md, "Dead letters". Reads as a follower: nothing is committed or freed.
#include <cstdio>
#include <filesystem>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "common/base/clock.hpp"
#include "common/base/uuid.hpp"
#include "common/transport/log.hpp"
#include "common/wire/envelope.hpp"
#include "tools/command/command_support.hpp"
#include "tools/command/commands.hpp"
#include "tools/recording/part_file.hpp"

namespace ff::tools {
namespace {

using nlohmann::ordered_json;

constexpr std::int64_t kPatienceNs = 10'000'000'000;

struct DeadArguments {
  DeadArguments() { log.url = "log:///var/lib/foreframe/log"; }

  transport::LogOptions log;
  std::string record;
  std::string folder = ".";
  bool json = false, force = false;
};

std::string place_of(const transport::LogRecord& record) {
  return std::to_string(record.position.partition) + ":" + std::to_string(record.position.offset);
}

// Calls `each` for every dead letter that is in the log now, or for the one that was named.
Status read_letters(const DeadArguments& arguments,
                    const std::function<Status(const transport::LogRecord&)>& each) {
  FF_ASSIGN(const auto reader,
            transport::open_log_follower(arguments.log, "foreframe-dead", {transport::Topic::dead}));
  std::int64_t idle_since_ns = monotonic_now_ns();
  std::uint64_t found = 0;
  while (!reader->caught_up()) {
    if (monotonic_now_ns() - idle_since_ns > kPatienceNs)
      return fail(Errc::timed_out, "reading " + arguments.log.url + ": " + reader->trouble());
    auto record = reader->poll(std::chrono::milliseconds(100));
    if (!record.ok()) std::fprintf(stderr, "foreframe dead: %s\n", record.error().message.c_str());
    if (!record.ok() || !*record) continue;
    idle_since_ns = monotonic_now_ns();
    if (!arguments.record.empty() && place_of(**record) != arguments.record) continue;
    ++found;
    FF_TRY(each(**record));
  }
  if (found == 0 && !arguments.record.empty())
    return fail(Errc::not_found, "no dead letter at " + arguments.record + "; see `foreframe dead list`");
  return {};
}

ordered_json describe_letter(const transport::LogRecord& record, bool in_full) {
  const std::size_t feed = record.key.find('\n');
  ordered_json json{{"record", place_of(record)},
                    {"reason", feed == std::string::npos ? "" : record.key.substr(feed + 1)},
                    {"key", record.key.substr(0, feed)},
                    {"bytes", record.value.size()}};
  const auto parsed = wire::parse_envelope_head(record.value.bytes());
  if (!parsed.ok()) {
    json["envelope"] = parsed.error().message;
    return json;
  }
  json["envelope"] = wire::describe(parsed->header);
  if (!in_full) return json;
  json["payload_bytes"] = parsed->payload.size();
  json["payload_intact"] = parsed->payload_intact;
  json["agent"] = parsed->header.agent();
  json["epoch"] = parsed->header.epoch();
  json["header"] = parsed->header.ShortDebugString();
  return json;
}

std::string text_of(const ordered_json& letter, bool in_full) {
  const auto word = [&](const char* name) { return letter.at(name).get<std::string>(); };
  if (!in_full) return word("record") + "  " + word("envelope") + "  " + word("reason") + "\n";
  std::string text;
  for (const auto& [name, value] : letter.items())
    text += name + ": " + (value.is_string() ? value.get<std::string>() : value.dump()) + "\n";
  return text;
}

int print_letters(const DeadArguments& arguments, bool in_full) {
  ordered_json list = ordered_json::array();
  const Status read = read_letters(arguments, [&](const transport::LogRecord& record) {
    const ordered_json letter = describe_letter(record, in_full);
    if (arguments.json)
      list.push_back(letter);
    else
      std::fputs(text_of(letter, in_full).c_str(), stdout);
    return Status{};
  });
  if (!read.ok()) return report_error("dead", read.error());
  if (arguments.json)
    std::printf("%s\n", list.dump(1, ' ', false, ordered_json::error_handler_t::replace).c_str());
  return kExitDone;
}

Status write_file(const std::string& path, ByteSpan bytes, bool force) {
  FF_ASSIGN(PartFile file, PartFile::create(path, force));
  FF_TRY(file.write(bytes));
  return file.commit();
}

// The envelope as it came; and what is in it, for `foreframe inspect`.
Status export_letter(const DeadArguments& arguments, const transport::LogRecord& record) {
  const std::string name =
      (std::filesystem::path(arguments.folder) /
       ("dead-" + std::to_string(record.position.partition) + "-" + std::to_string(record.position.offset)))
          .string();
  FF_TRY(write_file(name + ".envelope", record.value.bytes(), arguments.force));
  const auto parsed = wire::parse_envelope_head(record.value.bytes());
  if (parsed.ok() && parsed->header.has_block())
    FF_TRY(write_file(name + ".block", parsed->payload, arguments.force));
  if (!arguments.json) std::printf("%s.envelope\n", name.c_str());
  return {};
}

int export_letters(const DeadArguments& arguments) {
  std::error_code code;
  std::filesystem::create_directories(arguments.folder, code);
  std::uint64_t written = 0;
  const Status read = read_letters(arguments, [&](const transport::LogRecord& record) {
    ++written;
    return export_letter(arguments, record);
  });
  if (!read.ok()) return report_error("dead", read.error());
  if (arguments.json) std::printf("{\"records\": %llu}\n", static_cast<unsigned long long>(written));
  return kExitDone;
}

}  // namespace

int dead_command(int argc, char** argv) {
  CLI::App app("Records that no sink can decode, with the reason: the dead-letter topic.", "foreframe dead");
  DeadArguments arguments;
  app.require_subcommand(1);
  CLI::App* const list = app.add_subcommand("list", "all dead letters, a line each");
  CLI::App* const show = app.add_subcommand("show", "what one record's header says; without RECORD all");
  CLI::App* const write = app.add_subcommand("export", "records into files, byte for byte as they came");
  for (CLI::App* const command : {show, write})
    command->add_option("RECORD", arguments.record, "PARTITION:OFFSET as in the list");
  write->add_option("--out", arguments.folder, "folder for the files")->capture_default_str();
  write->add_flag("--force", arguments.force, "overwrite files of an earlier export");
  for (CLI::App* const command : {list, show, write}) {
    command->add_option("--log", arguments.log.url, "kafka://... or log:///... as log.url of the sink")
        ->capture_default_str();
    command->add_option("--topic-prefix", arguments.log.topic_prefix, "as log.topic_prefix of the sink")
        ->capture_default_str();
    command->add_flag("--json", arguments.json, "for programs; see docs/formats/receipts.md");
  }
  return parse_and_run(app, argc, argv, [&] {
    return write->parsed() ? export_letters(arguments) : print_letters(arguments, show->parsed());
  });
}

}  // namespace ff::tools
