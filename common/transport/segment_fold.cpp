// SPDX-License-Identifier: Apache-2.0
#include "common/transport/segment_fold.hpp"

#include <fcntl.h>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/transport/posix_file.hpp"
#include "common/transport/segment_format.hpp"
#include "common/transport/segment_scan.hpp"

namespace ff::transport {
namespace {

using Visit = std::function<Status(const SegmentView&, const PlacedRecord&)>;

/// Calls `visit` for every whole record of a segment; passes over damage, which readers report.
Status each_record(const std::filesystem::path& path, std::uint64_t size, const Visit& visit) {
  FF_ASSIGN(const FileHandle file, open_file(path, O_RDONLY));
  const SegmentView view{file.get(), path};
  FF_ASSIGN(auto record, find_record(view, 0, size, 0, 0));
  while (record) {
    FF_TRY(visit(view, *record));
    const std::uint64_t behind = record->end();
    FF_ASSIGN(record, record_at(view, behind, size));
    if (!record) {
      FF_ASSIGN(record, find_record(view, behind, size, 0, 0));
    }
  }
  return {};
}

Result<std::string> read_key(const SegmentView& file, const PlacedRecord& record) {
  std::string key(record.header.key_bytes, '\0');
  const MutableByteSpan bytes(reinterpret_cast<std::byte*>(key.data()), key.size());
  FF_ASSIGN(const std::size_t got, read_at(file.fd, record.position + kRecordHeaderBytes, bytes, file.path));
  if (got != key.size()) return fail(Errc::truncated, place(file.path, record.position) + "key is cut short");
  return key;
}

struct LastRecord {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  bool deletes = false;
};

Status append_again(SegmentLog& log, const SegmentView& file, const PlacedRecord& record) {
  std::vector<std::byte> body(record.header.key_bytes + record.header.value_bytes);
  FF_TRY(read_body(file, record, body));
  const ByteSpan bytes(body);
  const auto offset =
      log.append(as_text(bytes.first(record.header.key_bytes)), bytes.subspan(record.header.key_bytes));
  return offset.ok() ? Status{} : offset.error();
}

}  // namespace

Status fold_to_last_values(SegmentLog& log, const std::filesystem::path& folder) {
  FF_ASSIGN(const auto segments, list_segments(folder));
  const std::uint64_t needed_from = log.lowest_cursor().value_or(log.stats().next_offset);
  std::size_t freeable = 0;  // segments [0, freeable) end below needed_from
  std::uint64_t freeable_bytes = 0;
  while (freeable + 1 < segments.size() && segments[freeable + 1].first_offset <= needed_from)
    freeable_bytes += segments[freeable++].bytes;
  if (freeable == 0) return {};
  const std::uint64_t kept_from = segments[freeable].first_offset;

  std::unordered_map<std::string, LastRecord> last;
  for (const SegmentFile& segment : segments)
    FF_TRY(each_record(folder / segment_file_name(segment.first_offset), segment.bytes,
                       [&last](const SegmentView& file, const PlacedRecord& record) -> Status {
                         FF_ASSIGN(std::string key, read_key(file, record));
                         last[std::move(key)] = {record.header.offset, record.header.total_bytes(),
                                                 record.header.value_bytes == 0};
                         return {};
                       }));
  std::uint64_t live_bytes = 0;
  for (const auto& [key, record] : last)
    if (record.offset < kept_from && !record.deletes) live_bytes += record.bytes;
  if (live_bytes > freeable_bytes / 2) return {};

  for (std::size_t i = 0; i < freeable; ++i)
    FF_TRY(each_record(folder / segment_file_name(segments[i].first_offset), segments[i].bytes,
                       [&last, &log](const SegmentView& file, const PlacedRecord& record) -> Status {
                         FF_ASSIGN(const std::string key, read_key(file, record));
                         const LastRecord& newest = last[key];
                         if (newest.offset != record.header.offset || newest.deletes) return {};
                         return append_again(log, file, record);
                       }));
  FF_TRY(log.sync());
  return log.free_below(kept_from);
}

}  // namespace ff::transport
