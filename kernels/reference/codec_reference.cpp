// SPDX-License-Identifier: Apache-2.0
//
// Reference codec, model smooth: contexts of a whole frame first, then its lanes, then the state.
#include "kernels/reference/codec_reference.hpp"

#include <array>

#include "kernels/reference/predict.hpp"
#include "kernels/reference/streams.hpp"

namespace ff::kernels::reference {
namespace {

// Expectations and contexts of one frame, and the update after it: what encoder and decoder share.
class FramePredictor {
 public:
  FramePredictor(const FrameShape& tile, PredictorState& state, const GroupSetup& group)
      : tile_(tile),
        state_(state),
        group_(group),
        around_(tile, state.mask.get()),
        entries_(bucket_entries(*state.tables)),
        expected_(tile.pixels()),
        records_((tile.pixels() + kLanes - 1) / kLanes * kLanes),
        bases_(tile.pixels()) {}

  // §6.2: everything from the state before this frame.
  void predict() {
    const bool by_scale = state_.setup.source == ContextSource::scale;
    for (std::uint32_t row = 0; row < tile_.rows; ++row) {
      for (std::uint32_t col = 0; col < tile_.cols; ++col) {
        const std::size_t p = std::size_t{row} * tile_.cols + col;
        records_[p] = LaneRecord{};
        if (around_.masked(row, col)) continue;
        expected_[p] = around_.smoothed(state_.mean.data(), row, col, group_.smoothing);
        const std::int32_t key =
            by_scale ? around_.smoothed(state_.scale.data(), row, col, group_.scale_smoothing) : expected_[p];
        const PixelContext context =
            pixel_context(entries_[bucket_of(static_cast<std::uint32_t>(key))], expected_[p], state_.setup);
        records_[p].active = true;
        records_[p].context = context.context;
        records_[p].raw_bits = context.raw_bits;
        bases_[p] = context.base;
      }
    }
  }

  // §6.5: masked pixels and sentinels teach nothing.
  void learn() {
    const std::int32_t mean_gain = gain(state_.frames, group_.mean_frames);
    const std::int32_t scale_gain = gain(state_.frames, group_.scale_frames);
    const bool has_scale = !state_.scale.empty();
    const std::uint64_t sentinels =
        (std::uint64_t{1} << state_.setup.levels.level_bits) - state_.setup.levels.sentinels.size();
    for (std::size_t p = 0; p < tile_.pixels(); ++p) {
      if (!records_[p].active || records_[p].level >= sentinels) continue;
      const std::int32_t now = seen(records_[p].level, state_.setup);
      const std::int32_t mean = state_.mean[p];
      state_.mean[p] = static_cast<std::uint16_t>(mean + scaled(now - mean, mean_gain));
      if (!has_scale) continue;
      const std::int32_t scale = state_.scale[p];
      const std::int32_t distance = std::abs(now - expected_[p]);
      state_.scale[p] = static_cast<std::uint16_t>(scale + scaled(distance - scale, scale_gain));
    }
    state_.frames = std::min(state_.frames + 1, kWindowFramesMax);
  }

  [[nodiscard]] PixelContext context(std::size_t p) const noexcept {
    return {records_[p].context, records_[p].raw_bits, bases_[p]};
  }
  [[nodiscard]] std::span<LaneRecord, kLanes> group_records(std::size_t g) noexcept {
    return std::span<LaneRecord, kLanes>(&records_[g * kLanes], kLanes);
  }
  [[nodiscard]] std::size_t groups() const noexcept { return records_.size() / kLanes; }
  [[nodiscard]] std::vector<LaneRecord>& records() noexcept { return records_; }

 private:
  const FrameShape& tile_;
  PredictorState& state_;
  const GroupSetup& group_;
  Neighbourhood around_;
  std::array<BucketEntry, kBuckets> entries_;
  std::vector<std::int32_t> expected_;
  std::vector<LaneRecord> records_;
  std::vector<std::int32_t> bases_;
};

void tokenize(FramePredictor& predictor, const LevelCodec& codec, const FrameView& frame) {
  const std::uint32_t wrap = wrap_mask(codec.map().level_bits);
  std::vector<std::uint32_t> levels(frame.shape.cols);
  std::size_t p = 0;
  for (std::uint32_t row = 0; row < frame.shape.rows; ++row) {
    codec.levels_of_row(frame.row(row), frame.shape.cols, levels.data());
    for (std::uint32_t col = 0; col < frame.shape.cols; ++col, ++p) {
      LaneRecord& record = predictor.records()[p];
      if (!record.active) continue;
      record.level = levels[col];
      record.token = token_of(levels[col], predictor.context(p), wrap);
    }
  }
}

void write_pixels(FramePredictor& predictor, const PredictorState& state, const MutableFrameView& frame) {
  const std::size_t width = dtype_bytes(frame.shape.dtype);
  std::size_t p = 0;
  for (std::uint32_t row = 0; row < frame.shape.rows; ++row) {
    for (std::uint32_t col = 0; col < frame.shape.cols; ++col, ++p) {
      const LaneRecord& record = predictor.records()[p];
      const std::int64_t value =
          record.active ? state.codec.value(record.level) : state.mask->values[state.mask->classes[p] - 1u];
      store_pixel(frame.shape.dtype, frame.row(row) + col * width, value);
    }
  }
}

}  // namespace

std::optional<StreamWords> encode_smooth(TileState::Body& body, const GroupCoding& coding, GroupFrames frames,
                                         std::size_t bytes_max) {
  PredictorState& state = *body.predictor;
  FramePredictor predictor(body.shape, state, coding.group);
  std::vector<std::vector<LaneRecord>> tokens;
  for (const FrameView& frame : frames) {
    predictor.predict();
    tokenize(predictor, state.codec, frame);
    tokens.push_back(predictor.records());
    predictor.learn();
  }
  StreamEncoders streams(state, coding.group.streams, bytes_max);
  for (std::size_t t = frames.size(); t-- > 0;) {
    for (std::size_t g = predictor.groups(); g-- > 0;)
      streams.of_group(g).put_group(std::span<const LaneRecord, kLanes>(&tokens[t][g * kLanes], kLanes));
    if (!streams.within_limit()) return std::nullopt;
  }
  return streams.finish();
}

Status decode_smooth(TileState::Body& body, const PredictedPayload& payload, MutableGroupFrames frames) {
  PredictorState& state = *body.predictor;
  FramePredictor predictor(body.shape, state, payload.group);
  StreamDecoders streams(state, payload);
  const std::uint32_t wrap = wrap_mask(state.setup.levels.level_bits);
  for (const MutableFrameView& frame : frames) {
    predictor.predict();
    for (std::size_t g = 0; g < predictor.groups(); ++g)
      streams.of_group(g).get_group(predictor.group_records(g));
    for (std::size_t p = 0; p < body.shape.pixels(); ++p) {
      LaneRecord& record = predictor.records()[p];
      if (!record.active || record.token == kEscape) continue;
      record.level = level_of(record.token, record.level, predictor.context(p), wrap);
    }
    write_pixels(predictor, state, frame);
    predictor.learn();
  }
  return streams.end();
}

}  // namespace ff::kernels::reference
