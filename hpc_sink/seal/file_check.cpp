// SPDX-License-Identifier: Apache-2.0
//
// Ledger check: data files against the leaves.
#include <map>

#include "hpc_sink/seal/ledger_check.hpp"
#include "hpc_sink/seal/window_leaf.hpp"

namespace ff::sink {
namespace {

constexpr int kFindingsMax = 8;  // findings of one file

struct SealedFrame {
  std::uint32_t pixel_crc = 0;
  bool found = false;
};
using SealedFrames = std::map<std::pair<std::uint32_t, std::uint64_t>, SealedFrame>;  // stream, frame

std::map<std::uint32_t, std::uint32_t> window_frames_of(const SealBody& body) {
  std::map<std::uint32_t, std::uint32_t> frames;
  for (const auto& stream : body.streams()) frames[stream.stream()] = stream.window_frames();
  return frames;
}

SealedFrames stored_frames(const std::vector<std::string>& leaves, const SealBody& body) {
  const auto window_frames = window_frames_of(body);
  SealedFrames frames;
  for (const std::string& bytes : leaves) {
    const auto leaf = parse_leaf(as_bytes(bytes));
    const auto width = leaf.ok() ? window_frames.find(leaf->stream) : window_frames.end();
    if (width == window_frames.end()) continue;
    for (std::size_t i = 0; i < leaf->window.fates.size(); ++i)
      if (is_stored(leaf->window.fates[i]))
        frames[{leaf->stream, leaf->window.window * width->second + i}] = {pixel_crc_of(leaf->window, i),
                                                                           false};
  }
  return frames;
}

void check_rows(const std::string& name, const ReadDataFile& content, SealedFrames& frames,
                LedgerCheck& check) {
  int named = 0;
  const auto complain = [&](std::int64_t frame, const char* what) {
    if (++named <= kFindingsMax)
      check.broken.push_back("file " + name + ": frame " + std::to_string(frame) + " " + what);
  };
  for (std::size_t row = 0; row < content.index.frame_numbers.size(); ++row, ++check.frames) {
    const std::int64_t number = content.index.frame_numbers[row];
    const auto sealed = frames.find({content.head.stream.stream, static_cast<std::uint64_t>(number)});
    if (sealed == frames.end()) {
      complain(number, "is not sealed as stored");
      continue;
    }
    sealed->second.found = true;
    // 0: sealed by a sink whose catalogue was of version 1 and whose file could not be read.
    if (sealed->second.pixel_crc != content.index.pixel_crcs[row])
      complain(number, "has other pixels than were sealed");
  }
  if (named > kFindingsMax)
    check.broken.push_back("file " + name + ": " + std::to_string(named) + " frames in all");
}

void name_missing(const SealedFrames& frames, LedgerCheck& check) {
  std::map<std::uint32_t, std::vector<FrameRange>> missing;
  for (const auto& [key, frame] : frames) {
    if (frame.found) continue;
    auto& ranges = missing[key.first];
    if (!ranges.empty() && ranges.back().last + 1 == key.second)
      ranges.back().last = key.second;
    else
      ranges.push_back({key.second, key.second});
  }
  for (const auto& [stream, ranges] : missing) {
    std::string text;
    for (std::size_t i = 0; i < ranges.size() && i < kFindingsMax; ++i)
      text += (i == 0 ? "" : ", ") + std::to_string(ranges[i].first) +
              (ranges[i].last == ranges[i].first ? "" : "-" + std::to_string(ranges[i].last));
    check.broken.push_back("stream " + std::to_string(stream) + ": frames " + text +
                           (ranges.size() > kFindingsMax ? " ..." : "") +
                           " are sealed as stored, and no file here holds them");
  }
}

}  // namespace

void check_files(const std::filesystem::path& folder, const std::vector<std::string>& files,
                 const std::vector<std::string>& leaves, const CheckOptions& options, LedgerCheck& check) {
  if (!check.body) return;
  SealedFrames frames = stored_frames(leaves, *check.body);
  check.decoded = options.deep;
  for (const std::string& name : files) {
    if (name.empty() || name.find('/') != std::string::npos) {
      check.broken.push_back("file \"" + name + "\": not a name beside the master");
      continue;
    }
    if (!std::filesystem::exists(folder / name)) {
      check.broken.push_back("file " + name + ": it is not there");
      continue;
    }
    ++check.files;
    const auto content = read_data_file(folder / name, options.deep);
    if (!content.ok())
      check.broken.push_back("file " + name + ": " + content.error().message);
    else if (content->head.stream.series.to_wire() != check.body->series_uid())
      check.broken.push_back("file " + name + ": it is of another series");
    else
      check_rows(name, *content, frames, check);
  }
  name_missing(frames, check);
}

}  // namespace ff::sink
