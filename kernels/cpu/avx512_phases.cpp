// SPDX-License-Identifier: Apache-2.0
//
// The model phases in AVX-512: a turn's rows are predicted, coded and seen while they are in the first caches.
#include <algorithm>

#include "kernels/cpu/avx512_lanes.hpp"
#include "kernels/cpu/avx512_phase_rows.hpp"
#include "kernels/cpu/avx512_row_codec.hpp"
#include "kernels/cpu/phase_levels.hpp"

// From here on this file's own functions are compiled for AVX-512; what the headers above define is not.
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,bmi2,popcnt")

namespace ff::kernels::cpu::avx512 {
namespace {

struct Rows {
  using Codec = RowCodec;

  template <typename Level>
  static void split(const Level* row, std::size_t cols, Level* even, Level* odd) noexcept {
    split_row(row, cols, even, odd);
  }
  template <typename Level>
  static void join(const Level* even, const Level* odd, std::size_t cols, Level* row) noexcept {
    join_row(even, odd, cols, row);
  }
};

// Contexts, bases and expectations of a batch's rows, one after the other.
template <typename Level>
class BatchBuffers {
 public:
  explicit BatchBuffers(std::size_t width_max) {
    const std::size_t size = kBatchRows * width_max;
    thread_local Scratch<std::uint16_t> memory;
    thread_local Scratch<Level> base_memory;
    contexts_ = memory.get(2 * size + 32);
    expected_ = contexts_ + size;
    bases_ = base_memory.get(size);
  }
  [[nodiscard]] RowBuffers<Level> at(std::size_t position) const noexcept {
    return {contexts_ + position, bases_ + position, expected_ + position};
  }

