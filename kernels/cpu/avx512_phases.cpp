// SPDX-License-Identifier: Apache-2.0
//
// The model phases in AVX-512: a turn's rows are predicted, coded and seen while they are in the first caches.
#include <algorithm>
#include <cstring>

#include "kernels/cpu/avx512_lanes.hpp"
#include "kernels/cpu/avx512_phase_rows.hpp"
#include "kernels/cpu/cpu_paths.hpp"
#include "kernels/format/frequencies.hpp"

// From here on this file's own functions are compiled for AVX-512; what the headers above define is not.
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,bmi2,popcnt")

namespace ff::kernels::cpu::avx512 {
namespace {

constexpr std::size_t kSlots = 8;  // turns whose levels are kept: more than kPhaseStateLag

bool direct(const LevelCodec& codec, const FrameShape& shape) noexcept {
  return codec.identity() && dtype_bytes(shape.dtype) == 2;
}

// Contexts, bases and expectations of a batch's rows, one after the other.
class BatchBuffers {
 public:
  explicit BatchBuffers(std::size_t width_max) {
    const std::size_t size = kBatchRows * width_max;
    thread_local Scratch<std::uint16_t> memory;
    contexts_ = memory.get(3 * size + 32);
    bases_ = contexts_ + size;
    expected_ = bases_ + size;
  }
  [[nodiscard]] RowBuffers at(std::size_t position) const noexcept {
    return {contexts_ + position, bases_ + position, expected_ + position};
  }

 private:
  std::uint16_t *contexts_, *bases_, *expected_;
};

// Level planes of the upper levels, and ee of level 1 where these have coded it.
class UpperLevels {
 public:
  UpperLevels(const FrameShape& tile, unsigned levels) : tile_(tile) {
    if (levels > 1) first_ = PaddedPlane((tile.rows + 1) / 2, (tile.cols + 1) / 2);
    for (unsigned level = 2; level <= levels; ++level) {
      auto& planes = upper_.emplace_back();
      for (std::size_t k = 0; k < kPhases; ++k) {
        const PhasePlaneShape shape = phase_plane(tile.rows, tile.cols, level, k);
        planes[k] = PaddedPlane(shape.rows, shape.cols);
      }
    }
  }

  [[nodiscard]] PaddedPlane& plane(unsigned level, Phase phase) noexcept {
    return level == 1 ? first_ : upper_[level - 2][static_cast<std::size_t>(phase)];
  }
  void merge(unsigned level) noexcept {
    PaddedPlane& to = plane(level - 1, Phase::ee);
    for (std::uint32_t y = 0; y < to.rows(); ++y) {
      const bool odd = y % 2 != 0;
      join_row(plane(level, odd ? Phase::oe : Phase::ee).row(y / 2),
               plane(level, odd ? Phase::oo : Phase::eo).row(y / 2), to.cols(), to.row(y));
    }
  }

 private:
  FrameShape tile_;
  PaddedPlane first_;
  std::vector<std::array<PaddedPlane, kPhases>> upper_;
};

// ------------------------------------------------------------------------------------------------ encoder

// One frame's levels and symbols in coding order.
struct CodedFrame {
  std::uint16_t* symbols = nullptr;
  std::uint16_t* levels = nullptr;
  std::size_t positions = 0;
};

// Cuts frames into the rows of their planes.
class FrameSplitter {
 public:
  FrameSplitter(const PhaseWalk& walk, const PredictorState& state, const FrameView& frame,
                std::uint16_t* levels)
      : walk_(walk),
        state_(state),
        frame_(frame),
        levels_(levels),
        row_at_(walk.row_positions()),
        upper_(frame.shape, walk.levels()),
        row_(frame.shape.cols + 64) {}

