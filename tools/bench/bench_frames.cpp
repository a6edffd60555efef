// SPDX-License-Identifier: Apache-2.0
//
// Recordings into memory, and the entropy of their histogram.
#include "tools/bench/bench_frames.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <unordered_map>

#include "tools/bench/child_process.hpp"

namespace ff::tools {

namespace {

namespace fs = std::filesystem;

std::string name_of(const std::string& source) {
  if (source.starts_with("sim:")) return source;
  fs::path file = source.substr(
      0, source.find(".h5:") == std::string::npos ? std::string::npos : source.find(".h5:") + 3);
  file = file.filename();
  for (const char* ending :
       {".zst", ".json", ".raw", ".h5", ".tif", ".tiff", ".u8", ".u16", ".i32", ".u32"}) {
    if (file.extension() == ending) file.replace_extension();
  }
  return file.string();
}

template <typename Pixel>
void append_values(ByteSpan pixels, std::vector<std::int64_t>& values) {
  const std::span typed(reinterpret_cast<const Pixel*>(pixels.data()), pixels.size() / sizeof(Pixel));
  values.insert(values.end(), typed.begin(), typed.end());
}

}  // namespace

Result<BenchFrames> load_bench_frames(const std::string& source, std::uint64_t frames_max) {
  FF_ASSIGN(const FrameReaderPtr reader, open_recording(source));
  BenchFrames frames;
  frames.name = name_of(source);
  frames.info = reader->info();
  if (dtype_is_float(frames.info.shape.dtype))
    return fail(Errc::dtype_unsupported,
                source + ": has floating-point pixels; the codec takes whole numbers");
  frames.frames = frames_max == 0 ? frames.info.frames : std::min(frames.info.frames, frames_max);
  const std::size_t frame_bytes = frames.info.shape.bytes();
  if (frames.frames > kBenchBytesMax / frame_bytes) {
    return fail(Errc::too_large, source + ": is above 4 GiB; name fewer frames, as in --frames " +
                                     std::to_string(std::max<std::uint64_t>(1, (1u << 30) / frame_bytes)));
  }
  frames.pixels.resize(frames.frames * frame_bytes);
  for (std::uint64_t i = 0; i < frames.frames; ++i)
    FF_TRY(reader->read(i, MutableByteSpan(frames.pixels).subspan(i * frame_bytes, frame_bytes)));
  return frames;
}

void append_pixel_values(Dtype dtype, ByteSpan pixels, std::vector<std::int64_t>& values) {
  switch (dtype) {
    case Dtype::u8: return append_values<std::uint8_t>(pixels, values);
    case Dtype::i8: return append_values<std::int8_t>(pixels, values);
    case Dtype::u16: return append_values<std::uint16_t>(pixels, values);
    case Dtype::i16: return append_values<std::int16_t>(pixels, values);
    case Dtype::u32: return append_values<std::uint32_t>(pixels, values);
    default: return append_values<std::int32_t>(pixels, values);
  }
}

std::vector<std::int64_t> pixel_values(const BenchFrames& frames) {
  std::vector<std::int64_t> values;
  append_pixel_values(frames.info.shape.dtype, frames.pixels, values);
  return values;
}

double order0_bits_per_pixel(const BenchFrames& frames) {
  std::unordered_map<std::int64_t, std::uint64_t> histogram;
  const std::vector<std::int64_t> values = pixel_values(frames);
  for (const std::int64_t value : values) ++histogram[value];
  const auto total = static_cast<double>(values.size());
  double bits = 0;
  for (const auto& [value, count] : histogram) {
    const double share = static_cast<double>(count) / total;
    bits -= share * std::log2(share);
  }
  return bits;
}

std::vector<std::string> recordings_in(const std::string& folder) {
  std::vector<std::string> found;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder, none)) {
    const fs::path inside = entry.path() / (entry.path().filename().string() + ".json");
    if (entry.path().extension() == ".json" && entry.is_regular_file(none)) found.push_back(entry.path());
    if (fs::is_regular_file(inside, none)) found.push_back(inside);
  }
  std::ranges::sort(found);
  return found;
}

std::vector<std::string> recordings_at_hand() {
  if (const char* given = std::getenv("FF_DATA_DIR"); given != nullptr) return recordings_in(given);
  const auto places = find_python();
  if (!places.ok()) return {};
  return recordings_in((fs::path(places->repository).parent_path() / "shared" / "data").string());
}

}  // namespace ff::tools
