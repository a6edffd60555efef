// SPDX-License-Identifier: Apache-2.0
//
// Our codec, timed step by step.
#include "tools/bench/own_codec.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <optional>

namespace ff::tools {

namespace {

using kernels::TileState;

std::vector<TileRect> tiles_of(const FrameShape& shape, const OwnCodecOptions& options) {
  const bool whole = options.tile_rows == 0 && shape.pixels() <= kernels::kTilePixelsMax;
  const std::uint32_t rows = whole ? shape.rows : options.tile_rows == 0 ? 512 : options.tile_rows;
  const std::uint32_t cols = whole ? shape.cols : options.tile_cols == 0 ? 512 : options.tile_cols;
  std::vector<TileRect> tiles;
  for (std::uint32_t row = 0; row < shape.rows; row += rows) {
    for (std::uint32_t col = 0; col < shape.cols; col += cols)
      tiles.push_back({row, col, std::min(rows, shape.rows - row), std::min(cols, shape.cols - col)});
  }
  return tiles;
}

std::vector<std::uint8_t> mask_of(const RecordingInfo& info, const TileRect& tile) {
  std::vector<std::uint8_t> mask;
  if (info.pixel_mask.empty()) return mask;
  for (std::uint32_t row = tile.row; row < tile.row + tile.rows; ++row) {
    for (std::uint32_t col = tile.col; col < tile.col + tile.cols; ++col)
      mask.push_back(info.pixel_mask[std::size_t{row} * info.shape.cols + col] != 0 ? 1 : 0);
  }
  return mask;
}

struct Times {
  double plan_s = 0, encode_s = 0, decode_s = 0;
};

/// One tile through all windows.
class TileRun {
 public:
  TileRun(const BenchFrames& frames, const TileRect& tile, kernels::Profile profile,
          const OwnCodecOptions& options, const std::vector<std::uint8_t>& mask)
      : frames_(frames),
        tile_(tile),
        options_(options),
        shape_{frames.info.shape.dtype, tile.rows, tile.cols} {
    encode_options_.profile = profile;
    encode_options_.sentinels = frames.info.sentinels;
    encode_options_.mask = mask;
    encode_options_.bound = options.bound;
  }

  Status run() {
    FF_ASSIGN(TileState writer, TileState::create(shape_));
    FF_ASSIGN(TileState reader, TileState::create(shape_));
    FF_TRY(pass(writer, reader, first_pass, bytes));
    // Once more with what the planner has kept of the stream, as an agent codes all windows but the first few.
    std::uint64_t known_bytes = 0;
    return pass(writer, reader, second_pass, known_bytes);
  }

  std::uint64_t bytes = 0;
  std::int64_t max_error = 0;
  Times first_pass, second_pass;

 private:
  Status pass(TileState& writer, TileState& reader, Times& times, std::uint64_t& coded_bytes) {
    const std::uint64_t window = options_.window_frames;
    const std::uint64_t group =
        options_.group_frames == 0 ? window : std::min<std::uint64_t>(options_.group_frames, window);
    for (std::uint64_t start = 0; start < frames_.frames; start += window) {
      const std::uint64_t end = std::min(start + window, frames_.frames);
      for (std::uint64_t first = start; first < end; first += group) {
        FF_ASSIGN(const std::size_t coded,
                  code_group(writer, reader, times, first - start, first, std::min(group, end - first)));
        coded_bytes += coded;
      }
    }
    return {};
  }

  Result<std::size_t> code_group(TileState& writer, TileState& reader, Times& times, std::uint64_t in_window,
                                 std::uint64_t first, std::uint64_t count) {
    views_.clear();
    for (std::uint64_t i = 0; i < count; ++i) views_.push_back(frames_.frame(first + i).tile(tile_));
    kernels::GroupPlace place;
    place.first_frame = static_cast<std::uint8_t>(in_window);
    place.frame_count = static_cast<std::uint8_t>(count);
    place.present = count == 64 ? ~0ull : (1ull << count) - 1;
    place.key = in_window == 0;
    block_.resize(kernels::encoded_size_bound(shape_, static_cast<std::uint32_t>(count)));
    FF_ASSIGN(const std::size_t coded, encode(writer, place, times));
    FF_TRY(decode(reader, ByteSpan(block_).first(coded), times));
    return coded;
  }

  Result<std::size_t> encode(TileState& writer, const kernels::GroupPlace& place, Times& times) {
    const double start = thread_seconds();
    FF_ASSIGN(const kernels::EncodePlanPtr plan, kernels::plan_group(writer, place, views_, encode_options_));
    const double planned = thread_seconds();
    const auto device =
        kernels::can_execute(options_.device, *plan) ? options_.device : kernels::Device::reference;
    FF_ASSIGN(const std::size_t coded, kernels::encode_group(device, writer, *plan, views_, block_));
    times.plan_s += planned - start;
    times.encode_s += thread_seconds() - planned;
    return coded;
  }

