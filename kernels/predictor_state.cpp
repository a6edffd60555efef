// SPDX-License-Identifier: Apache-2.0
//
// Predictor state: how a block's side information changes it before the first frame.
#include "kernels/predictor_state.hpp"

#include <algorithm>

#include "kernels/format/prior.hpp"

namespace ff::kernels {

PredictorState::PredictorState() = default;
PredictorState::PredictorState(PredictorState&&) noexcept = default;
PredictorState& PredictorState::operator=(PredictorState&&) noexcept = default;
PredictorState::~PredictorState() = default;

namespace {

void fill(LineVector& plane, LineVector& next, const FrameShape& tile, const std::vector<std::uint16_t>* grid,
          unsigned log2_block) {
  plane.assign(tile.pixels() + kStatePadding, 0);
  next.assign(tile.pixels() + kStatePadding, 0);
  if (grid != nullptr) expand_prior(*grid, log2_block, tile, 0, tile.rows, plane.data());
}

// A cell's level is its sum; 65535 stands for one that teaches nothing, as a sentinel would.
std::unique_ptr<CellState> fresh_cells(const FrameShape& tile, const PredictorSetup& setup,
                                       const std::optional<Prior>& prior) {
  auto cells = std::make_unique<CellState>();
  PredictorState& image = cells->image;
  image.setup.up = setup.up;
  image.setup.levels.sentinels = {kCellUnseen};
  image.frames = prior ? prior->frames_weight : 0;
  const FrameShape shape = cell_shape(tile);
  fill(image.mean, image.mean_next, shape, prior ? &prior->mean : nullptr, prior ? prior->log2_block : 0);
  cells->last_value.assign(shape.pixels() * kCellPixels, 0);
  return cells;
}

PredictorState fresh_predictor(const FrameShape& tile, const PredictorSetup& setup,
                               const std::optional<Prior>& prior) {
  PredictorState state;
  state.setup = setup;
  state.codec = LevelCodec(setup.levels, tile.dtype);
  state.frames = prior ? prior->frames_weight : 0;
  if (setup.model == Model::phases) {
    state.phases.emplace(tile.rows, tile.cols, setup.phases);
    return state;
  }
  if (setup.model == Model::cells) {
    state.cells = fresh_cells(tile, setup, prior);
    return state;
  }
  const unsigned log2_block = prior ? prior->log2_block : 0;
  fill(state.mean, state.mean_next, tile, prior ? &prior->mean : nullptr, log2_block);
  if (setup.source == ContextSource::scale) {
    fill(state.scale, state.scale_next, tile, prior ? &prior->scale : nullptr, log2_block);
  }
  return state;
}

}  // namespace

Status prepare_predictor(TileState::Body& body, const std::optional<PredictorSetup>& setup,
                         const std::optional<Prior>& prior, std::shared_ptr<const MaskMap> mask,
                         std::shared_ptr<const ContextTables> tables) {
  if (setup && prior && setup->model == Model::phases)
    return fail(Errc::malformed, "block: a prior, which the phases have no use for");
  if (setup) {
    body.predictor = fresh_predictor(body.shape, *setup, prior);
  } else if (!body.predictor) {
    return fail(Errc::malformed, "block: inherits a predictor, but the block before it left none");
  }
  PredictorState& predictor = *body.predictor;
  if (mask != nullptr) predictor.mask = std::move(mask);
  if (tables != nullptr) predictor.tables = std::move(tables);
  if (predictor.tables == nullptr)
    return fail(Errc::malformed, "block: reuses tables, but none were sent since the reset");
  const PredictorSetup& now = predictor.setup;
  if (now.model == Model::cells) {
    const auto plain = [](const ContextClass& c) { return !c.residual && !c.split; };
    if (predictor.tables->value_keys.empty() || !std::ranges::all_of(predictor.tables->classes, plain))
      return fail(Errc::malformed, "block: cells have plain classes and value tables");
    predictor.cells->image.tables = predictor.tables;
    predictor.cells->image.mask = cell_mask(predictor.mask.get(), body.shape);
    return {};
  }
  if (!predictor.tables->value_keys.empty())
    return fail(Errc::malformed, "block: value tables, which only cells have a use for");
  // With phases, rate contexts are split by the ratio of scale and rate, which needs no fraction.
  const bool by_fraction = now.model == Model::smooth || now.source == ContextSource::scale;
  const bool any_split =
      std::ranges::any_of(predictor.tables->classes, [](const ContextClass& c) { return c.split; });
  if (any_split && by_fraction && now.up < 2) {
    return fail(Errc::malformed, "block: a split class needs two fraction bits, the state has fewer");
  }
  return {};
}

Result<std::vector<FrameMix>> read_mixes(TileState::Body& body, std::optional<ByteSpan> mix_bits,
                                         std::size_t frames) {
  PredictorState& state = *body.predictor;
  if (mix_bits.has_value() != state.phases.has_value())
    return fail(Errc::malformed, "block: the mix section belongs to the phases, and they to it");
  if (!mix_bits) return std::vector<FrameMix>{};
  BitReader in(*mix_bits);
  FF_ASSIGN(std::vector<FrameMix> mixes,
            parse_frame_mixes(in, frames, body.shape.rows, body.shape.cols, state.setup.phases,
                              state.frames == 0, state.phases->last_mixes));
  if (!in.ended_cleanly()) return fail(Errc::malformed, "block: the mix section is longer than its weights");
  hold_frame_mixes(mixes, state.frames == 0, state.phases->last_mixes);
  return mixes;
}

std::vector<std::byte> write_mixes(TileState::Body& body, std::vector<FrameMix>& mixes) {
  PredictorState& state = *body.predictor;
  if (!state.phases) return {};
  BitWriter out;
  write_frame_mixes(mixes, body.shape.rows, body.shape.cols, state.setup.phases, state.frames == 0,
                    state.phases->last_mixes, out);
  hold_frame_mixes(mixes, state.frames == 0, state.phases->last_mixes);
  return {out.bytes().begin(), out.bytes().end()};
}

std::shared_ptr<const MaskMap> cell_mask(const MaskMap* mask, const FrameShape& tile) {
  if (mask == nullptr) return nullptr;
  const FrameShape shape = cell_shape(tile);
  auto cells = std::make_shared<MaskMap>();
  cells->classes.assign(shape.pixels(), 1);
  for (std::uint32_t row = 0; row < tile.rows; ++row) {
    const std::uint8_t* hidden = &mask->classes[std::size_t{row} * tile.cols];
    std::uint8_t* out = &cells->classes[std::size_t{row / 2} * shape.cols];
    for (std::uint32_t col = 0; col < tile.cols; ++col) out[col / 2] &= hidden[col] != 0 ? 1 : 0;
  }
  const bool any = std::ranges::find(cells->classes, 1) != cells->classes.end();
  return any ? cells : nullptr;
}

}  // namespace ff::kernels
