// SPDX-License-Identifier: Apache-2.0
#include "common/transport/segment_cursor.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <fcntl.h>

#include "common/base/crc32c.hpp"
#include "common/transport/posix_file.hpp"

namespace ff::transport {
namespace {

constexpr std::uint32_t kCursorMagic = 0x55434646;  // "FFCU"
constexpr std::size_t kCursorBytes = 40;
constexpr std::uint8_t kCursorMajor = 0, kCursorMinor = 1;
constexpr std::string_view kCursorEnd = ".cursor";

std::array<std::byte, kCursorBytes> pack(const SegmentCursor& cursor) {
  std::array<std::byte, kCursorBytes> bytes{};
  std::byte* p = bytes.data();
  store_le(p, kCursorMagic);
  store_le(p + 4, kCursorMajor);
  store_le(p + 5, kCursorMinor);
  std::memcpy(p + 8, cursor.log_id.bytes.data(), 16);
  store_le(p + 24, cursor.next_offset);
  store_le(p + 36, crc32c(ByteSpan(bytes).first(36)));
  return bytes;
}

std::optional<SegmentCursor> unpack(ByteSpan bytes) {
  const std::byte* p = bytes.data();
  if (bytes.size() != kCursorBytes || load_le<std::uint32_t>(p) != kCursorMagic ||
      load_le<std::uint8_t>(p + 4) != kCursorMajor || load_le<std::uint8_t>(p + 5) != kCursorMinor ||
      load_le<std::uint32_t>(p + 36) != crc32c(bytes.first(36)))
    return std::nullopt;
  SegmentCursor cursor;
  std::memcpy(cursor.log_id.bytes.data(), p + 8, 16);
  cursor.next_offset = load_le<std::uint64_t>(p + 24);
  return cursor;
}

bool name_character(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
         c == '-';
}

}  // namespace

Status check_cursor_name(const std::string& name) {
  const bool good =
      !name.empty() && name.size() <= 100 && name.front() != '.' && std::ranges::all_of(name, name_character);
  if (good) return {};
  return fail(
      Errc::invalid_argument,
      "reader name \"" + name + "\": use 1 to 100 letters, digits, '.', '_', '-', not beginning with '.'");
}

std::filesystem::path cursor_folder(const std::filesystem::path& folder) { return folder / "cursors"; }

Result<std::optional<SegmentCursor>> load_cursor(const std::filesystem::path& folder,
                                                 const std::string& name) {
  const auto path = cursor_folder(folder) / (name + std::string(kCursorEnd));
  auto file = open_file(path, O_RDONLY);
  if (!file.ok()) {
    if (file.error().code == Errc::not_found) return std::optional<SegmentCursor>{};
    return std::move(file).error();
  }
  std::array<std::byte, kCursorBytes + 1> bytes;
  FF_ASSIGN(const std::size_t got, read_at(file->get(), 0, bytes, path));
  return unpack(ByteSpan(bytes).first(got));
}

Status store_cursor(const std::filesystem::path& folder, const std::string& name,
                    const SegmentCursor& cursor) {
  return replace_file(cursor_folder(folder) / (name + std::string(kCursorEnd)), pack(cursor));
}

std::vector<std::uint64_t> all_cursors(const std::filesystem::path& folder, const Uuid& log_id) {
  std::vector<std::uint64_t> offsets;
  std::error_code error;
  std::filesystem::directory_iterator entries(cursor_folder(folder), error);
  for (; !error && entries != std::filesystem::directory_iterator(); entries.increment(error)) {
    const std::string file_name = entries->path().filename().string();
    if (!file_name.ends_with(kCursorEnd)) continue;
    const auto cursor = load_cursor(folder, file_name.substr(0, file_name.size() - kCursorEnd.size()));
    const bool ours = cursor.ok() && cursor->has_value() && (*cursor)->log_id == log_id;
    offsets.push_back(ours ? (*cursor)->next_offset : 0);
  }
  return offsets;
}

}  // namespace ff::transport
