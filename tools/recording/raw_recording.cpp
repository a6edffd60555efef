// SPDX-License-Identifier: Apache-2.0
//
// Raw recordings: a JSON file that names shape and dtype, and a file of plain pixels, perhaps
// zstd-compressed.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <unistd.h>
#include <zstd.h>

#include <nlohmann/json.hpp>

#include "tools/recording/recording.hpp"

namespace ff::tools {

namespace {

using nlohmann::json;
namespace fs = std::filesystem;

struct FileCloser {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, FileCloser>;

Result<File> open_file(const std::string& path) {
  File file(std::fopen(path.c_str(), "rb"));
  if (file) return file;
  const bool missing = errno == ENOENT;
  return fail(missing ? Errc::not_found : Errc::io_error,
              path + ": can't be opened: " + std::strerror(errno));
}

/// Plain pixels on disk.
class PlainRawReader final : public FrameReader {
 public:
  PlainRawReader(RecordingInfo info, File file, std::string path)
      : FrameReader(std::move(info)), file_(std::move(file)), path_(std::move(path)) {}

  bool reads_side_by_side() const noexcept override { return true; }

  Status read(std::uint64_t index, MutableByteSpan pixels) override {
    FF_TRY(check_read(index, pixels));
    auto position = static_cast<off_t>(index * info_.shape.bytes());
    while (!pixels.empty()) {
      const ssize_t got = ::pread(::fileno(file_.get()), pixels.data(), pixels.size(), position);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) {
        return fail(Errc::io_error,
                    path_ + ": frame " + std::to_string(index) + " can't be read; did the file shrink?");
      }
      position += got;
      pixels = pixels.subspan(static_cast<std::size_t>(got));
    }
    return {};
  }

 private:
  File file_;
  std::string path_;
};

struct DStreamFree {
  void operator()(ZSTD_DStream* stream) const noexcept { ZSTD_freeDStream(stream); }
};

/// zstd-compressed pixels, decompressed as they are asked for; going back starts again.
class ZstdRawReader final : public FrameReader {
 public:
  ZstdRawReader(RecordingInfo info, File file, std::string path)
      : FrameReader(std::move(info)),
        file_(std::move(file)),
        path_(std::move(path)),
        stream_(ZSTD_createDStream()),
        input_(ZSTD_DStreamInSize()) {}

  Status read(std::uint64_t index, MutableByteSpan pixels) override {
    FF_TRY(check_read(index, pixels));
    if (index < next_) rewind();
    for (; next_ < index; ++next_) FF_TRY(fill(pixels));  // decoded over and over into the caller's room
    FF_TRY(fill(pixels));
    ++next_;
    return {};
  }

 private:
  void rewind() {
    std::rewind(file_.get());
    ZSTD_DCtx_reset(stream_.get(), ZSTD_reset_session_only);
    waiting_ = {nullptr, 0, 0};
    next_ = 0;
  }

  Status fill(MutableByteSpan pixels) {
    ZSTD_outBuffer out{pixels.data(), pixels.size(), 0};
    while (out.pos < out.size) {
      if (waiting_.pos == waiting_.size) FF_TRY(refill(out.pos));
      const std::size_t left = ZSTD_decompressStream(stream_.get(), &out, &waiting_);
      if (ZSTD_isError(left)) {
        return fail(Errc::malformed, path_ + ": frame " + std::to_string(next_) + ": zstd says " +
                                         ZSTD_getErrorName(left) + "; the file is damaged, copy it again");
      }
    }
    return {};
  }

  Status refill(std::size_t have) {
    const std::size_t got = std::fread(input_.data(), 1, input_.size(), file_.get());
    if (got == 0) {
      return fail(Errc::truncated, path_ + ": ends inside frame " + std::to_string(next_) + " after " +
                                       std::to_string(have) + " of its bytes; the JSON promises " +
                                       std::to_string(info_.frames) + " frames");
    }
    waiting_ = {input_.data(), got, 0};
    return {};
  }

