// SPDX-License-Identifier: Apache-2.0
//
// The codec in AVX-512: a row is predicted, tokenized and learned while it is in the first cache.
#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>

#include "kernels/cpu/avx512_lanes.hpp"
#include "kernels/cpu/avx512_predict.hpp"
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

bool direct(const LevelCodec& codec, const FrameShape& shape, std::size_t stride) noexcept {
  return codec.identity() && dtype_bytes(shape.dtype) == 2 && stride == shape.row_bytes();
}

// symbols = context << 8 | token, kIdleSymbol where nothing is coded.
void tokenize_row(const std::uint16_t* levels, const std::uint16_t* bases, std::size_t cols,
                  std::uint16_t* symbols) noexcept {
  const __m512i low_bits = _mm512_set1_epi16(15), escape = _mm512_set1_epi16(255);
  const __m512i keep = _mm512_set1_epi16(static_cast<short>(0xff00));
  for (std::size_t i = 0; i < cols; i += 32) {
    const __mmask32 valid = tail_mask(cols - i);
    const __m512i level = _mm512_maskz_loadu_epi16(valid, levels + i);
    const __m512i context = _mm512_loadu_si512(symbols + i);
    const __m512i high = _mm512_srlv_epi16(level, _mm512_and_si512(context, low_bits));
    const __mmask32 active = ~_mm512_movepi16_mask(context);
    const __m512i distance = _mm512_sub_epi16(high, _mm512_loadu_si512(bases + i));
    const __m512i token = _mm512_maskz_min_epu16(active, distance, escape);
    _mm512_storeu_si512(symbols + i, _mm512_or_si512(_mm512_and_si512(context, keep), token));
  }
}

}  // namespace

std::optional<std::vector<std::vector<std::uint16_t>>> encode_lanes(TileState::Body& body,
                                                                    const GroupCoding& coding,
                                                                    GroupFrames frames,
                                                                    std::size_t bytes_max) {
  const GroupSetup& group = coding.group;
  thread_local Scratch<std::uint16_t> symbol_memory, level_memory, word_memory;
  PredictorState& state = *body.predictor;
  const FrameShape& tile = body.shape;
  const std::size_t pixels = tile.pixels(), stride = padded(pixels);
  std::uint16_t* symbols = symbol_memory.get(stride * frames.size());
  const bool all_direct = std::ranges::all_of(
      frames, [&](const FrameView& frame) { return direct(state.codec, tile, frame.row_stride_bytes); });
  std::uint16_t* levels = all_direct ? nullptr : level_memory.get(stride * frames.size());
  RowPredictor predictor(tile, state, group);
  std::vector<std::uint16_t> bases(tile.cols + kPadding);
  std::vector<TokenFrame> tokens;
  for (std::size_t t = 0; t < frames.size(); ++t) {
    std::uint16_t* frame_symbols = symbols + t * stride;
    const auto* frame_levels =
        all_direct ? reinterpret_cast<const std::uint16_t*>(frames[t].pixels) : levels + t * stride;
    for (std::uint32_t row = 0; row < tile.rows; ++row) {
      const std::size_t at = std::size_t{row} * tile.cols;
      if (!all_direct) state.codec.levels_of_row(frames[t].row(row), tile.cols, levels + t * stride + at);
      predictor.predict_row(row, frame_symbols + at, bases.data());
      tokenize_row(frame_levels + at, bases.data(), tile.cols, frame_symbols + at);
      predictor.learn_row(row, frame_levels + at);
    }
    std::fill_n(frame_symbols + pixels, kLanes, kInactive);
    predictor.end_frame();
    tokens.push_back({frame_symbols, frame_levels});
  }
  const std::size_t frame_words = (pixels / kLanes / group.streams + 2) * 2 * kLanes;
  const std::size_t words_max = bytes_max / 2 + frame_words + 2 * kLanes;
  StreamEncoder encoder(*state.tables, state.setup.levels.level_bits, group.streams, words_max,
                        word_memory.get(group.streams * words_max));
  for (std::size_t t = frames.size(); t-- > 0;) {
    if (!encoder.put_frame(tokens[t], pixels)) return std::nullopt;
  }
  return encoder.finish();
}

Status decode_lanes(TileState::Body& body, const PredictedPayload& payload, MutableGroupFrames frames) {
  thread_local Scratch<std::uint16_t> context_memory, base_memory, level_memory;
  PredictorState& state = *body.predictor;
  const FrameShape& tile = body.shape;
  const std::size_t pixels = tile.pixels(), groups = (pixels + kLanes - 1) / kLanes, cols = tile.cols;
  std::uint16_t* contexts = context_memory.get(padded(pixels));
  std::uint16_t* bases = base_memory.get(padded(pixels));
  std::uint16_t* levels = level_memory.get(padded(pixels));
  const auto strip_rows =
      static_cast<std::uint32_t>(std::clamp<std::size_t>(kStripPixels / cols, 1, tile.rows));
  RowPredictor predictor(tile, state, payload.group);
  StreamDecoder decoder(*state.tables, state.setup.levels.level_bits,
                        std::span(payload.streams).first(payload.group.streams));
  for (const MutableFrameView& frame : frames) {
    std::size_t decoded_groups = 0;
    std::uint32_t written_rows = 0;
    for (std::uint32_t row = 0; row < tile.rows;) {
      const std::uint32_t strip_end = std::min(row + strip_rows, tile.rows);
      for (; row < strip_end; ++row) predictor.predict_row(row, contexts + row * cols, bases + row * cols);
      const bool last_strip = row == tile.rows;
      if (last_strip) std::fill_n(contexts + pixels, kLanes, kInactive);
      if (last_strip) std::fill_n(bases + pixels, kLanes, std::uint16_t{0});
      const std::size_t whole = row * cols / kLanes;
      const std::size_t ready = last_strip ? groups : whole, at = decoded_groups * kLanes;
      decoder.get_groups(decoded_groups, ready - decoded_groups, contexts + at, bases + at, levels + at);
      decoded_groups = ready;
      const auto complete = last_strip ? tile.rows : static_cast<std::uint32_t>(whole * kLanes / cols);
      for (std::uint32_t r = written_rows; r < complete; ++r) {
        predictor.learn_row(r, levels + r * cols);
        write_row(state, levels + r * cols, r, frame);
      }
      written_rows = complete;
    }
    predictor.end_frame();
  }
  if (!decoder.ended_cleanly())
    return fail(Errc::malformed, "block: the lanes do not end where their coding began");
  return {};
}

}  // namespace ff::kernels::cpu::avx512

#pragma GCC pop_options