  // Pixel rows 2y and 2y + 1.
  void split_pair(std::uint32_t y) {
    for (std::uint32_t r = 2 * y; r < std::min(2 * y + 2, frame_.shape.rows); ++r) {
      const bool odd = r % 2 != 0;
      split_row(pixel_row(r), frame_.shape.cols, target(1, odd ? Phase::oe : Phase::ee, y),
                target(1, odd ? Phase::oo : Phase::eo, y));
    }
  }
  // All of a frame whose upper levels are coded first.
  void split_whole() {
    for (std::uint32_t y = 0; y < (frame_.shape.rows + 1) / 2; ++y) split_pair(y);
    for (unsigned level = 2; level <= walk_.levels(); ++level) {
      const PaddedPlane& from = upper_.plane(level - 1, Phase::ee);
      for (std::uint32_t r = 0; r < from.rows(); ++r) {
        const bool odd = r % 2 != 0;
        split_row(from.row(r), from.cols(), target(level, odd ? Phase::oe : Phase::ee, r / 2),
                  target(level, odd ? Phase::oo : Phase::eo, r / 2));
      }
    }
  }
  [[nodiscard]] std::size_t row_at(const PhaseRow& row) const noexcept { return row_at_[row.plane][row.y]; }

 private:
  [[nodiscard]] const std::uint16_t* pixel_row(std::uint32_t r) noexcept {
    if (direct(state_.codec, frame_.shape)) return reinterpret_cast<const std::uint16_t*>(frame_.row(r));
    state_.codec.levels_of_row(frame_.row(r), frame_.shape.cols, row_.data());
    return row_.data();
  }
  [[nodiscard]] std::uint16_t* target(unsigned level, Phase phase, std::uint32_t y) noexcept {
    const bool first = level == walk_.levels() && phase == Phase::ee;
    if (phase == Phase::ee && !first) return upper_.plane(level, phase).row(y);
    const std::size_t plane = first ? 0 : 3 * (walk_.levels() - level) + static_cast<std::size_t>(phase);
    return levels_ + row_at_[plane][y];
  }

  const PhaseWalk& walk_;
  const PredictorState& state_;
  const FrameView& frame_;
  std::uint16_t* levels_;
  std::vector<std::vector<std::size_t>> row_at_;
  UpperLevels upper_;
  std::vector<std::uint16_t> row_;
};

void learn_pair(PhaseWalk& walk, const PhaseRows& rows, PredictorState& state, std::uint32_t y) {
  for (std::size_t k = 0; k < kPhases; ++k) {
    PhasePlaneState& plane = state.phases->planes[k];
    const auto phase = static_cast<Phase>(k);
    if (y < plane.mean.rows()) rows.learn(plane, y, walk.seen(phase, y), walk.miss(phase, y));
  }
  walk.close_learned(y);
}

bool pair_complete(const PhaseBatch& batch, const FrameShape& tile) noexcept {
  return batch.turn != kNoTurn && batch.turn >= kPhaseStateLag &&
         batch.turn - kPhaseStateLag < (tile.rows + 1) / 2;
}

void tokenize_frame(PhaseWalk& walk, PhaseRows& rows, PredictorState& state, const FrameMix& mixes,
                    const FrameView& frame, const CodedFrame& out) {
  FrameSplitter splitter(walk, state, frame, out.levels);
  const BatchBuffers buffers(walk.width_max());
  const bool whole = walk.levels() > 1;
  if (whole) splitter.split_whole();
  rows.begin_frame();
  walk.for_each_batch(
      [&](const PhaseBatch& batch) {
        if (!whole && 2 * batch.turn < frame.shape.rows) splitter.split_pair(batch.turn);
        for (const PhaseRow& row : batch.span()) {
          const std::size_t width = walk.width(row.plane), at = splitter.row_at(row);
          const RowBuffers buffer = buffers.at(0);
          rows.predict(walk.inputs(row), *mixes[row.plane], width, walk.idle(row), buffer);
          tokenize(out.levels + at, buffer, width, out.symbols + at);
          rows.settle(out.levels + at, buffer.expected, width, walk.idle(row), walk.seen(row),
                      walk.miss(row));
          walk.close(row);
        }
        if (pair_complete(batch, frame.shape)) learn_pair(walk, rows, state, batch.turn - kPhaseStateLag);
      },
      [&](unsigned level) { walk.merge(level); });
  walk.end_frame();
}

// How often each symbol occurs, idle ones left out. Two counters a symbol, because a counter that was just written
// is slow to read.
class SymbolCounts {
 public:
  SymbolCounts() : counts_(2 * (kIdleSymbol + 1)) {}

