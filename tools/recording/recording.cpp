// SPDX-License-Identifier: Apache-2.0
//
// Chooses the body for a source, and the checks that all bodies share.
#include "tools/recording/recording.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "tools/archive/archive_decode.hpp"
#include "tools/simulator/simulator.hpp"

namespace ff::tools {

namespace {

bool ends_with_any(std::string name, std::initializer_list<std::string_view> endings) {
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::any_of(endings.begin(), endings.end(),
                     [&](std::string_view ending) { return name.ends_with(ending); });
}

/// A folder stands for the one JSON file in it.
Result<std::string> only_json_of(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".json") found.push_back(entry.path());
  }
  if (found.size() == 1) return found.front().string();
  return fail(Errc::not_found, folder.string() + ": a folder with " + std::to_string(found.size()) +
                                   " JSON files; name the recording's .json or .raw file");
}

}  // namespace

Status FrameReader::check_read(std::uint64_t index, MutableByteSpan pixels) const {
  if (index >= info_.frames) {
    return fail(Errc::out_of_range, info_.source + ": there is no frame " + std::to_string(index) +
                                        ", only " + std::to_string(info_.frames) + " frames");
  }
  if (pixels.size() != info_.shape.bytes()) {
    return fail(Errc::shape_mismatch, info_.source + ": a frame has " + std::to_string(info_.shape.bytes()) +
                                          " bytes, room was given for " + std::to_string(pixels.size()));
  }
  return {};
}

// A file's reader: the mask, a frame as it lies in the file and one on its way out of a filter.
std::uint64_t FrameReader::memory_bytes() const noexcept {
  return info_.pixel_mask.size() * sizeof(std::uint32_t) + 2 * info_.shape.bytes();
}

Result<FrameReaderPtr> open_recording(const std::string& source) {
  if (source.starts_with("sim:")) return open_simulated_recording(source);
  if (const auto colon = source.find(":/");
      colon != std::string::npos &&
      ends_with_any(source.substr(0, colon), {".h5", ".hdf5", ".nxs", ".cxi"})) {
    return open_hdf5_recording(source.substr(0, colon), source.substr(colon + 1));
  }
  std::error_code error;
  if (!std::filesystem::exists(source, error)) {
    return fail(Errc::not_found,
                source +
                    ": no such file; a source is NAME.json, NAME.raw, NAME.raw.zst, FILE.h5:/path, "
                    "FILE.tif, FILE.ffs or sim:PRESET");
  }
  if (std::filesystem::is_directory(source, error)) {
    FF_ASSIGN(const std::string json, only_json_of(source));
    return open_raw_recording(json);
  }
  if (ends_with_any(source, {".h5", ".hdf5", ".nxs", ".cxi"})) return open_hdf5_recording(source, "");
  if (ends_with_any(source, {".tif", ".tiff"})) return open_tiff_recording(source);
  if (ends_with_any(source, {".json", ".raw", ".zst"})) return open_raw_recording(source);
  if (ends_with_any(source, {".ffs"})) return open_archive_recording(source);
  return fail(Errc::invalid_argument,
              source +
                  ": can't tell the format from the name; known are .json, .raw, .raw.zst, "
                  ".h5, .hdf5, .nxs, .cxi, .tif, .tiff, .ffs and sim:PRESET");
}

Status check_recording_shape(const std::string& source, const FrameShape& shape, std::uint64_t frames) {
  if (shape.rows == 0 || shape.cols == 0 || frames == 0) {
    return fail(Errc::malformed, source + ": holds no pixels (" + std::to_string(frames) + " frames of " +
                                     std::to_string(shape.rows) + " x " + std::to_string(shape.cols) + ")");
  }
  if (shape.rows > kRecordingRowsMax || shape.cols > kRecordingRowsMax ||
      shape.bytes() > kRecordingFrameBytesMax) {
    return fail(Errc::too_large, source + ": frames of " + std::to_string(shape.rows) + " x " +
                                     std::to_string(shape.cols) + " are above 65536 a side or 1 GiB a frame");
  }
  return {};
}

std::vector<std::int64_t> conventional_sentinels(Dtype dtype) {
  switch (dtype) {
    case Dtype::u8: return {0xff};
    case Dtype::u16: return {0xffff};
    case Dtype::u32: return {0xffffffff};
    case Dtype::i8:
    case Dtype::i16:
    case Dtype::i32: return {-1, -2};
    case Dtype::f16:
    case Dtype::f32: return {};
  }
  return {};
}

Result<std::vector<std::int64_t>> parse_sentinels(const std::string& text) {
  std::vector<std::int64_t> values;
  if (text == "none") return values;
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  while (at < end) {
    std::int64_t value = 0;
    const auto [next, error] = std::from_chars(at, end, value);
    if (error != std::errc{} || (next != end && *next != ',')) break;
    values.push_back(value);
    at = next == end ? end : next + 1;
    if (at == end && next == end) {
      if (values.size() > 8) break;
      return values;
    }
  }
  return fail(Errc::invalid_argument,
              "--sentinels '" + text + "': expected up to 8 whole numbers, as in 65535 or -1,-2, or none");
}

}  // namespace ff::tools
