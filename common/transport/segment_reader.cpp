// SPDX-License-Identifier: Apache-2.0
//
// The reading end, often in another process than the writer: a name with a lock and a cursor, and the bodies of the
// records that SegmentWalk finds.
#include <algorithm>
#include <system_error>
#include <utility>
#include <vector>

#include "common/transport/posix_file.hpp"
#include "common/transport/segment_cursor.hpp"
#include "common/transport/segment_log.hpp"
#include "common/transport/segment_walk.hpp"

namespace ff::transport {

struct SegmentReader::Body {
  Body(const std::filesystem::path& folder, std::string reader_name)
      : name(std::move(reader_name)), walk(folder, name.empty() ? "a follower" : '"' + name + '"') {}

  std::string name;  ///< "": without name, lock and cursor
  SegmentWalk walk;
  FileHandle lock;
  SegmentCursor cursor;
  bool is_new = false;
  LogPlace here;
  LogPlace tail;  ///< of end_offset(): walks ahead by headers only

  [[nodiscard]] bool follows() const noexcept { return name.empty(); }
  [[nodiscard]] Status open();
  [[nodiscard]] Status take_name();
  Result<std::optional<SegmentRecord>> read_record(const PlacedRecord& record);
};

Status SegmentReader::Body::take_name() {
  std::error_code error;
  std::filesystem::create_directories(cursor_folder(walk.folder()), error);
  if (error) return fail(Errc::io_error, cursor_folder(walk.folder()).string() + ": " + error.message());
  FF_ASSIGN(lock, lock_file(cursor_folder(walk.folder()) / (name + ".lock")));
  return {};
}

Status SegmentReader::Body::open() {
  FF_ASSIGN(const auto oldest, walk.segment_holding(0));
  if (!oldest) return fail(Errc::not_found, walk.folder().string() + ": no log is there yet");
  if (!follows()) FF_TRY(take_name());
  LogPlace first;
  auto header = open_segment(walk.folder(), oldest->first_offset, first);
  if (!header.ok()) {
    // Made at this moment, its header isn't written yet: the same to us as no log.
    if (header.error().code == Errc::truncated)
      return fail(Errc::not_found, std::move(header).error().message);
    return std::move(header).error();
  }
  if (follows()) {
    cursor = {header->log_id, oldest->first_offset};
    here.offset = tail.offset = cursor.next_offset;
    return {};
  }
  FF_ASSIGN(const auto stored, load_cursor(walk.folder(), name));
  if (stored && stored->log_id == header->log_id) {
    cursor = *stored;
  } else {
    cursor = {header->log_id, oldest->first_offset};
    is_new = true;
    FF_TRY(store_cursor(walk.folder(), name, cursor));  // from now on nothing above it is freed
  }
  here.offset = tail.offset = cursor.next_offset;
  return {};
}

Result<std::optional<SegmentRecord>> SegmentReader::Body::read_record(const PlacedRecord& record) {
  const std::size_t key_bytes = record.header.key_bytes;
  const std::size_t body_bytes = key_bytes + record.header.value_bytes;
  std::shared_ptr<std::byte[]> bytes = std::make_shared_for_overwrite<std::byte[]>(body_bytes);
  const MutableByteSpan body(bytes.get(), body_bytes);
  const Status status = read_body(here.view(), record, body);
  if (!status.ok() && status.error().code != Errc::crc_mismatch) return status.error();
  here.position = record.end();
  here.offset = record.header.offset + 1;
  here.gap = {record.header.offset, here.offset};
  if (!status.ok()) return status.error();
  SegmentRecord out;
  out.offset = record.header.offset;
  out.key = as_text(body.first(key_bytes));
  out.value = Payload(bytes, body.subspan(key_bytes));
  return std::optional(std::move(out));
}

SegmentReader::SegmentReader() = default;

SegmentReader::~SegmentReader() = default;

Result<std::unique_ptr<SegmentReader>> SegmentReader::open(const std::filesystem::path& folder,
                                                           const std::string& name) {
  std::unique_ptr<SegmentReader> reader(new SegmentReader);
  reader->body_ = std::make_unique<Body>(folder, name);
  FF_TRY(check_cursor_name(name));
  FF_TRY(reader->body_->open());
  return reader;
}

Result<std::unique_ptr<SegmentReader>> SegmentReader::follow(const std::filesystem::path& folder) {
  std::unique_ptr<SegmentReader> reader(new SegmentReader);
  reader->body_ = std::make_unique<Body>(folder, "");
  FF_TRY(reader->body_->open());
  return reader;
}

Result<std::optional<SegmentRecord>> SegmentReader::next() {
  FF_ASSIGN(const auto record, body_->walk.next_header(body_->here));
  if (!record) return std::optional<SegmentRecord>{};
  return body_->read_record(*record);
}

SegmentGap SegmentReader::last_gap() const { return body_->here.gap; }

Result<std::optional<SegmentGlance>> SegmentReader::glance(std::size_t bytes_max) {
  LogPlace& here = body_->here;
  FF_ASSIGN(const auto record, body_->walk.next_header(here));
  if (!record) return std::optional<SegmentGlance>{};
  const RecordHeader& header = record->header;
  std::vector<std::byte> bytes(std::min<std::uint64_t>(header.value_bytes, bytes_max));
  FF_ASSIGN(
      const std::size_t got,
      read_at(here.file.get(), record->position + kRecordHeaderBytes + header.key_bytes, bytes, here.path));
  bytes.resize(got);
  here.position = record->end();
  here.offset = header.offset + 1;
  return std::optional(SegmentGlance{header.offset, header.value_bytes, Payload::own(std::move(bytes))});
}

bool SegmentReader::is_new() const { return body_->is_new; }

void SegmentReader::seek(std::uint64_t offset) {
  body_->here = LogPlace{};
  body_->here.offset = offset;
}

std::uint64_t SegmentReader::next_offset() const { return body_->here.offset; }

void SegmentReader::rewind() {
  body_->here = LogPlace{};
  body_->here.offset = body_->cursor.next_offset;
}

Status SegmentReader::commit(std::uint64_t next_offset) {
  if (body_->follows())
    return fail(Errc::refused, body_->walk.folder().string() + ": a follower has no cursor");
  if (next_offset <= body_->cursor.next_offset) return {};
  if (next_offset > body_->here.offset && next_offset > end_offset())
    return fail(Errc::out_of_range, body_->walk.folder().string() + ": cannot commit offset " +
                                        std::to_string(next_offset) + ", the log ends before it");
  SegmentCursor moved = body_->cursor;
  moved.next_offset = next_offset;
  FF_TRY(store_cursor(body_->walk.folder(), body_->name, moved));
  body_->cursor = moved;
  return {};
}

std::uint64_t SegmentReader::committed() const { return body_->cursor.next_offset; }

std::uint64_t SegmentReader::end_offset() {
  LogPlace& tail = body_->tail;
  for (;;) {
    const auto record = body_->walk.next_header(tail);
    if (!record.ok()) {
      // Damage and gaps are the business of next(); a file that can't be read ends the walk.
      if (record.error().code == Errc::crc_mismatch || record.error().code == Errc::out_of_range) continue;
      return tail.offset;
    }
    if (!record->has_value()) return tail.offset;
    tail.position = (*record)->end();
    tail.offset = (*record)->header.offset + 1;
  }
}

}  // namespace ff::transport
