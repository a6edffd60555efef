// SPDX-License-Identifier: Apache-2.0
//
// The codec in plain loops that a compiler can vectorize: one source, included once per instruction set
// (generic_codec.cpp, avx2_codec.cpp), for levels of 16 and of 32 bits. What no compiler makes vectors of, the lanes, comes from
// a file for plain C++ or from one for AVX2.
//
// Data path  window > plan > [encode] > envelope > ... > [decode] > store
// Meaning    docs/formats/block.md §6 and §7.
// Not here   AVX-512, whose lanes are vectors too (avx512_*.cpp).
//
// Before including: open a namespace of its own, with the lanes and sums of one instruction set; headers are included by the
// including file.

#include "kernels/cpu/generic_loops.inl"
#include "kernels/cpu/generic_predict.inl"
#include "kernels/cpu/generic_streams.inl"

constexpr std::size_t kStripPixels =
    16384;  // rows decoded together: contexts and bases stay in the second cache

// One frame's symbols (context << 8 | token), whole groups of them, and its levels.
template <typename Level>
struct TokenFrame {
  const std::uint16_t* symbols = nullptr;
  const Level* levels = nullptr;
};

// True where a frame's pixels are its levels as they lie.
template <typename Level>
bool levels_lie(const LevelCodec& codec, const FrameView& frame) noexcept {
  return frame.row_stride_bytes == frame.shape.row_bytes() &&
         pixels_are_levels<Level>(codec, frame.shape, frame.pixels);
}

template <typename Level>
void tokenize_frame(TileState::Body& body, RowPredictor<Level>& predictor, const FrameView& frame,
                    Level* bases, std::uint16_t* symbols, Level* levels, bool lie) noexcept {
  const std::size_t cols = body.shape.cols;
  for (std::uint32_t row = 0; row < body.shape.rows; ++row, symbols += cols, levels += cols) {
    if (!lie) body.predictor->codec.levels_of_row(frame.row(row), cols, levels);
    const Level* seen = lie ? reinterpret_cast<const Level*>(frame.row(row)) : levels;
    predictor.predict_row(row, symbols, bases);
    tokenize_row(predictor.context_rule(), seen, bases, cols, symbols);
    predictor.learn_row(row, seen);
  }
  predictor.end_frame();
}

// Symbols and levels of a whole group, frame after frame; they lie in the thread's scratch.
template <typename Level>
std::vector<TokenFrame<Level>> tokenize_group(TileState::Body& body, const GroupSetup& group,
                                              GroupFrames frames) {
  thread_local Scratch<std::uint16_t> symbol_memory;
  thread_local Scratch<Level> level_memory;
  const std::size_t pixels = body.shape.pixels(), stride = padded_to_groups(pixels);
  std::uint16_t* symbols = symbol_memory.get(stride * frames.size());
  const LevelCodec& codec = body.predictor->codec;
  const bool lie =
      std::ranges::all_of(frames, [&](const FrameView& frame) { return levels_lie<Level>(codec, frame); });
  Level* levels = level_memory.get(lie ? 0 : stride * frames.size());
  RowPredictor<Level> predictor(body.shape, *body.predictor, group);
  std::vector<Level> bases(body.shape.cols + kRowPadding);
  std::vector<TokenFrame<Level>> tokens;
  for (std::size_t t = 0; t < frames.size(); ++t, symbols += stride) {
    Level* own = lie ? levels : levels + t * stride;
    tokenize_frame(body, predictor, frames[t], bases.data(), symbols, own, lie);
    std::fill_n(symbols + pixels, stride - pixels, kInactive);
    tokens.push_back({symbols, lie ? reinterpret_cast<const Level*>(frames[t].pixels) : own});
  }
  return tokens;
}