  void add(const CodedFrame& frame) noexcept {
    for (std::size_t i = 0; i < frame.positions; i += 4) {
      std::uint64_t four = 0;
      std::memcpy(&four, frame.symbols + i, sizeof four);
      ++counts_[2 * (four & 0xffff)];
      ++counts_[2 * (four >> 16 & 0xffff) + 1];
      ++counts_[2 * (four >> 32 & 0xffff)];
      ++counts_[2 * (four >> 48) + 1];
    }
  }
  [[nodiscard]] ContextTables tables(const ContextTables& classes) const {
    std::size_t contexts = 0;
    for (const ContextClass& c : classes.classes) contexts += c.contexts();
    std::vector<Histogram> histograms(contexts);
    for (std::size_t i = 0; i < contexts * kSymbols; ++i)
      histograms[i / kSymbols][i % kSymbols] = counts_[2 * i] + counts_[2 * i + 1];
    return counted_tables(classes, histograms);
  }

 private:
  std::vector<std::uint32_t> counts_;
};

}  // namespace

std::optional<std::vector<std::vector<std::uint16_t>>> encode_phases(TileState::Body& body,
                                                                     const GroupCoding& coding,
                                                                     GroupFrames frames,
                                                                     std::size_t bytes_max) {
  thread_local Scratch<std::uint16_t> token_memory, word_memory;
  PredictorState& state = *body.predictor;
  PhaseWalk walk(body.shape, state);
  PhaseRows rows(state, coding.group);
  const PhaseSetup& setup = state.setup.phases;
  const std::size_t stride =
      std::max(walk.positions(state.frames == 0 ? setup.key_levels : setup.later_levels),
               walk.positions(setup.later_levels));
  std::uint16_t* tokens = token_memory.get(2 * stride * frames.size());
  std::vector<CodedFrame> coded;
  std::optional<SymbolCounts> counts;
  if (coding.count_frequencies) counts.emplace();
  for (std::size_t t = 0; t < frames.size(); ++t) {
    walk.begin_frame();
    std::uint16_t* symbols = tokens + 2 * stride * t;
    coded.push_back({symbols, symbols + stride, walk.positions(walk.levels())});
    tokenize_frame(walk, rows, state, coding.mixes[t], frames[t], coded.back());
    if (counts) counts->add(coded.back());
  }
  if (counts) state.tables = std::make_shared<const ContextTables>(counts->tables(*state.tables));
  const std::size_t streams = coding.group.streams;
  const std::size_t frame_words = (stride / kLanes / streams + 2) * 2 * kLanes;
  const std::size_t words_max =
      std::min(bytes_max / 2, frames.size() * frame_words) + frame_words + 2 * kLanes;
  StreamEncoder encoder(*state.tables, state.setup.levels.level_bits, streams, words_max,
                        word_memory.get(streams * words_max));
  for (std::size_t t = frames.size(); t-- > 0;) {
    if (!encoder.put_frame({coded[t].symbols, coded[t].levels}, coded[t].positions)) return std::nullopt;
  }
  return encoder.finish();
}

// ------------------------------------------------------------------------------------------------ decoder
namespace {

// Levels of the last turns' rows, until their pixels are complete; then writes these.
class LevelRing {
 public:
  LevelRing(const PredictorState& state, const FrameShape& tile, std::size_t width_max)
      : state_(state), tile_(tile), slot_((kBatchRows * width_max + 32)), row_(tile.cols + 64) {
    thread_local Scratch<std::uint16_t> memory;
    memory_ = memory.get(kSlots * slot_);
  }
  void begin_frame(unsigned levels) { upper_.emplace(tile_, levels); }
  [[nodiscard]] std::uint16_t* of(const PhaseBatch& batch) const noexcept {
    return memory_ + (batch.turn == kNoTurn ? 0 : batch.turn % kSlots) * slot_;
  }
  void keep(const PhasePlaneShape& plane, std::uint32_t y, const std::uint16_t* levels) noexcept {
    if (plane.level == 1) {
      rows_[static_cast<std::size_t>(plane.phase)][y % kSlots] = levels;
    } else {
      std::memcpy(upper_->plane(plane.level, plane.phase).row(y), levels, 2 * plane.cols);
    }
  }
  void merge(unsigned level) noexcept { upper_->merge(level); }
  void write_pair(std::uint32_t y, const MutableFrameView& frame, bool ee_from_above) noexcept {
    const std::uint16_t* ee = ee_from_above ? upper_->plane(1, Phase::ee).row(y) : rows_[0][y % kSlots];
    write(2 * y, ee, rows_[2][y % kSlots], frame);
    if (2 * y + 1 < tile_.rows) write(2 * y + 1, rows_[3][y % kSlots], rows_[1][y % kSlots], frame);
  }

