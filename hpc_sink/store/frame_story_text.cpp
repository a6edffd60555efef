// SPDX-License-Identifier: Apache-2.0
//
// Frame story for people and for programs.
#include <nlohmann/json.hpp>

#include "common/base/clock.hpp"
#include "hpc_sink/store/frame_story.hpp"
#include "kernels/codec.hpp"

namespace ff::sink {
namespace {

using Json = nlohmann::ordered_json;

template <typename Kind>
std::string words_of(std::uint32_t bits) {
  std::string words;
  for (std::uint32_t bit = 0; bit < 32; ++bit)
    if ((bits >> bit & 1) != 0)
      words += (words.empty() ? "" : " ") + std::string(kernels::to_string(static_cast<Kind>(bit)));
  return words;
}

Json time_or_null(std::int64_t utc_ns) { return utc_ns == INT64_MIN ? Json() : Json(format_utc(utc_ns)); }
std::string time_or(std::int64_t utc_ns, const char* otherwise) {
  return utc_ns == INT64_MIN ? otherwise : format_utc(utc_ns);
}

std::string clock_word(const foreframe::wire::HostClock& clock) {
  return foreframe::wire::HostClock::Source_Name(clock.source());
}

Json group_json(const foreframe::wire::WindowFacts::Group& group) {
  return {{"epoch", group.epoch()},
          {"group", group.group()},
          {"first_frame", group.first_frame()},
          {"frame_count", group.frame_count()},
          {"blocks", group.blocks()},
          {"coded_bytes", group.coded_bytes()},
          {"device", words_of<kernels::Device>(group.devices())},
          {"profile", words_of<kernels::Profile>(group.profiles())},
          {"bound", group.bound().empty() ? "exact" : group.bound()},
          {"policy_generation", group.policy_generation()}};
}

Json stream_json(const StreamStory& story) {
  Json json{{"stream", story.stream},
            {"channel", story.channel},
            {"state", state_word(story.fate.state)},
            {"stage", stage_word(story.fate.stage)},
            {"explanation", story.explanation},
            {"seen",
             {{"detector_time", time_or_null(story.times.detector_ns)},
              {"received_utc", time_or_null(story.times.received_utc_ns)},
              {"clock_source", clock_word(story.facts.clock())},
              {"clock_offset_ns", story.facts.clock().offset_ns()},
              {"clock_uncertainty_ns", story.facts.clock().uncertainty_ns()},
              {"boot_id", story.facts.boot_id()}}},
            {"window",
             {{"window", story.window},
              {"position", story.position},
              {"reported", story.reported},
              {"complete", story.complete},
              {"tiles", story.tiles}}},
            {"groups", Json::array()},
            {"agents", Json::array()}};
  for (const auto& group : story.groups) json["groups"].push_back(group_json(group));
  for (const std::string& agent : story.facts.agents()) json["agents"].push_back(agent);
  if (story.facts.first_offset() >= 0 && story.facts.read_utc_ns() != 0)
    json["log"] = {{"partition", story.facts.partition()},
                   {"first_offset", story.facts.first_offset()},
                   {"last_offset", story.facts.last_offset()},
                   {"sends", story.facts.sends()},
                   {"read_utc", format_utc(story.facts.read_utc_ns())}};
  json["log_gaps"] = Json::array();
  for (const LogGapRow& gap : story.log_gaps)
    json["log_gaps"].push_back({{"partition", gap.partition},
                                {"first_offset", gap.first_offset},
                                {"next_offset", gap.next_offset},
                                {"noticed_utc", format_utc(gap.noticed_utc_ns)}});
  for (const auto& failure : story.facts.failures())
    json["failures"].push_back({{"block", failure.block()}, {"reason", failure.reason()}});
  if (!story.file.empty()) json["file"] = {{"name", story.file}, {"row", story.row}};
  if (story.pixel_crc) json["file"]["pixel_crc32c"] = *story.pixel_crc;
  return json;
}

std::string group_text(const foreframe::wire::WindowFacts::Group& group, std::uint32_t tiles) {
  return "    coded     group " + std::to_string(group.group()) + " (frames " +
         std::to_string(group.first_frame()) + "-" +
         std::to_string(group.first_frame() + group.frame_count() - 1) + " of the window), " +
         std::to_string(group.blocks()) + " of " + std::to_string(tiles) + " tile blocks, " +
         std::to_string(group.coded_bytes()) + " bytes, device " +
         words_of<kernels::Device>(group.devices()) + ", profile " +
         words_of<kernels::Profile>(group.profiles()) + ", " +
         (group.bound().empty() ? "exact" : "bound " + group.bound()) + ", epoch " +
         std::to_string(group.epoch()) + ", policy " + std::to_string(group.policy_generation()) + "\n";
}

std::string sends_text(std::uint32_t sends) {
  if (sends == 0) return "";
  return ", sent " + std::to_string(sends) + (sends == 1 ? " time" : " times");
}

std::string gaps_text(const StreamStory& story) {
  std::string text;
  for (const LogGapRow& gap : story.log_gaps)
    text += "    log gap   partition " + std::to_string(gap.partition) + ", offsets " +
            std::to_string(gap.first_offset) + "-" + std::to_string(gap.next_offset - 1) +
            " were gone before they were read, noticed " + format_utc(gap.noticed_utc_ns) + "\n";
  return text;
}

std::string stream_text(const StreamStory& story) {
  std::string text = "  stream " + std::to_string(story.stream) +
                     (story.channel.empty() ? "" : " (" + story.channel + ")") + ": " +
                     std::string(state_word(story.fate.state)) +
                     (story.fate.stage == foreframe::wire::STAGE_NONE
                          ? ""
                          : " (" + std::string(stage_word(story.fate.stage)) + ")") +
                     "\n    " + story.explanation + "\n";
  text += "    seen      detector " + time_or(story.times.detector_ns, "did not say") + ", agent host " +
          time_or(story.times.received_utc_ns, "did not say") + ", clock " + clock_word(story.facts.clock()) +
          " +-" + std::to_string(story.facts.clock().uncertainty_ns()) + " ns\n";
  text += "    window    " + std::to_string(story.window) + ", frame " + std::to_string(story.position) +
          " of it" + (story.reported ? "" : "; its record did not come") +
          (story.complete ? "" : "; incomplete") + "\n";
  for (const auto& group : story.groups) text += group_text(group, story.tiles);
  for (const std::string& agent : story.facts.agents()) text += "    agent     " + agent + "\n";
  if (story.facts.first_offset() >= 0 && story.facts.read_utc_ns() != 0)
    text += "    log       partition " + std::to_string(story.facts.partition()) + ", offsets " +
            std::to_string(story.facts.first_offset()) + "-" + std::to_string(story.facts.last_offset()) +
            sends_text(story.facts.sends()) + ", read by " + format_utc(story.facts.read_utc_ns()) + "\n";
  text += gaps_text(story);
  for (const auto& failure : story.facts.failures())
    text += "    failure   " + failure.block() + ": " + failure.reason() + "\n";
  if (!story.file.empty())
    text += "    file      " + story.file + ", row " + std::to_string(story.row) + "\n";
  return text;
}

}  // namespace

std::string story_json(const FrameStory& story, int indent) {
  Json json{{"series_uid", story.series.uid.to_string()},
            {"detector", story.series.detector},
            {"frame", story.frame},
            {"closed", story.series.closed_utc_ns != 0},
            {"seal", Json()},
            {"streams", Json::array()}};
  if (story.seal)
    json["seal"] = {{"number", story.seal->number()},
                    {"sealed_utc", format_utc(story.seal->sealed_utc_ns())},
                    {"reason", story.seal->reason()},
                    {"sealer", story.seal->sealer()},
                    {"current", story.series.closed_utc_ns != 0}};
  for (const StreamStory& stream : story.streams) json["streams"].push_back(stream_json(stream));
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

std::string story_text(const FrameStory& story) {
  std::string text = "frame " + std::to_string(story.frame) + " of series " + story.series.uid.to_string() +
                     "  detector " + story.series.detector + "\n";
  for (const StreamStory& stream : story.streams) text += stream_text(stream);
  if (!story.seal) return text + "  not sealed yet\n";
  text += "  seal " + std::to_string(story.seal->number()) + " of " +
          format_utc(story.seal->sealed_utc_ns()) + " (" + story.seal->reason() + ") covers it" +
          (story.series.closed_utc_ns != 0 ? "\n" : "; the series is open again, and more may come\n");
  return text;
}

}  // namespace ff::sink