template <typename Level>
std::optional<StreamWords> encode_typed(TileState::Body& body, const GroupCoding& coding, GroupFrames frames,
                                        std::size_t bytes_max) {
  const std::size_t pixels = body.shape.pixels();
  const std::vector<TokenFrame<Level>> tokens = tokenize_group<Level>(body, coding.group, frames);
  StreamEncoder<Level> encoder(*body.predictor, coding.group.streams, pixels, bytes_max);
  for (std::size_t t = frames.size(); t-- > 0;) {
    if (!encoder.put_frame(tokens[t].symbols, tokens[t].levels, pixels)) return std::nullopt;
  }
  return encoder.finish();
}

// Decodes frames of one tile, a strip of rows at a time.
template <typename Level>
class StripDecoder {
 public:
  StripDecoder(TileState::Body& body, const PredictedPayload& payload)
      : tile_(body.shape),
        state_(*body.predictor),
        predictor_(tile_, state_, payload.group),
        decoder_(state_, payload) {
    thread_local Scratch<std::uint16_t> context_memory;
    thread_local Scratch<Level> base_memory, level_memory;
    const std::size_t positions = padded_to_groups(tile_.pixels());
    contexts_ = context_memory.get(positions);
    bases_ = base_memory.get(positions);
    levels_ = level_memory.get(positions);
  }

  void decode(const MutableFrameView& frame) noexcept {
    const std::size_t cols = tile_.cols, pixels = tile_.pixels(), groups = padded_to_groups(pixels) / kLanes;
    const auto strip_rows =
        static_cast<std::uint32_t>(std::clamp<std::size_t>(kStripPixels / cols, 1, tile_.rows));
    std::size_t decoded = 0;
    std::uint32_t written = 0;
    for (std::uint32_t row = 0; row < tile_.rows;) {
      const std::uint32_t strip_end = std::min(row + strip_rows, tile_.rows);
      for (; row < strip_end; ++row) predictor_.predict_row(row, contexts_ + row * cols, bases_ + row * cols);
      const bool last = row == tile_.rows;
      if (last) {
        std::fill(contexts_ + pixels, contexts_ + groups * kLanes, kInactive);
        std::fill(bases_ + pixels, bases_ + groups * kLanes, Level{0});
      }
      for (const std::size_t ready = last ? groups : row * cols / kLanes; decoded < ready; ++decoded) {
        const std::size_t at = decoded * kLanes;
        decoder_.get_group(decoded, contexts_ + at, bases_ + at, levels_ + at);
      }
      for (; written < tile_.rows && (last || (written + 1) * cols <= decoded * kLanes); ++written) {
        predictor_.learn_row(written, levels_ + written * cols);
        write_row(state_, levels_ + written * cols, written, frame);
      }
    }
    predictor_.end_frame();
  }
  [[nodiscard]] Status end() const { return decoder_.end(); }

 private:
  const FrameShape& tile_;
  PredictorState& state_;
  RowPredictor<Level> predictor_;
  StreamDecoders<Level> decoder_;
  std::uint16_t* contexts_;  // these three are the thread's
  Level *bases_, *levels_;
};

template <typename Level>
Status decode_typed(TileState::Body& body, const PredictedPayload& payload, MutableGroupFrames frames) {
  StripDecoder<Level> decoder(body, payload);
  for (const MutableFrameView& frame : frames) decoder.decode(frame);
  return decoder.end();
}

std::optional<StreamWords> encode_smooth(TileState::Body& body, const GroupCoding& coding, GroupFrames frames,
                                         std::size_t bytes_max) {
  return with_level_type(
      body, [&](auto level) { return encode_typed<decltype(level)>(body, coding, frames, bytes_max); });
}

Status decode_smooth(TileState::Body& body, const PredictedPayload& payload, MutableGroupFrames frames) {
  return with_level_type(body,
                         [&](auto level) { return decode_typed<decltype(level)>(body, payload, frames); });
}

#include "kernels/cpu/generic_cells.inl"
#include "kernels/cpu/generic_phase_rows.inl"
#include "kernels/cpu/generic_phases.inl"
