// SPDX-License-Identifier: Apache-2.0
//
// Bytes of an archive file: segment header, records, index.
#include "tools/archive/archive_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "common/transport/segment_format.hpp"
#include "common/wire/envelope.hpp"

namespace ff::tools {

namespace {

constexpr std::string_view kIndexKey = "ffsindex";
constexpr std::uint32_t kIndexMagic = 0x58494646;            // "FFIX"
constexpr std::uint64_t kTrailerMagic = 0x5845444e49534646;  // "FFSINDEX"
constexpr std::size_t kIndexHeaderBytes = 16, kEntryBytes = 32, kTrailerBytes = 16;
constexpr std::uint64_t kRecordBytesMax = 1ull << 31;
constexpr std::uint8_t kEntryKeyBit = 0x80, kGroupFramesMax = 64;

std::string_view key_of(ArchiveRecord kind) {
  switch (kind) {
    case ArchiveRecord::series_start: return "series_start";
    case ArchiveRecord::block: return "block";
    case ArchiveRecord::window: return "window";
    case ArchiveRecord::series_end: return "series_end";
  }
  return "";
}

void append(std::vector<std::byte>& out, const void* data, std::size_t bytes) {
  const auto* const first = static_cast<const std::byte*>(data);
  out.insert(out.end(), first, first + bytes);
}

template <typename T>
void append_number(std::vector<std::byte>& out, T value) {
  append(out, &value, sizeof value);
}

std::vector<std::byte> pack_index(const std::vector<ArchiveEntry>& entries, std::uint64_t index_position) {
  std::vector<std::byte> out;
  out.reserve(kIndexHeaderBytes + entries.size() * kEntryBytes + kTrailerBytes);
  append_number(out, kIndexMagic);
  append_number<std::uint16_t>(out, 0);  // major
  append_number<std::uint16_t>(out, 2);  // minor
  append_number<std::uint64_t>(out, entries.size());
  for (const ArchiveEntry& entry : entries) {
    append_number(out, entry.position);
    append_number(out, entry.value_bytes);
    append_number(out, entry.window);
    append_number(out, entry.tile);
    append_number(out, entry.group);
    append_number(out, static_cast<std::uint8_t>(entry.kind));
    append_number(out, static_cast<std::uint8_t>(entry.frames | (entry.key ? kEntryKeyBit : 0)));
  }
  append_number(out, index_position);
  append_number(out, kTrailerMagic);
  return out;
}

/// What an envelope says about itself, for a file without an index. Nothing for a record of another kind.
std::optional<ArchiveEntry> entry_of(ByteSpan envelope) {
  const auto parsed = wire::parse_envelope(envelope);
  if (!parsed.ok()) return std::nullopt;
  ArchiveEntry entry;
  entry.value_bytes = envelope.size();
  const auto& header = parsed->header;
  if (header.has_series_start()) entry.kind = ArchiveRecord::series_start;
  if (header.has_series_end()) entry.kind = ArchiveRecord::series_end;
  if (header.has_window()) {
    entry.kind = ArchiveRecord::window;
    entry.window = header.window().window();
  }
  if (header.has_block()) {
    entry.window = header.block().window();
    entry.tile = header.block().tile();
    entry.group = static_cast<std::uint16_t>(header.block().group());
    entry.frames = static_cast<std::uint8_t>(std::min(header.block().frame_count(), 255u));
    entry.first_frame = static_cast<std::uint8_t>(std::min(header.block().first_frame(), 255u));
    entry.key = header.block().key();
  }
  return entry;
}

/// One entry of the index; nothing of a kind of a later version, which is not needed to decode.
std::optional<ArchiveEntry> unpack_entry(ByteReader& reader) {
  ArchiveEntry entry;
  entry.position = reader.read<std::uint64_t>();
  entry.value_bytes = reader.read<std::uint64_t>();
  entry.window = reader.read<std::uint64_t>();
  entry.tile = reader.read<std::uint32_t>();
  entry.group = reader.read<std::uint16_t>();
  const auto kind = reader.read<std::uint8_t>();
  const auto frames = reader.read<std::uint8_t>();
  if (kind < 1 || kind > 4) return std::nullopt;
  entry.kind = static_cast<ArchiveRecord>(kind);
  entry.frames = frames & (kEntryKeyBit - 1);
  entry.key = (frames & kEntryKeyBit) != 0;
  return entry;
}

}  // namespace

Result<ArchiveWriter> ArchiveWriter::create(const std::string& path, bool force, const Uuid& log_id,
                                            std::int64_t created_utc_ns) {
  FF_ASSIGN(PartFile file, PartFile::create(path, force));
  ArchiveWriter writer(std::move(file));
  transport::SegmentHeader header;
  header.log_id = log_id;
  header.created_utc_ns = created_utc_ns;
  FF_TRY(writer.file_.write(transport::pack(header)));
  return writer;
}

Status ArchiveWriter::append(ArchiveEntry entry, ByteSpan envelope) {
  entry.position = file_.bytes_written();
  entry.value_bytes = envelope.size();
  FF_TRY(write_record(key_of(entry.kind), envelope));
  entries_.push_back(entry);
  return {};
}

Status ArchiveWriter::write_record(std::string_view key, ByteSpan value) {
  transport::RecordHeader header;
  header.offset = next_offset_++;
  header.value_bytes = value.size();
  header.key_bytes = static_cast<std::uint32_t>(key.size());
  header.body_crc = transport::body_crc(key, value);
  FF_TRY(file_.write(transport::pack(header)));
  FF_TRY(file_.write(as_bytes(key)));
  FF_TRY(file_.write(value));
  constexpr std::byte kZeros[transport::kRecordAlignment] = {};
  const std::uint64_t used = transport::kRecordHeaderBytes + key.size() + value.size();
  return file_.write(ByteSpan(kZeros).first(header.total_bytes() - used));
}

Status ArchiveWriter::finish() {
  const std::uint64_t position = file_.bytes_written();
  FF_TRY(write_record(kIndexKey, pack_index(entries_, position)));
  return file_.commit();
}

Result<ArchiveReader> ArchiveReader::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return fail(errno == ENOENT ? Errc::not_found : Errc::io_error,
                path + ": can't be opened: " + std::strerror(errno));
  }
  struct stat about {};
  const bool regular = ::fstat(fd, &about) == 0 && S_ISREG(about.st_mode);
  ArchiveReader reader(path, fd, regular ? static_cast<std::uint64_t>(about.st_size) : 0);
  if (!regular) return fail(Errc::invalid_argument, path + ": is not a file");
  std::vector<std::byte> head(std::min<std::uint64_t>(reader.file_bytes_, transport::kSegmentHeaderBytes));
  FF_TRY(reader.read_at(0, head));
  FF_ASSIGN(const transport::SegmentHeader header, transport::unpack_segment_header(head, path));
  FF_ASSIGN(reader.has_index_, reader.load_index());
  if (!reader.has_index_) FF_TRY(reader.scan(header.header_bytes));
  return reader;
}

