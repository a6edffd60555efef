// SPDX-License-Identifier: Apache-2.0
//
// Small recordings for the tests of tools/: made up, in memory, and read back whole.
#pragma once

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/support/temp_dir.hpp"
#include "tools/archive/archive_encode.hpp"
#include "tools/recording/recording_writer.hpp"
#include "tools/simulator/seeded_random.hpp"

namespace ff::tools {

using Frames = std::vector<std::vector<std::byte>>;

/// Different in every frame and byte, so that a frame in the wrong place can't pass.
inline Frames made_up_frames(const FrameShape& shape, std::size_t count) {
  Frames frames;
  for (std::size_t f = 0; f < count; ++f) {
    SeededRandom random(f);
    std::vector<std::byte>& frame = frames.emplace_back(shape.bytes());
    for (std::byte& byte : frame) byte = static_cast<std::byte>(random.below(7));
  }
  return frames;
}

inline RecordingInfo info_of(const FrameShape& shape, std::size_t count) {
  RecordingInfo info;
  info.shape = shape;
  info.frames = count;
  return info;
}

inline void write_recording(const std::string& target, const RecordingInfo& info, const Frames& frames) {
  auto writer = create_recording(target, info, false);
  REQUIRE(writer.ok());
  for (const auto& frame : frames) REQUIRE((*writer)->write(frame).ok());
  REQUIRE((*writer)->finish().ok());
}

inline Frames read_all(FrameReader& reader) {
  Frames frames;
  for (std::uint64_t i = 0; i < reader.info().frames; ++i) {
    frames.emplace_back(reader.info().shape.bytes());
    const Status read = reader.read(i, frames.back());
    INFO((read.ok() ? std::string() : read.error().message));
    REQUIRE(read.ok());
  }
  return frames;
}

/// A recording that is there: a simulation ("sim:...") or a file.
inline FrameReaderPtr simulated(const std::string& source) {
  auto opened = open_recording(source);
  INFO((opened.ok() ? std::string() : opened.error().message));
  REQUIRE(opened.ok());
  return std::move(*opened);
}

/// Writes all of `reader` as the archive `path`.
inline ArchiveEncodeReport encode(FrameReader& reader, const std::string& path,
                                  const ArchiveEncodeOptions& options) {
  const auto report = encode_archive(reader, path, options, [](std::uint64_t) {});
  INFO((report.ok() ? std::string() : report.error().message));
  REQUIRE(report.ok());
  return *report;
}

/// The JSON files of the real recordings: FF_DATA_DIR, or shared/data beside the repository.
inline std::vector<std::string> real_recordings() {
  namespace fs = std::filesystem;
  const char* const given = std::getenv("FF_DATA_DIR");
  const fs::path folder =
      given != nullptr ? fs::path(given) : fs::path(FF_SOURCE_DIR).parent_path() / "shared" / "data";
  std::vector<std::string> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const fs::path json = entry.path() / (entry.path().filename().string() + ".json");
    if (fs::exists(json)) found.push_back(json.string());
  }
  return found;
}

}  // namespace ff::tools