 private:
  std::uint16_t *contexts_, *expected_;
  Level* bases_;
};

// One frame's levels and symbols in coding order.
template <typename Level>
struct CodedFrame {
  std::uint16_t* symbols = nullptr;
  Level* levels = nullptr;
  std::size_t positions = 0;
};

template <typename Level>
void tokenize_frame(PhaseWalk& walk, PhaseRows& rows, PredictorState& state, const FrameMix& mixes,
                    const RowCodec& codec, const FrameView& frame, const CodedFrame<Level>& out) {
  FrameSplitter<Level, Rows> splitter(walk, codec, frame, out.levels);
  const BatchBuffers<Level> buffers(walk.width_max());
  const bool whole = walk.levels() > 1;
  if (whole) splitter.split_whole();
  rows.begin_frame();
  walk.for_each_batch(
      [&](const PhaseBatch& batch) {
        if (!whole && 2 * batch.turn < frame.shape.rows) splitter.split_pair(batch.turn);
        for (const PhaseRow& row : batch.span()) {
          const std::size_t width = walk.width(row.plane), at = splitter.row_at(row);
          const RowBuffers<Level> buffer = buffers.at(0);
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

template <typename Level>
std::optional<StreamWords> encode_typed(TileState::Body& body, const GroupCoding& coding, GroupFrames frames,
                                        std::size_t bytes_max) {
  thread_local Scratch<std::uint16_t> symbol_memory, word_memory;
  thread_local Scratch<Level> level_memory;
  PredictorState& state = *body.predictor;
  PhaseWalk walk(body.shape, state);
  PhaseRows rows(state, coding.group);
  const RowCodec codec(state.codec, body.shape.dtype);
  const PhaseSetup& setup = state.setup.phases;
  const std::size_t stride =
      std::max(walk.positions(state.frames == 0 ? setup.key_levels : setup.later_levels),
               walk.positions(setup.later_levels));
  std::uint16_t* symbols = symbol_memory.get(stride * frames.size());
  Level* levels = level_memory.get(stride * frames.size());
  std::vector<CodedFrame<Level>> coded;
  std::optional<SymbolCounts> counts;
  if (coding.count_frequencies) counts.emplace(*state.tables);
  for (std::size_t t = 0; t < frames.size(); ++t) {
    walk.begin_frame();
    coded.push_back({symbols + stride * t, levels + stride * t, walk.positions(walk.levels())});
    tokenize_frame(walk, rows, state, coding.mixes[t], codec, frames[t], coded.back());
    if (counts) counts->add(coded.back().symbols, coded.back().positions);
  }
  if (counts) state.tables = std::make_shared<const ContextTables>(counts->tables());
  const std::size_t streams = coding.group.streams;
  const std::size_t frame_words = (stride / kLanes / streams + 2) * kGroupWords<Level>;
  const std::size_t words_max =
      std::min(bytes_max / 2, frames.size() * frame_words) + frame_words + 2 * kLanes;
  StreamEncoder encoder(*state.tables, state.setup.levels.level_bits, streams, words_max,
                        word_memory.get(streams * words_max));
  for (std::size_t t = frames.size(); t-- > 0;) {
    const TokenFrame<Level> frame{coded[t].symbols, coded[t].levels};
    if (!encoder.put_frame(frame, coded[t].positions)) return std::nullopt;
  }
  return encoder.finish();
}

template <typename Level>
Status decode_typed(TileState::Body& body, const PredictedPayload& payload, MutableGroupFrames frames) {
  PredictorState& state = *body.predictor;
  const FrameShape& tile = body.shape;
  PhaseWalk walk(tile, state);
  PhaseRows rows(state, payload.group);
  const BatchBuffers<Level> buffers(walk.width_max());
  const RowCodec codec(state.codec, tile.dtype);
  FrameJoiner<Level, Rows> joiner(state, codec, tile, walk.width_max());
  StreamDecoder decoder(*state.tables, state.setup.levels.level_bits,
                        std::span(payload.streams).first(payload.group.streams));
  for (std::size_t t = 0; t < frames.size(); ++t) {
    walk.begin_frame();
    rows.begin_frame();
    joiner.begin_frame(walk.levels());
    std::size_t group = 0;
    const auto decode_batch = [&](const PhaseBatch& batch) {
      std::size_t end = 0;
      for (const PhaseRow& row : batch.span()) {
        const std::size_t width = walk.width(row.plane);
        rows.predict(walk.inputs(row), *payload.mixes[t][row.plane], width, walk.idle(row), buffers.at(end));
        end += width;
      }
      Level* levels = joiner.batch_levels(batch);
      const RowBuffers<Level> all = buffers.at(0);
      decoder.get_groups(group, end / kLanes, all.contexts, all.bases, levels);
      group += end / kLanes;
      std::size_t at = 0;
      for (const PhaseRow& row : batch.span()) {
        const std::size_t width = walk.width(row.plane);
        rows.settle(levels + at, all.expected + at, width, walk.idle(row), walk.seen(row), walk.miss(row));
        walk.close(row);
        joiner.keep(walk.plane(row.plane), row.y, levels + at);
        at += width;
      }
      if (!pair_complete(batch, tile)) return;
      joiner.write_pair(batch.turn - kPhaseStateLag, frames[t]);
      learn_pair(walk, rows, state, batch.turn - kPhaseStateLag);
    };
    walk.for_each_batch(decode_batch, [&](unsigned level) {
      walk.merge(level);
      joiner.merge(level);
    });
    walk.end_frame();
  }
  return lanes_status(decoder.ended_cleanly());
}

}  // namespace

std::optional<StreamWords> encode_phases(TileState::Body& body, const GroupCoding& coding, GroupFrames frames,
                                         std::size_t bytes_max) {
  return with_level_type(
      body, [&](auto level) { return encode_typed<decltype(level)>(body, coding, frames, bytes_max); });
}

Status decode_phases(TileState::Body& body, const PredictedPayload& payload, MutableGroupFrames frames) {
  return with_level_type(body,
                         [&](auto level) { return decode_typed<decltype(level)>(body, payload, frames); });
}

}  // namespace ff::kernels::cpu::avx512

#pragma GCC pop_options