 private:
  void write(std::uint32_t row, const std::uint16_t* even, const std::uint16_t* odd,
             const MutableFrameView& frame) noexcept {
    const bool straight = direct(state_.codec, tile_);
    auto* levels = straight ? reinterpret_cast<std::uint16_t*>(frame.row(row)) : row_.data();
    join_row(even, odd, tile_.cols, levels);
    if (!straight) state_.codec.values_of_row(levels, tile_.cols, frame.row(row));
    write_masked(state_, row, frame);
  }

  const PredictorState& state_;
  FrameShape tile_;
  std::size_t slot_;
  std::uint16_t* memory_ = nullptr;
  std::array<std::array<const std::uint16_t*, kSlots>, kPhases> rows_{};
  std::optional<UpperLevels> upper_;
  std::vector<std::uint16_t> row_;
};

}  // namespace

Status decode_phases(TileState::Body& body, const PredictedPayload& payload, MutableGroupFrames frames) {
  PredictorState& state = *body.predictor;
  const FrameShape& tile = body.shape;
  PhaseWalk walk(tile, state);
  PhaseRows rows(state, payload.group);
  const BatchBuffers buffers(walk.width_max());
  LevelRing ring(state, tile, walk.width_max());
  StreamDecoder decoder(*state.tables, state.setup.levels.level_bits,
                        std::span(payload.streams).first(payload.group.streams));
  for (std::size_t t = 0; t < frames.size(); ++t) {
    walk.begin_frame();
    rows.begin_frame();
    ring.begin_frame(walk.levels());
    std::size_t group = 0;
    const auto decode_batch = [&](const PhaseBatch& batch) {
      std::size_t end = 0;
      for (const PhaseRow& row : batch.span()) {
        const std::size_t width = walk.width(row.plane);
        rows.predict(walk.inputs(row), *payload.mixes[t][row.plane], width, walk.idle(row), buffers.at(end));
        end += width;
      }
      std::uint16_t* levels = ring.of(batch);
      const RowBuffers all = buffers.at(0);
      decoder.get_groups(group, end / kLanes, all.contexts, all.bases, levels);
      group += end / kLanes;
      std::size_t at = 0;
      for (const PhaseRow& row : batch.span()) {
        const std::size_t width = walk.width(row.plane);
        rows.settle(levels + at, all.expected + at, width, walk.idle(row), walk.seen(row), walk.miss(row));
        walk.close(row);
        ring.keep(walk.plane(row.plane), row.y, levels + at);
        at += width;
      }
      if (!pair_complete(batch, tile)) return;
      ring.write_pair(batch.turn - kPhaseStateLag, frames[t], walk.levels() > 1);
      learn_pair(walk, rows, state, batch.turn - kPhaseStateLag);
    };
    walk.for_each_batch(decode_batch, [&](unsigned level) {
      walk.merge(level);
      ring.merge(level);
    });
    walk.end_frame();
  }
  if (!decoder.ended_cleanly())
    return fail(Errc::malformed, "block: the lanes do not end where their coding began");
  return {};
}

}  // namespace ff::kernels::cpu::avx512

#pragma GCC pop_options
