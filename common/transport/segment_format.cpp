// SPDX-License-Identifier: Apache-2.0
#include "common/transport/segment_format.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <system_error>

#include "common/base/crc32c.hpp"

namespace ff::transport {
namespace {

constexpr std::uint32_t kSegmentMagic = 0x47534646;  // "FFSG"
constexpr std::uint32_t kRecordMagic = 0x43524646;   // "FFRC"
constexpr std::uint8_t kSegmentMajor = 0, kSegmentMinor = 1;
constexpr std::uint32_t kRequiredFeaturesKnown = 0;
constexpr std::uint64_t kValueBytesMax = 1ull << 32;
constexpr std::string_view kNameStart = "segment-", kNameEnd = ".ffs";
constexpr std::size_t kNameDigits = 20;

}  // namespace

std::array<std::byte, kSegmentHeaderBytes> pack(const SegmentHeader& header) {
  std::array<std::byte, kSegmentHeaderBytes> bytes{};
  std::byte* p = bytes.data();
  store_le(p, kSegmentMagic);
  store_le(p + 4, kSegmentMajor);
  store_le(p + 5, kSegmentMinor);
  store_le(p + 6, static_cast<std::uint16_t>(header.header_bytes));
  store_le(p + 16, header.first_offset);
  store_le(p + 24, header.previous_end);
  std::memcpy(p + 32, header.log_id.bytes.data(), 16);
  store_le(p + 48, header.created_utc_ns);
  store_le(p + 60, crc32c(ByteSpan(bytes).first(60)));
  return bytes;
}

Result<SegmentHeader> unpack_segment_header(ByteSpan bytes, const std::string& where) {
  if (bytes.size() < kSegmentHeaderBytes)
    return fail(Errc::truncated, where + ": segment header is cut short");
  const std::byte* p = bytes.data();
  if (load_le<std::uint32_t>(p) != kSegmentMagic)
    return fail(Errc::bad_magic, where + ": not a segment file");
  if (load_le<std::uint32_t>(p + 60) != crc32c(bytes.first(60)))
    return fail(Errc::crc_mismatch, where + ": segment header at byte 0 is damaged");
  const auto major = load_le<std::uint8_t>(p + 4), minor = load_le<std::uint8_t>(p + 5);
  if (major != kSegmentMajor || (kSegmentMajor == 0 && minor != kSegmentMinor))
    return fail(Errc::unsupported_version, where + ": segment format " + std::to_string(major) + "." +
                                               std::to_string(minor) + "; this build reads 0.1");
  const auto required = load_le<std::uint32_t>(p + 8);
  if ((required & ~kRequiredFeaturesKnown) != 0)
    return fail(Errc::unsupported_feature,
                where + ": needs segment feature bits " + std::to_string(required));
  SegmentHeader header;
  header.header_bytes = load_le<std::uint16_t>(p + 6);
  header.first_offset = load_le<std::uint64_t>(p + 16);
  header.previous_end = load_le<std::uint64_t>(p + 24);
  std::memcpy(header.log_id.bytes.data(), p + 32, 16);
  header.created_utc_ns = load_le<std::int64_t>(p + 48);
  if (header.header_bytes < kSegmentHeaderBytes || header.header_bytes % kRecordAlignment != 0 ||
      header.previous_end > header.first_offset)
    return fail(Errc::malformed, where + ": segment header contradicts itself");
  return header;
}

std::uint64_t RecordHeader::total_bytes() const noexcept {
  const std::uint64_t used = kRecordHeaderBytes + key_bytes + value_bytes;
  return (used + kRecordAlignment - 1) / kRecordAlignment * kRecordAlignment;
}

std::array<std::byte, kRecordHeaderBytes> pack(const RecordHeader& header) {
  std::array<std::byte, kRecordHeaderBytes> bytes{};
  std::byte* p = bytes.data();
  store_le(p, kRecordMagic);
  store_le(p + 8, header.offset);
  store_le(p + 16, header.synced_bytes);
  store_le(p + 24, header.value_bytes);
  store_le(p + 32, header.key_bytes);
  store_le(p + 40, header.body_crc);
  store_le(p + 4, crc32c(ByteSpan(bytes).subspan(8)));
  return bytes;
}

std::optional<RecordHeader> unpack_record_header(ByteSpan bytes) noexcept {
  if (bytes.size() < kRecordHeaderBytes) return std::nullopt;
  const std::byte* p = bytes.data();
  if (load_le<std::uint32_t>(p) != kRecordMagic) return std::nullopt;
  if (load_le<std::uint32_t>(p + 4) != crc32c(bytes.subspan(8, kRecordHeaderBytes - 8))) return std::nullopt;
  RecordHeader header;
  header.offset = load_le<std::uint64_t>(p + 8);
  header.synced_bytes = load_le<std::uint64_t>(p + 16);
  header.value_bytes = load_le<std::uint64_t>(p + 24);
  header.key_bytes = load_le<std::uint32_t>(p + 32);
  header.body_crc = load_le<std::uint32_t>(p + 40);
  const bool reserved_clear = load_le<std::uint32_t>(p + 36) == 0 && load_le<std::uint32_t>(p + 44) == 0;
  if (!reserved_clear || header.key_bytes > kRecordKeyBytesMax || header.value_bytes > kValueBytesMax)
    return std::nullopt;
  return header;
}

std::uint32_t body_crc(std::string_view key, ByteSpan value) noexcept {
  return crc32c(value, crc32c(as_bytes(key)));
}

std::string segment_file_name(std::uint64_t first_offset) {
  std::string digits = std::to_string(first_offset);
  digits.insert(0, kNameDigits - std::min(kNameDigits, digits.size()), '0');
  return std::string(kNameStart) + digits + std::string(kNameEnd);
}

std::optional<std::uint64_t> parse_segment_file_name(std::string_view name) noexcept {
  if (name.size() != kNameStart.size() + kNameDigits + kNameEnd.size()) return std::nullopt;
  if (!name.starts_with(kNameStart) || !name.ends_with(kNameEnd)) return std::nullopt;
  const std::string_view digits = name.substr(kNameStart.size(), kNameDigits);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

Result<std::vector<SegmentFile>> list_segments(const std::filesystem::path& folder) {
  std::vector<SegmentFile> segments;
  std::error_code error;
  std::filesystem::directory_iterator entries(folder, error);
  if (error == std::errc::no_such_file_or_directory) return segments;
  for (; !error && entries != std::filesystem::directory_iterator(); entries.increment(error)) {
    const auto first = parse_segment_file_name(entries->path().filename().string());
    if (!first) continue;
    std::error_code gone;  // freed while we list: not ours to report
    const auto bytes = entries->file_size(gone);
    if (!gone) segments.push_back({*first, bytes});
  }
  if (error) return fail(Errc::io_error, folder.string() + ": cannot list: " + error.message());
  std::ranges::sort(segments, {}, &SegmentFile::first_offset);
  return segments;
}

}  // namespace ff::transport
