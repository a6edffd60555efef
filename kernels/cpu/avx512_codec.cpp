// SPDX-License-Identifier: Apache-2.0
//
// The codec in AVX-512: a row is predicted, tokenized and learned while it is in the first cache.
#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>

#include "kernels/cpu/avx512_lanes.hpp"
#include "kernels/cpu/avx512_predict.hpp"
#include "kernels/cpu/avx512_row_codec.hpp"
#include "kernels/cpu/cpu_paths.hpp"

// From here on this file's own functions are compiled for AVX-512; what the headers above define is not.
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,bmi2,popcnt")

namespace ff::kernels::cpu::avx512 {
namespace {

constexpr std::size_t kPadding = 64;  // pixels that vectors may touch behind a frame
constexpr std::size_t kStripPixels =
    16384;  // rows decoded together: contexts and bases stay in the second cache

std::size_t padded(std::size_t pixels) noexcept { return (pixels + kLanes - 1) / kLanes * kLanes + kPadding; }

// A frame's pixels are its levels as they lie.
template <typename Level>
bool direct(const RowCodec& codec, const FrameView& frame) noexcept {
  return codec.identity() && dtype_bytes(frame.shape.dtype) == sizeof(Level) &&
         frame.row_stride_bytes == frame.shape.row_bytes();
}

// symbols = context << 8 | token, kIdleSymbol where nothing is coded.
template <typename Level>
void tokenize_row(const Level* levels, const Level* bases, std::size_t cols,
                  std::uint16_t* symbols) noexcept {
  const __m512i low_bits = set16(15), keep = set16(0xff00);
  for (std::size_t i = 0; i < cols; i += 32) {
    const __m512i context = _mm512_loadu_si512(symbols + i);
    const __mmask32 active = ~_mm512_movepi16_mask(context);
    const __m512i token =
        tokens_of(levels + i, tail_mask(cols - i), bases + i, _mm512_and_si512(context, low_bits));
    const __m512i symbol =
        _mm512_or_si512(_mm512_and_si512(context, keep), _mm512_maskz_mov_epi16(active, token));
    _mm512_storeu_si512(symbols + i, symbol);
  }
}

// Symbols of a frame's pixels, and an idle group behind them. Where pixels are not levels, `levels` gets these.
template <typename Level>
TokenFrame<Level> tokenize_frame(const FrameView& frame, const RowCodec& codec, RowPredictor& predictor,
                                 std::vector<Level>& bases, std::uint16_t* symbols, Level* levels) {
  const std::size_t pixels = frame.shape.pixels(), cols = frame.shape.cols;
  const auto* coded = levels == nullptr ? reinterpret_cast<const Level*>(frame.pixels) : levels;
  for (std::uint32_t row = 0; row < frame.shape.rows; ++row) {
    const std::size_t at = std::size_t{row} * cols;
    if (levels != nullptr) codec.levels_of_row(frame.row(row), cols, levels + at);
    predictor.predict_row(row, symbols + at, bases.data());
    tokenize_row(coded + at, bases.data(), cols, symbols + at);
    predictor.learn_row(row, coded + at);
  }
  std::fill_n(symbols + pixels, kLanes, kInactive);
  predictor.end_frame();
  return {symbols, coded};
}

template <typename Level>
std::optional<StreamWords> encode_typed(TileState::Body& body, const GroupCoding& coding, GroupFrames frames,
                                        std::size_t bytes_max) {
  thread_local Scratch<std::uint16_t> symbol_memory, word_memory;
  thread_local Scratch<Level> level_memory;
  PredictorState& state = *body.predictor;
  const std::size_t pixels = body.shape.pixels(), stride = padded(pixels), streams = coding.group.streams;
  std::uint16_t* symbols = symbol_memory.get(stride * frames.size());
  const RowCodec codec(state.codec, body.shape.dtype);
  const bool all_direct =
      std::ranges::all_of(frames, [&](const FrameView& frame) { return direct<Level>(codec, frame); });
  Level* levels = all_direct ? nullptr : level_memory.get(stride * frames.size());
  RowPredictor predictor(body.shape, state, coding.group);
  std::vector<Level> bases(body.shape.cols + kPadding);
  std::vector<TokenFrame<Level>> tokens;
  for (std::size_t t = 0; t < frames.size(); ++t) {
    tokens.push_back(tokenize_frame(frames[t], codec, predictor, bases, symbols + t * stride,
                                    all_direct ? nullptr : levels + t * stride));
  }
  const std::size_t frame_words = (pixels / kLanes / streams + 2) * kGroupWords<Level>;
  const std::size_t words_max = bytes_max / 2 + frame_words + 2 * kLanes;
  StreamEncoder encoder(*state.tables, state.setup.levels.level_bits, streams, words_max,
                        word_memory.get(streams * words_max));
  for (std::size_t t = frames.size(); t-- > 0;) {
    if (!encoder.put_frame(tokens[t], pixels)) return std::nullopt;
  }
  return encoder.finish();
}

// Decodes frames of one tile, a strip of rows at a time.
template <typename Level>
class StripDecoder {
 public:
  StripDecoder(const FrameShape& tile, PredictorState& state, const PredictedPayload& payload)
      : tile_(tile),
        state_(state),
        strip_rows_(
            static_cast<std::uint32_t>(std::clamp<std::size_t>(kStripPixels / tile.cols, 1, tile.rows))),
        predictor_(tile, state, payload.group),
        codec_(state.codec, tile.dtype),
        decoder_(*state.tables, state.setup.levels.level_bits,
                 std::span(payload.streams).first(payload.group.streams)) {
    thread_local Scratch<std::uint16_t> context_memory;
    thread_local Scratch<Level> base_memory, level_memory;
    contexts_ = context_memory.get(padded(tile.pixels()));
    bases_ = base_memory.get(padded(tile.pixels()));
    levels_ = level_memory.get(padded(tile.pixels()));
  }

