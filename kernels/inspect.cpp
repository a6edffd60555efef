// SPDX-License-Identifier: Apache-2.0
//
// inspect_block: what a block says about itself, for people and scripts.
#include <algorithm>
#include <cstdio>

#include "kernels/codec.hpp"
#include "kernels/format/block_header.hpp"
#include "kernels/format/sections.hpp"

namespace ff::kernels {
namespace {

std::string_view kind_name(BlockKind kind) noexcept {
  switch (kind) {
    case BlockKind::stored: return "stored";
    case BlockKind::raw_zstd: return "raw_zstd";
    case BlockKind::predicted: return "predicted";
  }
  return "invalid";
}

std::string hex(std::uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "\"0x%llx\"", static_cast<unsigned long long>(value));
  return text;
}

// All values are numbers or words of our own, so nothing needs escaping.
class JsonObject {
 public:
  JsonObject& number(std::string_view key, std::uint64_t value) { return put(key, std::to_string(value)); }
  JsonObject& word(std::string_view key, std::string_view value) {
    text_ += separator();
    text_.append("\"").append(key).append("\":\"").append(value).append("\"");
    return *this;
  }
  JsonObject& put(std::string_view key, std::string_view value) {
    text_ += separator();
    text_.append("\"").append(key).append("\":").append(value);
    return *this;
  }
  [[nodiscard]] std::string close() { return text_ + "}"; }