  File file_;
  std::string path_;
  std::unique_ptr<ZSTD_DStream, DStreamFree> stream_;
  std::vector<std::byte> input_;
  ZSTD_inBuffer waiting_{nullptr, 0, 0};
  std::uint64_t next_ = 0;
};

/// "a.u16.raw.zst" is described by a.u16.raw.zst.json, a.u16.raw.json, a.u16.json or a.json.
Result<std::string> json_beside(const std::string& raw_path) {
  fs::path stem = raw_path;
  std::error_code error;
  for (;;) {
    const fs::path candidate = stem.string() + ".json";
    if (fs::is_regular_file(candidate, error)) return candidate.string();
    if (!stem.has_extension()) break;
    stem.replace_extension();
  }
  return fail(Errc::not_found, raw_path + ": no JSON file beside it says shape and dtype; write " +
                                   stem.string() + ".json with {\"file\": \"" +
                                   fs::path(raw_path).filename().string() +
                                   "\", \"shape\": [frames, rows, cols], \"dtype\": \"uint16\"}");
}

Result<json> load_json(const std::string& path) {
  std::error_code error;
  if (const auto size = fs::file_size(path, error); error || size > (16u << 20)) {
    return fail(
        error ? Errc::not_found : Errc::too_large,
        path + (error ? ": can't be opened: " + error.message() : ": above 16 MiB, not a recording's JSON"));
  }
  std::ifstream stream(path);
  json parsed = json::parse(stream, nullptr, false);
  if (parsed.is_discarded() || !parsed.is_object())
    return fail(Errc::malformed, path + ": is not a JSON object");
  return parsed;
}

Result<std::uint64_t> positive_number(const json& value, const std::string& where) {
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > 0) return value.get<std::uint64_t>();
  return fail(Errc::malformed, where + ": expected a whole number above 0, found " + value.dump());
}

Status read_shape(const json& described, const std::string& path, RecordingInfo& info) {
  const auto shape = described.find("shape");
  if (shape == described.end() || !shape->is_array() || shape->size() != 3) {
    return fail(Errc::malformed, path + ": needs \"shape\": [frames, rows, cols]");
  }
  FF_ASSIGN(info.frames, positive_number((*shape)[0], path + ": shape[0]"));
  FF_ASSIGN(const std::uint64_t rows, positive_number((*shape)[1], path + ": shape[1]"));
  FF_ASSIGN(const std::uint64_t cols, positive_number((*shape)[2], path + ": shape[2]"));
  if (rows > kRecordingRowsMax || cols > kRecordingRowsMax || info.frames > (1ull << 40)) {
    return fail(Errc::too_large, path + ": shape " + shape->dump() + " is above 65536 rows or columns");
  }
  info.shape.rows = static_cast<std::uint32_t>(rows);
  info.shape.cols = static_cast<std::uint32_t>(cols);
  const auto dtype = described.find("dtype");
  const auto known =
      dtype != described.end() && dtype->is_string() ? parse_dtype(dtype->get<std::string>()) : std::nullopt;
  if (!known) {
    return fail(Errc::dtype_unsupported,
                path + ": needs \"dtype\": uint8, uint16, uint32, int8, int16, int32, float16 or float32");
  }
  info.shape.dtype = *known;
  return check_recording_shape(path, info.shape, info.frames);
}

/// Declared sentinels; without them, a recording that says that some pixels are masked uses its dtype's
/// convention.
Status read_sentinels(const json& described, const std::string& path, RecordingInfo& info) {
  const auto declared = described.find("sentinels");
  if (declared == described.end()) {
    const double masked = described.value(json::json_pointer("/stats/masked_fraction"), 0.0);
    if (masked > 0) info.sentinels = conventional_sentinels(info.shape.dtype);
    return {};
  }
  if (!declared->is_array() || declared->size() > 8)
    return fail(Errc::malformed, path + ": \"sentinels\" is a list of at most 8 numbers");
  for (const json& value : *declared) {
    if (!value.is_number_integer())
      return fail(Errc::malformed, path + ": sentinel " + value.dump() + " is no whole number");
    info.sentinels.push_back(value.get<std::int64_t>());
  }
  return {};
}

Status read_mask(const json& described, const fs::path& folder, RecordingInfo& info) {
  const auto named = described.find("pixel_mask");
  if (named == described.end() || !named->is_string()) return {};
  const std::string path = (folder / named->get<std::string>()).string();
  FF_ASSIGN(const File file, open_file(path));
  info.pixel_mask.resize(info.shape.pixels());
  if (std::fread(info.pixel_mask.data(), 4, info.pixel_mask.size(), file.get()) != info.pixel_mask.size()) {
    return fail(Errc::truncated, path + ": a pixel mask has one uint32 for each pixel of a frame");
  }
  return {};
}

Result<RecordingInfo> read_description(const std::string& json_path, const json& described) {
  RecordingInfo info;
  info.source = json_path;
  FF_TRY(read_shape(described, json_path, info));
  if (const auto order = described.find("byteorder"); order != described.end() && *order != "little") {
    return fail(Errc::malformed, json_path + ": byteorder must be \"little\"");
  }
  if (const auto time = described.find("frame_time_s"); time != described.end() && time->is_number()) {
    info.frame_time_s = time->get<double>();
  }
  if (const auto shows = described.find("shows"); shows != described.end() && shows->is_string()) {
    info.description = shows->get<std::string>();
  }
  if (const auto mode = described.find("detector_mode"); mode != described.end() && mode->is_string()) {
    info.detector_mode = mode->get<std::string>();
  }
  FF_TRY(read_sentinels(described, json_path, info));
  FF_TRY(read_mask(described, fs::path(json_path).parent_path(), info));
  return info;
}

}  // namespace

Result<FrameReaderPtr> open_raw_recording(const std::string& path) {
  std::string json_path = path;
  if (!path.ends_with(".json")) {
    FF_ASSIGN(json_path, json_beside(path));
  }
  try {  // nlohmann throws on a type it did not expect, as in a string for masked_fraction
    FF_ASSIGN(const json described, load_json(json_path));
    FF_ASSIGN(RecordingInfo info, read_description(json_path, described));
    std::string raw_path = path;
    if (path == json_path) {
      const auto named = described.find("file");
      if (named == described.end() || !named->is_string()) {
        return fail(Errc::malformed, json_path + ": needs \"file\": the name of the raw file beside it");
      }
      raw_path = (fs::path(json_path).parent_path() / named->get<std::string>()).string();
    }
    info.source = path;
    FF_ASSIGN(File file, open_file(raw_path));
    if (raw_path.ends_with(".zst")) {
      return FrameReaderPtr(std::make_unique<ZstdRawReader>(std::move(info), std::move(file), raw_path));
    }
    const std::uint64_t expected = info.frames * info.shape.bytes();
    if (const auto size = fs::file_size(raw_path); size != expected) {
      return fail(size < expected ? Errc::truncated : Errc::malformed,
                  raw_path + ": has " + std::to_string(size) + " bytes, " + json_path + " promises " +
                      std::to_string(expected));
    }
    return FrameReaderPtr(std::make_unique<PlainRawReader>(std::move(info), std::move(file), raw_path));
  } catch (const std::exception& exception) {
    return fail(Errc::malformed, json_path + ": " + exception.what());
  }
}

}  // namespace ff::tools
