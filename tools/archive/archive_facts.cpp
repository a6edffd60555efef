// SPDX-License-Identifier: Apache-2.0
//
// Series facts, from the records around the blocks.
#include "tools/archive/archive_facts.hpp"

#include <zstd.h>

#include "common/wire/envelope.hpp"

namespace ff::tools {

namespace {

namespace pb = foreframe::wire;

constexpr std::uint64_t kFramesMax = 1ull << 40;

/// The mask as the encoder attached it; absent or unreadable masks change no pixel, so they are left out.
std::vector<std::uint32_t> read_mask(const pb::SeriesStart& start, ByteSpan payload,
                                     const FrameShape& shape) {
  for (const pb::Attachment& attachment : start.attachments()) {
    if (attachment.name() != "pixel_mask" || attachment.raw_bytes() != shape.pixels() * 4) continue;
    if (attachment.offset() > payload.size() || attachment.bytes() > payload.size() - attachment.offset())
      continue;
    std::vector<std::uint32_t> mask(shape.pixels());
    const ByteSpan coded = payload.subspan(attachment.offset(), attachment.bytes());
    const std::size_t bytes = ZSTD_decompress(mask.data(), mask.size() * 4, coded.data(), coded.size());
    if (!ZSTD_isError(bytes) && bytes == mask.size() * 4) return mask;
  }
  return {};
}

void take_start(const pb::EnvelopeHeader& header, ByteSpan payload, RecordingInfo& info) {
  const pb::SeriesStart& start = header.series_start();
  info.description = start.detector().description();
  if (start.detector().has_frame_time_s()) info.frame_time_s = start.detector().frame_time_s();
  info.pixel_mask = read_mask(start, payload, info.shape);
}

}  // namespace

Result<SeriesFacts> read_facts(const ArchiveReader& archive) {
  SeriesFacts facts;
  bool known = false;
  for (const ArchiveEntry& entry : archive.entries()) {
    if (entry.kind == ArchiveRecord::window || (entry.kind == ArchiveRecord::block && known)) continue;
    FF_ASSIGN(const std::vector<std::byte> bytes, archive.read(entry));
    FF_ASSIGN(const wire::ParsedEnvelope envelope, wire::parse_envelope(bytes));
    const pb::EnvelopeHeader& header = envelope.header;
    if (header.has_series_end()) facts.info.frames = header.series_end().frames_expected();
    if (known || header.has_series_end()) continue;
    facts.geometry = header.has_block() ? header.block().geometry() : header.series_start().geometry();
    facts.window_frames = header.window_frames();
    FF_TRY(wire::check_geometry(facts.geometry));
    facts.info.shape = {static_cast<Dtype>(facts.geometry.dtype()), facts.geometry.rows(),
                        facts.geometry.cols()};
    facts.info.sentinels.assign(facts.geometry.sentinels().begin(), facts.geometry.sentinels().end());
    if (header.has_series_start()) take_start(header, envelope.payload, facts.info);
    known = true;
  }
  if (!known) return fail(Errc::malformed, archive.path() + ": holds neither a series nor a block");
  if (facts.info.frames == 0 || facts.info.frames > kFramesMax) {
    return fail(Errc::truncated,
                archive.path() + ": doesn't say how many frames it holds; its writer never finished it");
  }
  return facts;
}

std::vector<std::uint32_t> crop_mask(std::vector<std::uint32_t> mask, const FrameShape& shape,
                                     const TileRect& region) {
  std::vector<std::uint32_t> part;
  if (mask.empty()) return part;
  if (region == TileRect{0, 0, shape.rows, shape.cols}) return mask;
  part.reserve(std::size_t{region.rows} * region.cols);
  for (std::uint32_t row = region.row; row < region.row + region.rows; ++row) {
    const auto first = mask.begin() + static_cast<std::ptrdiff_t>(std::size_t{row} * shape.cols + region.col);
    part.insert(part.end(), first, first + region.cols);
  }
  return part;
}

}  // namespace ff::tools
