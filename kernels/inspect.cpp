// SPDX-License-Identifier: Apache-2.0
//
// inspect_block: what a block says about itself, for people and scripts.
#include <cstdio>

#include "kernels/codec.hpp"
#include "kernels/format/block_header.hpp"

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

std::string summary(const BlockHeader& header) {
  JsonObject json;
  json.put("version", "\"0.1\"")
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
      .put("header_crc", hex(header.header_crc));
  return json.close();
}

}  // namespace

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
  info.summary_json = summary(header);
  return info;
}

}  // namespace ff::kernels