 private:
  [[nodiscard]] char separator() const noexcept { return text_.empty() ? '{' : ','; }
  std::string text_;
};

JsonObject summary(const BlockHeader& header) {
  JsonObject json;
  json.put("version", "\"0.2\"")
      .word("kind", kind_name(header.kind))
      .word("profile", to_string(header.profile))
      .word("dtype", dtype_name(header.tile.dtype))
      .number("rows", header.tile.rows)
      .number("cols", header.tile.cols)
      .number("first_frame", header.place.first_frame)
      .number("frame_count", header.place.frame_count)
      .put("present", hex(header.place.present))
      .put("key", header.place.key ? "true" : "false")
      .put("required_features", hex(header.required))
      .put("optional_features", hex(header.optional))
      .number("block_bytes", header.block_bytes)
      .number("raw_bytes", header.raw_bytes())
      .put("link", hex(header.link))
      .put("pixel_crc", hex(header.pixel_crc))
      .put("payload_crc", hex(header.payload_crc))
      .put("header_crc", hex(header.header_crc))
      .put("exact", (header.required & static_cast<std::uint32_t>(Feature::lossy)) == 0 ? "true" : "false");
  return json;
}

std::string_view map_name(LevelMapKind kind) noexcept {
  switch (kind) {
    case LevelMapKind::offset: return "offset";
    case LevelMapKind::packed: return "packed";
    case LevelMapKind::lossy: return "lossy";
  }
  return "invalid";
}

void add_setup(JsonObject& json, const PredictorSetup& setup) {
  json.word("context_source", setup.source == ContextSource::scale ? "scale" : "rate")
      .number("level_bits", setup.levels.level_bits)
      .word("level_map", map_name(setup.levels.kind))
      .word("bound", to_string(setup.levels.bound))
      .put("base", std::to_string(setup.levels.base))
      .number("sentinels", setup.levels.sentinels.size())
      .number("packed_levels", setup.levels.packed.size())
      .number("state_shift_up", setup.up)
      .number("state_shift_down", setup.down);
  if (setup.model != Model::phases) return;
  json.number("key_levels", setup.phases.key_levels)
      .number("later_levels", setup.phases.later_levels)
      .put("wide", setup.phases.wide ? "true" : "false");
}

// What the block takes from those before it in its window, and does not say itself.
void add_inherited(JsonObject& json, const PredictedPayload& payload) {
  std::string names;
  const auto add = [&](const char* name) {
    names.append(names.empty() ? "\"" : ",\"").append(name).append("\"");
  };
  if (!payload.setup) add("setup");
  if (!payload.setup && payload.mask == nullptr) add("mask");
  if (payload.tables == nullptr) add("tables");
  json.put("inherited", "[" + names + "]");
}

// Weights of the model phases. Without the setup, nobody knows how many planes there are and where they end.
void add_mixes(JsonObject& json, const BlockHeader& header, const PredictedPayload& payload) {
  json.number("fast_frames", payload.group.fast_frames).number("mix_bytes", payload.mix_bits->size());
  if (!payload.setup) return;
  const PhaseSetup& setup = payload.setup->phases;
  BitReader in(*payload.mix_bits);
  const auto mixes = parse_frame_mixes(in, header.present_frames(), header.tile.rows, header.tile.cols, setup,
                                       true, FrameMix(plane_count(setup.later_levels)));
  if (!mixes.ok()) return;
  std::uint64_t planes = 0, fresh = 0;
  for (const FrameMix& frame : *mixes) {
    planes += frame.size();
    fresh += static_cast<std::uint64_t>(
        std::ranges::count_if(frame, [](const auto& mix) { return mix.has_value(); }));
  }
  json.number("planes", planes).number("fresh_mixes", fresh);
}

// What the sections say, where the whole block is at hand and sound.
void add_sections(JsonObject& json, const BlockHeader& header, ByteSpan block, LossBound& bound) {
  if (header.kind != BlockKind::predicted || block.size() < header.block_bytes) return;
  const auto payload =
      parse_payload(block.subspan(kBlockHeaderBytes, header.block_bytes - kBlockHeaderBytes), header.tile);
  if (!payload.ok()) return;
  const bool twelve = (header.required & static_cast<std::uint32_t>(Feature::probability_12)) != 0;
  const bool cells = (header.required & static_cast<std::uint32_t>(Feature::sparse)) != 0;
  json.word("model", cells               ? "cells"
                     : payload->mix_bits ? "phases"
                                         : "smooth")
      .number("probability_bits", payload->tables != nullptr ? payload->tables->bits
                                  : twelve                   ? 12u
                                                             : 11u);
  add_inherited(json, *payload);
  if (payload->setup) add_setup(json, *payload->setup);
  if (payload->setup) bound = payload->setup->levels.bound;
  if (payload->prior) json.number("prior_block_pixels", std::uint64_t{1} << payload->prior->log2_block);
  if (payload->mask != nullptr) {
    json.number("masked_pixels", payload->mask->classes.size() -
                                     static_cast<std::size_t>(std::ranges::count(payload->mask->classes, 0)));
  }
  if (payload->tables != nullptr) json.number("contexts", payload->tables->frequencies.size());
  if (payload->mix_bits) {
    add_mixes(json, header, *payload);
  } else {
    json.number("smoothing", payload->group.smoothing)
        .number("scale_smoothing", payload->group.scale_smoothing);
  }
  std::size_t lane_bytes = 0;
  for (const ByteSpan stream : payload->streams) lane_bytes += stream.size();
  json.number("mean_frames", payload->group.mean_frames)
      .number("scale_frames", payload->group.scale_frames)
      .number("streams", payload->group.streams)
      .number("lane_bytes", lane_bytes);
}

}  // namespace

BlockAbility block_ability() noexcept {
  return {kBlockVersionMajor, kBlockVersionMinor, kKnownRequiredFeatures};
}

Result<BlockInfo> inspect_block(ByteSpan block) {
  FF_ASSIGN(const BlockHeader header, parse_block_header(block));
  BlockInfo info;
  info.version_major = kBlockVersionMajor;
  info.version_minor = kBlockVersionMinor;
  info.profile = header.profile;
  info.tile = header.tile;
  info.place = header.place;
  info.block_bytes = header.block_bytes;
  info.exact = (header.required & static_cast<std::uint32_t>(Feature::lossy)) == 0;
  JsonObject json = summary(header);
  if (!dtype_is_float(header.tile.dtype)) add_sections(json, header, block, info.bound);
  info.summary_json = json.close();
  return info;
}

}  // namespace ff::kernels