  void decode(const MutableFrameView& frame) {
    const std::size_t cols = tile_.cols, groups = (tile_.pixels() + kLanes - 1) / kLanes;
    std::size_t decoded_groups = 0;
    std::uint32_t written_rows = 0;
    for (std::uint32_t row = 0; row < tile_.rows;) {
      const std::uint32_t strip_end = std::min(row + strip_rows_, tile_.rows);
      for (; row < strip_end; ++row) predictor_.predict_row(row, contexts_ + row * cols, bases_ + row * cols);
      const bool last_strip = row == tile_.rows;
      if (last_strip) fill_last_group();
      const std::size_t whole = row * cols / kLanes;
      const std::size_t ready = last_strip ? groups : whole, at = decoded_groups * kLanes;
      decoder_.get_groups(decoded_groups, ready - decoded_groups, contexts_ + at, bases_ + at, levels_ + at);
      decoded_groups = ready;
      const auto complete = last_strip ? tile_.rows : static_cast<std::uint32_t>(whole * kLanes / cols);
      for (; written_rows < complete; ++written_rows) finish_row(written_rows, frame);
    }
    predictor_.end_frame();
  }
  [[nodiscard]] Status end() const { return lanes_status(decoder_.ended_cleanly()); }

 private:
  // Positions behind the frame's end code nothing.
  void fill_last_group() noexcept {
    std::fill_n(contexts_ + tile_.pixels(), kLanes, kInactive);
    std::fill_n(bases_ + tile_.pixels(), kLanes, Level{0});
  }
  void finish_row(std::uint32_t row, const MutableFrameView& frame) noexcept {
    const Level* const levels = levels_ + std::size_t{row} * tile_.cols;
    predictor_.learn_row(row, levels);
    codec_.values_of_row(levels, tile_.cols, frame.row(row));
    write_masked(state_, row, frame);
  }

  const FrameShape& tile_;
  const PredictorState& state_;
  std::uint32_t strip_rows_;
  RowPredictor predictor_;
  RowCodec codec_;
  StreamDecoder decoder_;
  std::uint16_t* contexts_;  // these three are the thread's
  Level *bases_, *levels_;
};

template <typename Level>
Status decode_typed(TileState::Body& body, const PredictedPayload& payload, MutableGroupFrames frames) {
  StripDecoder<Level> decoder(body.shape, *body.predictor, payload);
  for (const MutableFrameView& frame : frames) decoder.decode(frame);
  return decoder.end();
}

}  // namespace

std::optional<StreamWords> encode_smooth(TileState::Body& body, const GroupCoding& coding, GroupFrames frames,
                                         std::size_t bytes_max) {
  return with_level_type(
      body, [&](auto level) { return encode_typed<decltype(level)>(body, coding, frames, bytes_max); });
}

Status decode_smooth(TileState::Body& body, const PredictedPayload& payload, MutableGroupFrames frames) {
  return with_level_type(body,
                         [&](auto level) { return decode_typed<decltype(level)>(body, payload, frames); });
}

}  // namespace ff::kernels::cpu::avx512

#pragma GCC pop_options
