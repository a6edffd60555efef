// SPDX-License-Identifier: Apache-2.0
//
// Appends records to a file and finds the whole ones again.
#include "tools/convert/conversion_part.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "common/base/clock.hpp"
#include "common/base/crc32c.hpp"

namespace ff::tools {

namespace {

constexpr std::uint32_t kMagic = 0x50434646, kVersion = 1;  // "FFCP"
constexpr std::size_t kFileHead = 16, kRecordHead = 16;
constexpr std::uint32_t kChunksMax = 1 << 20, kFramesMax = 64;
constexpr std::int64_t kSyncEvery = 5'000'000'000;

Error os_error(const std::string& path, const char* action) {
  const bool full = errno == ENOSPC || errno == EDQUOT;
  return fail(full ? Errc::disk_full : Errc::io_error,
              path + ": can't be " + action + ": " + std::strerror(errno));
}

template <typename T>
void append_le(std::vector<std::byte>& bytes, T value) {
  bytes.resize(bytes.size() + sizeof value);
  store_le(bytes.data() + bytes.size() - sizeof value, value);
}

std::vector<std::byte> file_head(const std::string& words) {
  std::vector<std::byte> head;
  append_le(head, kMagic);
  append_le(head, kVersion);
  append_le(head, static_cast<std::uint32_t>(words.size()));
  append_le(head, crc32c(as_bytes(words)));
  const ByteSpan text = as_bytes(words);
  head.insert(head.end(), text.begin(), text.end());
  return head;
}

std::vector<std::byte> record_of(const CodedSlab& slab) {
  std::vector<std::byte> record;
  append_le(record, slab.slab);
  append_le(record, static_cast<std::uint32_t>(slab.pixel_crcs.size()));
  append_le(record, static_cast<std::uint32_t>(slab.chunks.size()));
  for (const std::uint32_t crc : slab.pixel_crcs) append_le(record, crc);
  std::uint32_t data_crc = 0;
  for (const CodedChunk& chunk : slab.chunks) {
    append_le(record, static_cast<std::uint32_t>(chunk.bytes.size()));
    append_le(record, std::uint32_t{chunk.filtered ? 1u : 0u});
    data_crc = crc32c(chunk.bytes, data_crc);
  }
  append_le(record, data_crc);
  append_le(record, crc32c(record));
  for (const CodedChunk& chunk : slab.chunks)
    record.insert(record.end(), chunk.bytes.begin(), chunk.bytes.end());
  return record;
}

// All of `out`, or false at the file's end.
bool read_exactly(int fd, std::uint64_t position, MutableByteSpan out) noexcept {
  while (!out.empty()) {
    const ssize_t got = ::pread(fd, out.data(), out.size(), static_cast<off_t>(position));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    out = out.subspan(static_cast<std::size_t>(got));
    position += static_cast<std::uint64_t>(got);
  }
  return true;
}

}  // namespace

Result<ConversionPart> ConversionPart::open(const std::string& path, const std::string& words, bool force) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return os_error(path, "opened");
  ConversionPart part(path, fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0)
    return fail(Errc::already_exists, path + ": another conversion is writing it");
  FF_TRY(part.recover(words, force));
  return part;
}

ConversionPart::ConversionPart(ConversionPart&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      end_(other.end_),
      synced_ns_(other.synced_ns_),
      positions_(std::move(other.positions_)) {}

ConversionPart::~ConversionPart() {
  if (fd_ >= 0) ::close(fd_);
}

Status ConversionPart::recover(const std::string& words, bool force) {
  struct stat about {};
  if (::fstat(fd_, &about) != 0) return os_error(path_, "read");
  const std::vector<std::byte> head = file_head(words);
  std::vector<std::byte> found(head.size());
  const bool known = read_exactly(fd_, 0, found) && found == head;
  if (!known) {
    if (about.st_size > 0 && !force) {
      return fail(Errc::already_exists, path_ +
                                            ": belongs to another conversion, or to none; remove it, or let "
                                            "--force begin anew");
    }
    return begin_anew(words);
  }
  end_ = head.size();
  for (std::uint64_t next = 0;; end_ = next) {
    const auto slab = read_at(end_, next);
    if (!slab.ok() || slab->slab != positions_.size()) break;
    positions_.push_back(end_);
  }
  if (::ftruncate(fd_, static_cast<off_t>(end_)) != 0) return os_error(path_, "cut");
  return {};
}

Status ConversionPart::begin_anew(const std::string& words) {
  if (::ftruncate(fd_, 0) != 0) return os_error(path_, "emptied");
  end_ = 0;
  return write_all(file_head(words));
}

Status ConversionPart::append(const CodedSlab& slab) {
  const std::uint64_t position = end_;
  FF_TRY(write_all(record_of(slab)));
  positions_.push_back(position);
  const std::int64_t now_ns = monotonic_now_ns();
  if (now_ns - synced_ns_ < kSyncEvery) return {};
  synced_ns_ = now_ns;
  if (::fdatasync(fd_) != 0) return os_error(path_, "made durable");
  return {};
}

Result<CodedSlab> ConversionPart::read(std::uint64_t slab) const {
  std::uint64_t next = 0;
  return read_at(positions_.at(slab), next);
}

Result<CodedSlab> ConversionPart::read_at(std::uint64_t position, std::uint64_t& next) const {
  const auto broken = [this] { return fail(Errc::crc_mismatch, path_ + ": a record of it is damaged"); };
  std::vector<std::byte> head(kRecordHead);
  if (!read_exactly(fd_, position, head)) return broken();
  const auto frames = load_le<std::uint32_t>(head.data() + 8),
             chunks = load_le<std::uint32_t>(head.data() + 12);
  if (frames == 0 || frames > kFramesMax || chunks == 0 || chunks > kChunksMax) return broken();
  head.resize(kRecordHead + 4 * std::size_t{frames} + 8 * std::size_t{chunks} + 8);
  if (!read_exactly(fd_, position, head)) return broken();
  const ByteSpan whole(head);
  if (crc32c(whole.first(head.size() - 4)) != load_le<std::uint32_t>(head.data() + head.size() - 4))
    return broken();
  ByteReader in(whole);
  CodedSlab slab;
  slab.slab = in.read<std::uint64_t>();
  static_cast<void>(in.read<std::uint64_t>());
  for (std::uint32_t i = 0; i < frames; ++i) slab.pixel_crcs.push_back(in.read<std::uint32_t>());
  position += head.size();
  std::uint32_t data_crc = 0;
  for (std::uint32_t i = 0; i < chunks; ++i) {
    CodedChunk chunk;
    chunk.bytes.resize(in.read<std::uint32_t>());
    chunk.filtered = in.read<std::uint32_t>() != 0;
    if (!read_exactly(fd_, position, chunk.bytes)) return broken();
    position += chunk.bytes.size();
    data_crc = crc32c(chunk.bytes, data_crc);
    slab.chunks.push_back(std::move(chunk));
  }
  if (data_crc != in.read<std::uint32_t>()) return broken();
  next = position;
  return slab;
}

Status ConversionPart::write_all(ByteSpan bytes) {
  std::uint64_t position = end_;
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(position));
    if (written < 0) {
      if (errno == EINTR) continue;
      return os_error(path_, "written");
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    position += static_cast<std::uint64_t>(written);
  }
  end_ = position;
  return {};
}

void ConversionPart::remove() noexcept { ::unlink(path_.c_str()); }

}  // namespace ff::tools
