// SPDX-License-Identifier: Apache-2.0
#include "common/wire/envelope.hpp"

#include <algorithm>
#include <cstring>

#include "common/base/crc32c.hpp"
#include "common/base/uuid.hpp"
#include "common/wire/protobuf_bytes.hpp"
#include "common/wire/tile_grid.hpp"

namespace ff::wire {
namespace {

constexpr char kEnvelopeMagic[4] = {'F', 'F', 'E', 'V'};
constexpr std::uint8_t kEnvelopeMajor = 0, kEnvelopeMinor = 1;
constexpr std::uint32_t kEnvelopeFramesMax = 64;
constexpr int kEarlierRunsMax = 16;
constexpr std::uint64_t kWindowIndexMax = std::uint64_t{1} << 56;  // keeps window * 64 + 63 inside int64

struct Prefix {
  std::uint32_t header_bytes = 0, payload_bytes = 0, header_crc = 0, payload_crc = 0;
};

void write_prefix(std::byte* target, const Prefix& prefix) noexcept {
  std::memcpy(target, kEnvelopeMagic, 4);
  store_le<std::uint8_t>(target + 4, kEnvelopeMajor);
  store_le<std::uint8_t>(target + 5, kEnvelopeMinor);
  store_le<std::uint16_t>(target + 6, 0);
  store_le(target + 8, prefix.header_bytes);
  store_le(target + 12, prefix.payload_bytes);
  store_le(target + 16, prefix.header_crc);
  store_le(target + 20, prefix.payload_crc);
}

/// `bytes` may be the beginning only of an envelope of `total_bytes`.
Result<Prefix> read_prefix(ByteSpan bytes, std::size_t total_bytes) {
  ByteReader reader(bytes);
  const ByteSpan magic = reader.take(4);
  const auto major = reader.read<std::uint8_t>(), minor = reader.read<std::uint8_t>();
  const auto reserved = reader.read<std::uint16_t>();
  const Prefix prefix{reader.read<std::uint32_t>(), reader.read<std::uint32_t>(),
                      reader.read<std::uint32_t>(), reader.read<std::uint32_t>()};
  if (!reader.ok())
    return fail(Errc::truncated,
                "an envelope has at least 24 bytes, this one has " + std::to_string(bytes.size()));
  if (std::memcmp(magic.data(), kEnvelopeMagic, 4) != 0)
    return fail(Errc::bad_magic, "no envelope: it does not begin with FFEV");
  if (major != kEnvelopeMajor || minor != kEnvelopeMinor)
    return fail(Errc::unsupported_version, "envelope version " + std::to_string(major) + "." +
                                               std::to_string(minor) + "; this build reads 0.1");
  if (reserved != 0) return fail(Errc::malformed, "envelope: reserved prefix bytes are not zero");
  if (prefix.header_bytes > kEnvelopeHeaderBytesMax || prefix.payload_bytes > kEnvelopePayloadBytesMax)
    return fail(Errc::too_large, "envelope: header of " + std::to_string(prefix.header_bytes) +
                                     " or payload of " + std::to_string(prefix.payload_bytes) +
                                     " bytes is above the limit");
  const std::size_t promised = std::size_t{prefix.header_bytes} + prefix.payload_bytes;
  if (total_bytes != kEnvelopePrefixBytes + promised)
    return fail(Errc::truncated, "envelope: prefix promises " + std::to_string(promised) + " bytes, " +
                                     std::to_string(total_bytes - kEnvelopePrefixBytes) + " follow");
  return prefix;
}

Result<Prefix> read_prefix(ByteSpan bytes) { return read_prefix(bytes, bytes.size()); }

Status check_block(const EnvelopeHeader& header, const foreframe::wire::Block& block) {
  FF_TRY(check_geometry(block.geometry()));
  if (block.window() > kWindowIndexMax) return fail(Errc::malformed, "block: window index out of range");
  if (block.frame_count() == 0 ||
      block.first_frame() + std::uint64_t{block.frame_count()} > header.window_frames())
    return fail(Errc::malformed, "block: frames lie outside their window");
  if (block.frame_count() < 64 && (block.present() >> block.frame_count()) != 0)
    return fail(Errc::malformed, "block: presence bits beyond its frames");
  if (block.present() == 0) return fail(Errc::malformed, "block: holds no frame");
  if (block.tile() >= TileGrid(block.geometry()).count()) return fail(Errc::malformed, "block: no such tile");
  return {};
}

Status check_window(const EnvelopeHeader& header, const foreframe::wire::Window& window) {
  FF_TRY(check_geometry(window.geometry()));
  if (window.window() > kWindowIndexMax) return fail(Errc::malformed, "window: index out of range");
  if (window.frame_count() == 0 || window.frame_count() > header.window_frames())
    return fail(Errc::malformed, "window: frame count out of range");
  const auto frames = static_cast<int>(window.frame_count());
  if (window.states_size() != frames || window.stages_size() != frames)
    return fail(Errc::malformed, "window: one state and one stage are needed for each frame");
  if (window.groups_per_tile_size() != static_cast<int>(TileGrid(window.geometry()).count()))
    return fail(Errc::malformed, "window: group counts don't match the tile grid");
  if (window.earlier_size() > kEarlierRunsMax)
    return fail(Errc::malformed, "window: blocks of more than 16 earlier runs");
  for (const auto& earlier : window.earlier())
    if (earlier.groups_per_tile_size() != window.groups_per_tile_size() || earlier.epoch() >= header.epoch())
      return fail(Errc::malformed, "window: blocks of an earlier run don't match the tile grid or its epoch");
  for (const int times :
       {window.detector_time_ns_size(), window.received_utc_ns_size(), window.received_monotonic_ns_size()})
    if (times != frames && times != 0) return fail(Errc::malformed, "window: times don't match the frames");
  return {};
}

Status check_attachments(const foreframe::wire::SeriesStart& start, std::size_t payload_bytes) {
  for (const auto& attachment : start.attachments())
    if (attachment.offset() > payload_bytes || attachment.bytes() > payload_bytes - attachment.offset())
      return fail(Errc::malformed,
                  "series start: attachment '" + attachment.name() + "' lies outside the payload");
  return {};
}

Status check_header(const EnvelopeHeader& header, std::size_t payload_bytes) {
  if (header.series_uid().size() != 16) return fail(Errc::malformed, "envelope: series uid is not 16 bytes");
  if (header.window_frames() == 0 || header.window_frames() > kEnvelopeFramesMax)
    return fail(Errc::malformed, "envelope: W is not in 1 ... 64");
  if (header.detector().size() > 64 || header.agent().size() > 64)
    return fail(Errc::malformed, "envelope: detector or agent name above 64 bytes");
  switch (header.record_case()) {
    case EnvelopeHeader::kBlock: return check_block(header, header.block());
    case EnvelopeHeader::kWindow: return check_window(header, header.window());
    case EnvelopeHeader::kSeriesStart:
      FF_TRY(check_geometry(header.series_start().geometry()));
      return check_attachments(header.series_start(), payload_bytes);
    case EnvelopeHeader::kSeriesEnd: return check_geometry(header.series_end().geometry());
    case EnvelopeHeader::RECORD_NOT_SET: break;
  }
  return fail(Errc::malformed, "envelope: holds no record that this build knows");
}

std::string describe_record(const EnvelopeHeader& header) {
  switch (header.record_case()) {
    case EnvelopeHeader::kBlock:
      return "window " + std::to_string(header.block().window()) + " tile " +
             std::to_string(header.block().tile()) + " group " + std::to_string(header.block().group());
    case EnvelopeHeader::kWindow: return "window " + std::to_string(header.window().window()) + " record";
    case EnvelopeHeader::kSeriesStart: return "start";
    case EnvelopeHeader::kSeriesEnd: return "end";
    case EnvelopeHeader::RECORD_NOT_SET: break;
  }
  return "unknown record";
}

}  // namespace

Result<Payload> seal_envelope(const EnvelopeHeader& header, ByteSpan payload) {
  const std::size_t header_bytes = header.ByteSizeLong();
  if (header_bytes > kEnvelopeHeaderBytesMax || payload.size() > kEnvelopePayloadBytesMax)
    return fail(Errc::too_large, "envelope of " + describe(header) + " is above the limit");
  std::vector<std::byte> bytes(kEnvelopePrefixBytes + header_bytes + payload.size());
  std::byte* const head = bytes.data() + kEnvelopePrefixBytes;
  header.SerializeWithCachedSizesToArray(reinterpret_cast<std::uint8_t*>(head));
  if (!payload.empty()) std::memcpy(head + header_bytes, payload.data(), payload.size());
  write_prefix(bytes.data(),
               {static_cast<std::uint32_t>(header_bytes), static_cast<std::uint32_t>(payload.size()),
                crc32c({head, header_bytes}), crc32c(payload)});
  return Payload::own(std::move(bytes));
}

Result<Payload> seal_envelope_in_place(const EnvelopeHeader& header, std::vector<std::byte> buffer,
                                       std::size_t payload_bytes) {
  const std::size_t header_bytes = header.ByteSizeLong();
  if (kEnvelopePrefixBytes + header_bytes > kBlockHeadroomBytes || payload_bytes > kEnvelopePayloadBytesMax ||
      buffer.size() < kBlockHeadroomBytes + payload_bytes)
    return fail(Errc::too_large, "envelope of " + describe(header) + " does not fit around its block");
  std::byte* const payload = buffer.data() + kBlockHeadroomBytes;
  std::byte* const head = payload - header_bytes;
  header.SerializeWithCachedSizesToArray(reinterpret_cast<std::uint8_t*>(head));
  write_prefix(head - kEnvelopePrefixBytes,
               {static_cast<std::uint32_t>(header_bytes), static_cast<std::uint32_t>(payload_bytes),
                crc32c({head, header_bytes}), crc32c({payload, payload_bytes})});
  const std::size_t start = kBlockHeadroomBytes - header_bytes - kEnvelopePrefixBytes;
  return Payload::own(std::move(buffer)).part(start, kEnvelopePrefixBytes + header_bytes + payload_bytes);
}

Result<ParsedEnvelope> parse_envelope(ByteSpan bytes) {
  FF_ASSIGN(ParsedEnvelope parsed, parse_envelope_head(bytes));
  if (parsed.payload_intact) return parsed;
  return fail(Errc::crc_mismatch,
              "envelope of " + describe(parsed.header) + ": payload CRC differs; bytes changed on the way");
}

Result<ParsedEnvelope> parse_envelope_head(ByteSpan bytes) {
  FF_ASSIGN(const Prefix prefix, read_prefix(bytes));
  const ByteSpan head = bytes.subspan(kEnvelopePrefixBytes, prefix.header_bytes);
  ParsedEnvelope parsed;
  parsed.payload = bytes.subspan(kEnvelopePrefixBytes + prefix.header_bytes);
  if (crc32c(head) != prefix.header_crc)
    return fail(Errc::crc_mismatch, "envelope: header CRC differs; bytes changed on the way");
  if (!parse_message(parsed.header, head))
    return fail(Errc::malformed, "envelope: header is no valid Protobuf message");
  parsed.payload_intact = crc32c(parsed.payload) == prefix.payload_crc;
  FF_TRY(check_header(parsed.header, parsed.payload.size()));
  return parsed;
}

Result<EnvelopeHeader> peek_envelope(ByteSpan beginning, std::uint64_t total_bytes) {
  FF_ASSIGN(const Prefix prefix, read_prefix(beginning, total_bytes));
  if (beginning.size() < kEnvelopePrefixBytes + prefix.header_bytes)
    return fail(Errc::too_large, "envelope: header of " + std::to_string(prefix.header_bytes) +
                                     " bytes is longer than what was read of it");
  const ByteSpan head = beginning.subspan(kEnvelopePrefixBytes, prefix.header_bytes);
  if (crc32c(head) != prefix.header_crc)
    return fail(Errc::crc_mismatch, "envelope: header CRC differs; bytes changed on the way");
  EnvelopeHeader header;
  if (!header.ParseFromArray(head.data(), static_cast<int>(head.size())))
    return fail(Errc::malformed, "envelope: header is no valid Protobuf message");
  FF_TRY(check_header(header, prefix.payload_bytes));
  return header;
}

std::string describe(const EnvelopeHeader& header) {
  const auto uid = Uuid::from_bytes(as_bytes(header.series_uid()));
  return (uid.ok() ? uid->to_string() : std::string("series ?")) + " stream " +
         std::to_string(header.stream()) + " " + describe_record(header) + " (sequence " +
         std::to_string(header.sequence()) + ")";
}

std::uint32_t partition_of(const EnvelopeHeader& header, std::uint32_t partition_count) noexcept {
  if (partition_count == 0) return 0;
  const std::uint64_t window = header.has_block()    ? header.block().window()
                               : header.has_window() ? header.window().window()
                                                     : 0;
  return static_cast<std::uint32_t>((header.partition_base() + window) % partition_count);
}

}  // namespace ff::wire
