// SPDX-License-Identifier: Apache-2.0
#include "common/transport/segment_scan.hpp"

#include <algorithm>
#include <deque>
#include <vector>

#include "common/transport/posix_file.hpp"

namespace ff::transport {
namespace {

constexpr std::size_t kSearchBytes = 1u << 20;

/// Bodies after the last durable byte, in order: the first bad one is where the torn tail begins.
Result<std::optional<PlacedRecord>> first_bad_body(const SegmentView& file,
                                                   const std::deque<PlacedRecord>& records) {
  std::vector<std::byte> body;
  for (const PlacedRecord& record : records) {
    body.resize(record.header.key_bytes + record.header.value_bytes);
    const Status status = read_body(file, record, body);
    if (status.ok()) continue;
    if (status.error().code == Errc::crc_mismatch) return std::optional(record);
    return status.error();
  }
  return std::optional<PlacedRecord>{};
}

}  // namespace

std::string place(const std::filesystem::path& path, std::uint64_t position) {
  return path.string() + ": byte " + std::to_string(position) + ": ";
}

Result<std::optional<PlacedRecord>> record_at(const SegmentView& file, std::uint64_t position,
                                              std::uint64_t size) {
  std::array<std::byte, kRecordHeaderBytes> bytes;
  if (size < position || size - position < bytes.size()) return std::optional<PlacedRecord>{};
  FF_ASSIGN(const std::size_t got, read_at(file.fd, position, bytes, file.path));
  const auto header = unpack_record_header(ByteSpan(bytes).first(got));
  if (!header || header->total_bytes() > size - position) return std::optional<PlacedRecord>{};
  return std::optional(PlacedRecord{position, *header});
}

Result<std::optional<PlacedRecord>> find_record(const SegmentView& file, std::uint64_t from,
                                                std::uint64_t size, std::uint64_t min_offset,
                                                std::uint64_t min_synced) {
  std::vector<std::byte> chunk(kSearchBytes);
  from = (from + kRecordAlignment - 1) / kRecordAlignment * kRecordAlignment;
  while (from + kRecordHeaderBytes <= size) {
    FF_ASSIGN(const std::size_t got, read_at(file.fd, from, chunk, file.path));
    if (got < kRecordHeaderBytes) break;
    const std::size_t last = got - kRecordHeaderBytes;
    for (std::size_t at = 0; at <= last; at += kRecordAlignment) {
      const auto header = unpack_record_header(ByteSpan(chunk).subspan(at, kRecordHeaderBytes));
      if (!header || header->offset < min_offset || header->synced_bytes < min_synced) continue;
      if (header->total_bytes() > size - (from + at)) continue;
      return std::optional(PlacedRecord{from + at, *header});
    }
    from += (last / kRecordAlignment + 1) * kRecordAlignment;
  }
  return std::optional<PlacedRecord>{};
}

Result<TailScan> scan_tail(const SegmentView& file, const SegmentHeader& header) {
  FF_ASSIGN(const std::uint64_t size, file_size(file.fd, file.path));
  TailScan scan{header.header_bytes, header.first_offset, {}};
  std::uint64_t synced = header.header_bytes;
  std::deque<PlacedRecord> unsynced;
  while (scan.end_bytes < size) {
    FF_ASSIGN(auto record, record_at(file, scan.end_bytes, size));
    if (!record || record->header.offset != scan.next_offset) {
      FF_ASSIGN(const auto voucher,
                find_record(file, scan.end_bytes + 1, size, scan.next_offset, scan.end_bytes + 1));
      if (!voucher) break;  // nobody vouches for these bytes: the torn tail
      FF_ASSIGN(record, find_record(file, scan.end_bytes, size, scan.next_offset, 0));
      if (scan.damage.empty())
        scan.damage = place(file.path, scan.end_bytes) + "damaged; records " +
                      std::to_string(scan.next_offset) + " to " + std::to_string(record->header.offset) +
                      " (not included) are lost";
    }
    scan.end_bytes = record->end();
    scan.next_offset = record->header.offset + 1;
    synced = std::max(synced, record->header.synced_bytes);
    unsynced.push_back(*record);
    while (!unsynced.empty() && unsynced.front().position < synced) unsynced.pop_front();
  }
  FF_ASSIGN(const auto torn, first_bad_body(file, unsynced));
  if (torn) {
    scan.end_bytes = torn->position;
    scan.next_offset = torn->header.offset;
  }
  return scan;
}

Status read_body(const SegmentView& file, const PlacedRecord& record, MutableByteSpan body) {
  FF_ASSIGN(const std::size_t got, read_at(file.fd, record.position + kRecordHeaderBytes, body, file.path));
  const std::size_t key_bytes = record.header.key_bytes;
  if (got == body.size() &&
      body_crc(as_text(body.first(key_bytes)), body.subspan(key_bytes)) == record.header.body_crc)
    return {};
  return fail(Errc::crc_mismatch, place(file.path, record.position) + "record " +
                                      std::to_string(record.header.offset) + " is damaged and lost");
}

}  // namespace ff::transport
