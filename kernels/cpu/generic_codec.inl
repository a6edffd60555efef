// SPDX-License-Identifier: Apache-2.0
//
// The codec in plain loops that a compiler can vectorize: one source, included once per instruction set
// (generic_codec.cpp, avx2_codec.cpp), for levels of 16 and of 32 bits.
//
// Data path  window > plan > [encode] > envelope > ... > [decode] > store
// Meaning    docs/formats/block.md §6 and §7.
// Not here   AVX-512, whose lanes are vectors too (avx512_*.cpp).
//
// Before including: open a namespace of its own; headers are included by the including file.

#include "kernels/cpu/generic_lanes.inl"
#include "kernels/cpu/generic_predict.inl"
#include "kernels/cpu/generic_streams.inl"

// Symbols (context << 8 | token) and levels of a whole group, frame after frame.
template <typename Level>
struct GroupTokens {
  std::unique_ptr<std::uint32_t[]> symbols;
  std::unique_ptr<Level[]> levels;
};

template <typename Level>
void tokenize_row(const Level* levels, const Level* bases, std::size_t cols,
                  std::uint32_t* symbols) noexcept {
  for (std::size_t i = 0; i < cols; ++i) {
    const auto distance = static_cast<Level>((levels[i] >> (symbols[i] & 15)) - bases[i]);
    const std::uint32_t token = std::min<std::uint32_t>(distance, kEscape);
    symbols[i] = symbols[i] == kInactive ? kInactive : (symbols[i] & ~255u) | token;
  }
}

template <typename Level>
GroupTokens<Level> tokenize_group(TileState::Body& body, const GroupSetup& group, GroupFrames frames) {
  const std::size_t pixels = body.shape.pixels(), cols = body.shape.cols;
  GroupTokens<Level> tokens{std::make_unique_for_overwrite<std::uint32_t[]>(pixels * frames.size()),
                            std::make_unique_for_overwrite<Level[]>(pixels * frames.size())};
  RowPredictor<Level> predictor(body.shape, *body.predictor, group);
  std::vector<Level> bases(cols + kRowPadding);
  for (std::size_t t = 0; t < frames.size(); ++t) {
    for (std::uint32_t row = 0; row < body.shape.rows; ++row) {
      std::uint32_t* symbols = tokens.symbols.get() + t * pixels + row * cols;
      Level* levels = tokens.levels.get() + t * pixels + row * cols;
      body.predictor->codec.levels_of_row(frames[t].row(row), cols, levels);
      predictor.predict_row(row, symbols, bases.data());
      tokenize_row(levels, bases.data(), cols, symbols);
      predictor.learn_row(row, levels);
    }
    predictor.end_frame();
  }
  return tokens;
}

template <typename Level>
std::optional<std::vector<std::vector<std::uint16_t>>> encode_typed(TileState::Body& body,
                                                                    const GroupCoding& coding,
                                                                    GroupFrames frames,
                                                                    std::size_t bytes_max) {
  const std::size_t pixels = body.shape.pixels();
  const GroupTokens<Level> tokens = tokenize_group<Level>(body, coding.group, frames);
  StreamEncoder<Level> encoder(*body.predictor, coding.group.streams, pixels, bytes_max);
  for (std::size_t t = frames.size(); t-- > 0;) {
    const std::size_t at = t * pixels;
    if (!encoder.put_frame(tokens.symbols.get() + at, tokens.levels.get() + at, pixels)) return std::nullopt;
  }
  return encoder.finish();
}

template <typename Level>
Status decode_typed(TileState::Body& body, const PredictedPayload& payload, MutableGroupFrames frames) {
  PredictorState& state = *body.predictor;
  const FrameShape& tile = body.shape;
  const std::size_t pixels = tile.pixels(), groups = (pixels + kLanes - 1) / kLanes, cols = tile.cols;
  const auto contexts = std::make_unique_for_overwrite<std::uint32_t[]>(pixels);
  const auto bases = std::make_unique_for_overwrite<Level[]>(pixels);
  const auto levels = std::make_unique_for_overwrite<Level[]>(pixels);
  RowPredictor<Level> predictor(tile, state, payload.group);
  StreamDecoders<Level> decoder(state, payload);
  for (const MutableFrameView& frame : frames) {
    for (std::uint32_t row = 0; row < tile.rows; ++row) {
      predictor.predict_row(row, contexts.get() + row * cols, bases.get() + row * cols);
    }
    for (std::size_t g = 0; g < groups; ++g) {
      const std::size_t at = g * kLanes, count = std::min(kLanes, pixels - at);
      decoder.get_group(g, contexts.get() + at, bases.get() + at, levels.get() + at, count);
    }
    for (std::uint32_t row = 0; row < tile.rows; ++row) {
      predictor.learn_row(row, levels.get() + row * cols);
      write_row(state, levels.get() + row * cols, row, frame);
    }
    predictor.end_frame();
  }
  return decoder.end();
}

std::optional<std::vector<std::vector<std::uint16_t>>> encode_lanes(TileState::Body& body,
                                                                    const GroupCoding& coding,
                                                                    GroupFrames frames,
                                                                    std::size_t bytes_max) {
  const bool wide = body.predictor->setup.levels.level_bits == 32;
  return wide ? encode_typed<std::uint32_t>(body, coding, frames, bytes_max)
              : encode_typed<std::uint16_t>(body, coding, frames, bytes_max);
}

Status decode_lanes(TileState::Body& body, const PredictedPayload& payload, MutableGroupFrames frames) {
  const bool wide = body.predictor->setup.levels.level_bits == 32;
  return wide ? decode_typed<std::uint32_t>(body, payload, frames)
              : decode_typed<std::uint16_t>(body, payload, frames);
}

#include "kernels/cpu/generic_cells.inl"
#include "kernels/cpu/generic_phase_rows.inl"
#include "kernels/cpu/generic_phases.inl"
