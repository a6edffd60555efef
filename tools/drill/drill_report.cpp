// SPDX-License-Identifier: Apache-2.0
//
// The drill in words: its kinds as the command line has them, its report as JSON.
#include <array>
#include <utility>

#include <nlohmann/json.hpp>

#include "tools/drill/drill.hpp"

namespace ff::tools {
namespace {

constexpr std::array kKinds{
    std::pair{"link-cut", DrillKind::link_cut}, std::pair{"broker-restart", DrillKind::broker_restart},
    std::pair{"disk-full", DrillKind::disk_full}, std::pair{"sink-restart", DrillKind::sink_restart}};

const char* word_of(DrillKind kind) {
  for (const auto& [word, known] : kKinds)
    if (known == kind) return word;
  return "";
}

}  // namespace

Result<DrillKind> parse_drill_kind(const std::string& word) {
  for (const auto& [known, kind] : kKinds)
    if (word == known) return kind;
  return fail(Errc::invalid_argument, "there is no drill '" + word +
                                          "'; there are link-cut, broker-restart, disk-full, sink-restart");
}

std::string to_json(const DrillReport& report, const DrillOptions& options) {
  nlohmann::ordered_json events = nlohmann::ordered_json::array();
  for (const DrillEvent& event : report.events)
    events.push_back({{"at_s", event.at_s}, {"what", event.what}});
  return nlohmann::ordered_json{{"drill", word_of(options.kind)},
                                {"passed", report.passed},
                                {"failures", report.failures},
                                {"frames_sent", report.frames_sent},
                                {"frames_received", report.frames_received},
                                {"spool_records_most", report.spool_records_most},
                                {"recovery_s", report.recovery_s},
                                {"events", events}}
             .dump(1) +
         "\n";
}

}  // namespace ff::tools
