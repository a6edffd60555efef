// SPDX-License-Identifier: Apache-2.0
//
// The journal's contents as JSON.
#include "agent/window/journal_contents.hpp"

#include <fstream>

#include <nlohmann/json.hpp>

namespace ff::agent {
namespace {

using Json = nlohmann::json;

constexpr int kJournalVersion = 2;

Json to_json(const JournalledSeries& series) {
  Json streams = Json::array();
  for (const JournalledStream& stream : series.streams)
    streams.push_back({{"rows", stream.shape.rows},
                       {"cols", stream.shape.cols},
                       {"dtype", std::string(dtype_name(stream.shape.dtype))},
                       {"channel", stream.channel}});
  Json json{{"uid", series.uid.to_string()},
            {"detector_series", series.key.id},
            {"detector_unique_id", series.key.unique_id},
            {"window_frames", series.plan.window_frames},
            {"group_frames", series.plan.group_frames},
            {"group_frames_most", series.plan.group_frames_most},
            {"reorder_frames", series.plan.reorder_frames},
            {"tile_rows", series.plan.tile_rows},
            {"tile_cols", series.plan.tile_cols},
            {"streams", streams}};
  if (series.images_expected) json["images_expected"] = *series.images_expected;
  return json;
}

/// Throws nlohmann's exceptions on missing or wrong members; the caller turns them into `malformed`.
JournalledSeries series_from(const Json& json) {
  JournalledSeries series;
  auto uid = Uuid::parse(json.at("uid").get<std::string>());
  if (!uid.ok()) throw std::invalid_argument(uid.error().message);
  series.uid = *uid;
  series.key = {json.at("detector_series").get<std::uint64_t>(),
                json.at("detector_unique_id").get<std::string>()};
  auto& plan = series.plan;
  plan.window_frames = json.at("window_frames").get<std::uint32_t>();
  plan.group_frames = json.at("group_frames").get<std::uint32_t>();
  plan.group_frames_most = json.value("group_frames_most", plan.group_frames);  // 0.1.0 had no such
  plan.reorder_frames = json.at("reorder_frames").get<std::uint32_t>();
  plan.tile_rows = json.at("tile_rows").get<std::uint32_t>();
  plan.tile_cols = json.at("tile_cols").get<std::uint32_t>();
  for (const Json& entry : json.at("streams")) {
    const auto dtype = parse_dtype(entry.at("dtype").get<std::string>());
    if (!dtype) throw std::invalid_argument("dtype");
    series.streams.push_back(
        {{*dtype, entry.at("rows").get<std::uint32_t>(), entry.at("cols").get<std::uint32_t>()},
         entry.at("channel").get<std::string>()});
  }
  if (json.contains("images_expected"))
    series.images_expected = json.at("images_expected").get<std::uint64_t>();
  if (plan.window_frames < 1 || plan.window_frames > 64 || plan.group_frames < 1 ||
      plan.group_frames > plan.group_frames_most || plan.group_frames_most > plan.window_frames ||
      plan.tile_rows == 0 || plan.tile_cols == 0 || series.streams.empty())
    throw std::invalid_argument("window plan");
  return series;
}

/// Throws as series_from() does.
JournalContents contents_from(const Json& json) {
  JournalContents contents;
  contents.epoch = json.at("epoch").get<std::uint64_t>();
  contents.version = json.value("version_in_epoch", std::uint64_t{0});
  const Json& series = json.contains("series") ? json.at("series") : Json::array();
  if (series.is_object()) contents.series.push_back(series_from(series));  // version 1 knew one at most
  if (series.is_array())
    for (const Json& entry : series) contents.series.push_back(series_from(entry));
  return contents;
}

}  // namespace

std::string journal_text(const JournalContents& contents) {
  Json json{{"version", kJournalVersion}, {"epoch", contents.epoch}, {"version_in_epoch", contents.version}};
  json["series"] = Json::array();
  for (const JournalledSeries& series : contents.series) json["series"].push_back(to_json(series));
  return json.dump(1);
}

Result<std::optional<JournalContents>> read_journal(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) return std::optional<JournalContents>{};
  const Json json = Json::parse(file, nullptr, false);
  try {
    const int version = json.at("version").get<int>();
    if (version < 1 || version > kJournalVersion)
      return fail(Errc::unsupported_version, path.string() + " is of another version of the agent");
    return std::optional(contents_from(json));
  } catch (const std::exception& damage) {
    return fail(Errc::malformed, path.string() + " is damaged (" + damage.what() +
                                     "); move it away to start afresh, what is spooled is still sent");
  }
}

}  // namespace ff::agent
