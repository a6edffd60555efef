// SPDX-License-Identifier: Apache-2.0
//
// The model phases in plain loops: a turn's rows are predicted, coded and seen while they are in the first caches.
// Part of generic_codec.inl, which says how these files are included.
//
// Not here   rows (generic_phase_rows.inl), their order (phase_walk.hpp).

template <typename Level>
struct HalfRows {
  using Codec = LevelCodec;

  static void split(const Level* row, std::size_t cols, Level* even, Level* odd) noexcept {
    for (std::size_t i = 0; i < cols / 2; ++i) {
      even[i] = row[2 * i];
      odd[i] = row[2 * i + 1];
    }
    if (cols % 2 != 0) even[cols / 2] = row[cols - 1];
  }
  static void join(const Level* even, const Level* odd, std::size_t cols, Level* row) noexcept {
    for (std::size_t i = 0; i < cols / 2; ++i) {
      row[2 * i] = even[i];
      row[2 * i + 1] = odd[i];
    }
    if (cols % 2 != 0) row[cols - 1] = even[cols / 2];
  }
};

// Contexts, bases and expectations of a batch's rows, one after the other.
template <typename Level>
class BatchBuffers {
 public:
  explicit BatchBuffers(std::size_t width_max)
      : contexts_(std::make_unique_for_overwrite<std::uint16_t[]>(kBatchRows * width_max)),
        bases_(std::make_unique_for_overwrite<Level[]>(kBatchRows * width_max)),
        expected_(std::make_unique_for_overwrite<std::uint16_t[]>(kBatchRows * width_max)) {}
  [[nodiscard]] RowBuffers<Level> at(std::size_t position) const noexcept {
    return {contexts_.get() + position, bases_.get() + position, expected_.get() + position};
  }

 private:
  std::unique_ptr<std::uint16_t[]> contexts_;
  std::unique_ptr<Level[]> bases_;
  std::unique_ptr<std::uint16_t[]> expected_;
};

// One frame's symbols and levels in coding order.
template <typename Level>
struct CodedFrame {
  std::uint16_t* symbols = nullptr;
  Level* levels = nullptr;
  std::size_t positions = 0;
};

template <typename Level>
void tokenize_phases(PhaseWalk& walk, PhaseRows<Level>& rows, PredictorState& state, const FrameMix& mixes,
                     const FrameView& frame, const CodedFrame<Level>& out) {
  FrameSplitter<Level, HalfRows<Level>> splitter(walk, state.codec, frame, out.levels);
  const BatchBuffers<Level> buffers(walk.width_max());
  const bool whole = walk.levels() > 1;
  if (whole) splitter.split_whole();
  rows.begin_frame();
  walk.for_each_batch(
      [&](const PhaseBatch& batch) {
        if (!whole && 2 * batch.turn < frame.shape.rows) splitter.split_pair(batch.turn);
        for (const PhaseRow& row : batch.span()) {
          const std::size_t width = walk.width(row.plane), at = splitter.row_at(row);
          const Level* levels = out.levels + at;
          RowBuffers<Level> buffer = buffers.at(0);
          buffer.contexts = out.symbols + at;
          rows.predict(walk.inputs(row), *mixes[row.plane], width, walk.idle(row), buffer);
          tokenize_row(rows.context_rule(), levels, buffer.bases, width, buffer.contexts);
          rows.settle(levels, buffer.expected, width, walk.idle(row), walk.seen(row), walk.miss(row));
          walk.close(row);
        }
        if (pair_complete(batch, frame.shape)) learn_pair(walk, rows, state, batch.turn - kPhaseStateLag);
      },
      [&](unsigned level) { walk.merge(level); });
  walk.end_frame();
}

template <typename Level>
std::optional<StreamWords> encode_phases_typed(TileState::Body& body, const GroupCoding& coding,
                                               GroupFrames frames, std::size_t bytes_max) {
  thread_local Scratch<std::uint16_t> symbol_memory;
  thread_local Scratch<Level> level_memory;
  PredictorState& state = *body.predictor;
  PhaseWalk walk(body.shape, state);
  PhaseRows<Level> rows(state, coding.group);
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
    coded.push_back({symbols + t * stride, levels + t * stride, walk.positions(walk.levels())});
    tokenize_phases(walk, rows, state, coding.mixes[t], frames[t], coded.back());
    if (counts) counts->add(coded.back().symbols, coded.back().positions);
  }
  if (counts) state.tables = std::make_shared<const ContextTables>(counts->tables());
  // More words than the positions can give need no room.
  bytes_max = std::min(bytes_max, 8 * stride * frames.size());
  StreamEncoder<Level> encoder(state, coding.group.streams, stride, bytes_max);
  for (std::size_t t = frames.size(); t-- > 0;) {
    if (!encoder.put_frame(coded[t].symbols, coded[t].levels, coded[t].positions)) return std::nullopt;
  }
  return encoder.finish();
}

template <typename Level>
Status decode_phases_typed(TileState::Body& body, const PredictedPayload& payload,
                           MutableGroupFrames frames) {
  PredictorState& state = *body.predictor;
  PhaseWalk walk(body.shape, state);
  PhaseRows<Level> rows(state, payload.group);
  const BatchBuffers<Level> buffers(walk.width_max());
  FrameJoiner<Level, HalfRows<Level>> joiner(state, state.codec, body.shape, walk.width_max());
  StreamDecoders<Level> decoder(state, payload);
  for (std::size_t t = 0; t < frames.size(); ++t) {
    walk.begin_frame();
    rows.begin_frame();
    joiner.begin_frame(walk.levels());
    std::size_t group = 0;
    const auto decode_batch = [&](const PhaseBatch& batch) {
      Level* levels = joiner.batch_levels(batch);
      for (const PhaseRow& row : batch.span()) {
        const std::size_t width = walk.width(row.plane);
        const RowBuffers<Level> buffer = buffers.at(0);
        rows.predict(walk.inputs(row), *payload.mixes[t][row.plane], width, walk.idle(row), buffer);
        for (std::size_t at = 0; at < width; at += kLanes, ++group)
          decoder.get_group(group, buffer.contexts + at, buffer.bases + at, levels + at);
        rows.settle(levels, buffer.expected, width, walk.idle(row), walk.seen(row), walk.miss(row));
        walk.close(row);
        joiner.keep(walk.plane(row.plane), row.y, levels);
        levels += width;
      }
      if (!pair_complete(batch, body.shape)) return;
      joiner.write_pair(batch.turn - kPhaseStateLag, frames[t]);
      learn_pair(walk, rows, state, batch.turn - kPhaseStateLag);
    };
    walk.for_each_batch(decode_batch, [&](unsigned level) {
      walk.merge(level);
      joiner.merge(level);
    });
    walk.end_frame();
  }
  return decoder.end();
}

std::optional<StreamWords> encode_phases(TileState::Body& body, const GroupCoding& coding, GroupFrames frames,
                                         std::size_t bytes_max) {
  return with_level_type(body, [&](auto level) {
    return encode_phases_typed<decltype(level)>(body, coding, frames, bytes_max);
  });
}

Status decode_phases(TileState::Body& body, const PredictedPayload& payload, MutableGroupFrames frames) {
  return with_level_type(
      body, [&](auto level) { return decode_phases_typed<decltype(level)>(body, payload, frames); });
}