  Status decode(TileState& reader, ByteSpan block, Times& times) {
    pixels_.resize(views_.size() * shape_.bytes());
    targets_.clear();
    for (std::size_t i = 0; i < views_.size(); ++i)
      targets_.push_back(dense_view(shape_, pixels_.data() + i * shape_.bytes()));
    const double start = thread_seconds();
    FF_TRY(kernels::decode_group(options_.device, reader, block, targets_));
    times.decode_s += thread_seconds() - start;
    for (std::size_t i = 0; i < views_.size(); ++i) {
      for (std::uint32_t row = 0; row < shape_.rows; ++row) FF_TRY(compare_row(i, row));
    }
    return {};
  }

  Status compare_row(std::size_t frame, std::uint32_t row) {
    const std::byte* original = views_[frame].row(row);
    const std::byte* decoded = targets_[frame].row(row);
    if (std::memcmp(original, decoded, shape_.row_bytes()) == 0) return {};
    const auto difference = options_.bound ? row_error(original, decoded) : std::nullopt;
    if (!difference)
      return fail(Errc::crc_mismatch,
                  "a decoded pixel is not what it should be in row " + std::to_string(row));
    max_error = std::max(max_error, *difference);
    return {};
  }

  /// Largest |x - x'| of a row; nothing where one is above the bound or a sentinel has changed.
  std::optional<std::int64_t> row_error(const std::byte* original, const std::byte* decoded) {
    original_.clear();
    decoded_.clear();
    append_pixel_values(shape_.dtype, ByteSpan(original, shape_.row_bytes()), original_);
    append_pixel_values(shape_.dtype, ByteSpan(decoded, shape_.row_bytes()), decoded_);
    const std::vector<std::int64_t>& sentinels = frames_.info.sentinels;
    std::int64_t largest = 0;
    for (std::size_t i = 0; i < original_.size(); ++i) {
      if (original_[i] == decoded_[i]) continue;
      const bool sentinel = std::ranges::find(sentinels, original_[i]) != sentinels.end();
      if (sentinel || !kernels::within_bound(options_.bound, original_[i], decoded_[i])) return std::nullopt;
      largest = std::max(largest, std::abs(original_[i] - decoded_[i]));
    }
    return largest;
  }

  const BenchFrames& frames_;
  TileRect tile_;
  const OwnCodecOptions& options_;
  FrameShape shape_;
  kernels::EncodeOptions encode_options_;
  std::vector<FrameView> views_;
  std::vector<MutableFrameView> targets_;
  std::vector<std::byte> block_, pixels_;
  std::vector<std::int64_t> original_, decoded_;  ///< one row
};

struct Round {
  std::uint64_t bytes = 0;
  std::int64_t max_error = 0;
  Times first, known;
};

void add(Times& sum, const Times& part) {
  sum.plan_s += part.plan_s;
  sum.encode_s += part.encode_s;
  sum.decode_s += part.decode_s;
}

Result<Round> run_once(const BenchFrames& frames, kernels::Profile profile, const OwnCodecOptions& options) {
  Round round;
  for (const TileRect& tile : tiles_of(frames.info.shape, options)) {
    const std::vector<std::uint8_t> mask = mask_of(frames.info, tile);
    TileRun run(frames, tile, profile, options, mask);
    FF_TRY(run.run());
    round.bytes += run.bytes;
    round.max_error = std::max(round.max_error, run.max_error);
    add(round.first, run.first_pass);
    add(round.known, run.second_pass);
  }
  return round;
}

}  // namespace

Measured measure_own_codec(const BenchFrames& frames, kernels::Profile profile,
                           const OwnCodecOptions& options) {
  Measured result;
  result.codec = std::string(kernels::to_string(profile));
  result.label = "Foreframe " + result.codec;
  result.frames = frames.frames;
  result.raw_bytes = frames.pixels.size();
  const auto raw = static_cast<double>(result.raw_bytes);
  std::vector<double> all_s, planned_s, steady_s, decode_s;
  for (int i = 0; i < options.repeat; ++i) {
    const Result<Round> round = run_once(frames, profile, options);
    if (!round.ok())
      return not_measured(result.codec, result.label, MeasureState::failed, round.error().message);
    result.bytes = round->bytes;
    if (options.bound) result.max_error = static_cast<double>(round->max_error);
    all_s.push_back(round->first.plan_s + round->first.encode_s);
    planned_s.push_back((round->first.encode_s + round->known.encode_s) / 2);
    steady_s.push_back(round->known.plan_s + round->known.encode_s);
    decode_s.push_back((round->first.decode_s + round->known.decode_s) / 2);
  }
  result.encode_gb_s = gigabytes_per_second(raw, all_s);
  result.encode_planned_gb_s = gigabytes_per_second(raw, planned_s);
  result.decode_gb_s = gigabytes_per_second(raw, decode_s);
  result.encode_steady_gb_s = gigabytes_per_second(raw, steady_s);
  return result;
}

}  // namespace ff::tools