ArchiveReader::ArchiveReader(ArchiveReader&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      file_bytes_(other.file_bytes_),
      has_index_(other.has_index_),
      entries_(std::move(other.entries_)) {}

ArchiveReader::~ArchiveReader() {
  if (fd_ >= 0) ::close(fd_);
}

Status ArchiveReader::read_at(std::uint64_t position, MutableByteSpan bytes) const {
  while (!bytes.empty()) {
    const ssize_t got = ::pread(fd_, bytes.data(), bytes.size(), static_cast<off_t>(position));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      return fail(got == 0 ? Errc::truncated : Errc::io_error,
                  path_ + ": can't be read at byte " + std::to_string(position) +
                      (got == 0 ? ": it ends there" : std::string(": ") + std::strerror(errno)));
    }
    position += static_cast<std::uint64_t>(got);
    bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

/// The index as it lies in the file; nothing where a number of the trailer is wrong: no index.
Result<std::optional<std::vector<std::byte>>> ArchiveReader::read_index() const {
  constexpr std::uint64_t kSmallest =
      transport::kRecordHeaderBytes + kIndexKey.size() + kIndexHeaderBytes + kTrailerBytes;
  using Index = std::optional<std::vector<std::byte>>;
  if (file_bytes_ < transport::kSegmentHeaderBytes + kSmallest) return Index();
  std::byte trailer[kTrailerBytes];
  FF_TRY(read_at(file_bytes_ - kTrailerBytes, trailer));
  const auto position = load_le<std::uint64_t>(trailer);
  if (load_le<std::uint64_t>(trailer + 8) != kTrailerMagic) return Index();
  if (position < transport::kSegmentHeaderBytes || position > file_bytes_ - kSmallest) return Index();
  const std::uint64_t bytes = file_bytes_ - position - transport::kRecordHeaderBytes - kIndexKey.size();
  FF_ASSIGN(std::vector<std::byte> index, read({position, bytes, 0, 0, 0, ArchiveRecord::block}));
  return Index(std::move(index));
}

Result<bool> ArchiveReader::load_index() {
  FF_ASSIGN(const auto index, read_index());
  if (!index) return false;
  ByteReader reader(*index);
  const auto magic = reader.read<std::uint32_t>(), version = reader.read<std::uint32_t>();
  const auto count = reader.read<std::uint64_t>();
  const Error contradiction{Errc::malformed, path_ + ": its index contradicts itself"};
  if (magic != kIndexMagic || count != (index->size() - kIndexHeaderBytes - kTrailerBytes) / kEntryBytes)
    return contradiction;
  if (version == 0x10000) return false;  // 0.1 doesn't say which groups are key groups: their envelopes do
  if (version != 0x20000)
    return fail(Errc::unsupported_version,
                path_ + ": its index is not of version 0.1 or 0.2, which this build reads");
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto entry = unpack_entry(reader);
    if (!entry) continue;
    if (entry->frames > kGroupFramesMax) return contradiction;
    entries_.push_back(*entry);
  }
  return true;
}

Status ArchiveReader::scan(std::uint64_t position) {
  std::byte head[transport::kRecordHeaderBytes];
  while (position + sizeof head <= file_bytes_) {
    FF_TRY(read_at(position, head));
    const auto header = transport::unpack_record_header(head);
    if (!header || header->total_bytes() > file_bytes_ - position) return {};  // a torn tail
    const ArchiveEntry place{position, header->value_bytes, 0, 0, 0, ArchiveRecord::block};
    const auto envelope = read(place);
    if (!envelope.ok()) {
      entries_.push_back(place);  // damaged: reading it will say so
    } else if (auto entry = entry_of(*envelope)) {
      entry->position = position;
      entries_.push_back(*entry);
    }
    position += header->total_bytes();
  }
  return {};
}

Result<std::vector<std::byte>> ArchiveReader::read(const ArchiveEntry& entry) const {
  const std::string where = path_ + ": record at byte " + std::to_string(entry.position);
  if (entry.position > file_bytes_ || file_bytes_ - entry.position < transport::kRecordHeaderBytes) {
    return fail(Errc::malformed, where + " lies outside the file");
  }
  std::byte head[transport::kRecordHeaderBytes];
  FF_TRY(read_at(entry.position, head));
  const auto header = transport::unpack_record_header(head);
  if (!header) return fail(Errc::crc_mismatch, where + ": its header is damaged");
  if (header->value_bytes != entry.value_bytes || header->value_bytes > kRecordBytesMax ||
      header->total_bytes() > file_bytes_ - entry.position) {
    return fail(Errc::malformed, where + ": its length contradicts index or file");
  }
  std::vector<std::byte> key(header->key_bytes), value(header->value_bytes);
  FF_TRY(read_at(entry.position + transport::kRecordHeaderBytes, key));
  FF_TRY(read_at(entry.position + transport::kRecordHeaderBytes + key.size(), value));
  if (transport::body_crc(as_text(key), value) != header->body_crc)
    return fail(Errc::crc_mismatch, where + ": its bytes have changed");
  return value;
}

}  // namespace ff::tools
