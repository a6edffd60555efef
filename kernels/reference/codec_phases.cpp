// SPDX-License-Identifier: Apache-2.0
//
// Reference codec, model phases: plane rows in coding order, each padded to whole groups of 32 positions.
#include <array>
#include <functional>

#include "kernels/format/frequencies.hpp"
#include "kernels/reference/codec_reference.hpp"
#include "kernels/reference/phases.hpp"
#include "kernels/reference/streams.hpp"

namespace ff::kernels::reference {
namespace {

// A plane row's records, and what the tokens of its pixels mean.
struct PlaneRow {
  std::vector<LaneRecord> records;
  std::vector<PixelContext> contexts;
};

PlaneRow predict_row(PhaseFrame& frame, const PhasePlaneShape& plane, const PlaneMix& mix, std::uint32_t y) {
  PlaneRow row{std::vector<LaneRecord>((plane.cols + kLanes - 1) / kLanes * kLanes), {}};
  for (std::uint32_t x = 0; x < plane.cols; ++x) {
    const std::uint32_t r = plane.row_first + y * plane.step, c = plane.col_first + x * plane.step;
    const PixelContext context = frame.predict(plane, mix, r, c);
    row.contexts.push_back(context);
    row.records[x].active = !frame.masked(r, c);
    row.records[x].context = context.context;
    row.records[x].raw_bits = context.raw_bits;
  }
  return row;
}

void settle_row(PhaseFrame& frame, const PhasePlaneShape& plane, std::uint32_t y,
                const std::vector<LaneRecord>& records) {
  for (std::uint32_t x = 0; x < plane.cols; ++x) {
    frame.settle(plane.row_first + y * plane.step, plane.col_first + x * plane.step, records[x].level,
                 records[x].active);
  }
}

// Calls visit(plane, mix, y) for the plane rows of the next frame, then moves the state.
template <typename Visit>
void walk_frame(PhaseFrame& frame, const FrameShape& tile, const FrameMix& mixes, Visit&& visit) {
  const unsigned levels = frame.levels();
  for_each_phase_row(tile.rows, tile.cols, levels, [&](std::size_t p, std::uint32_t y) {
    visit(phase_plane(tile.rows, tile.cols, levels, p), *mixes[p], y);
  });
  frame.learn();
}

std::vector<std::uint32_t> frame_levels(const LevelCodec& codec, const FrameView& frame) {
  std::vector<std::uint32_t> levels(frame.shape.pixels());
  for (std::uint32_t row = 0; row < frame.shape.rows; ++row) {
    codec.levels_of_row(frame.row(row), frame.shape.cols, &levels[std::size_t{row} * frame.shape.cols]);
  }
  return levels;
}

// Records of a whole frame in coding order.
std::vector<LaneRecord> tokenize(PhaseFrame& predictor, const PredictorState& state, const FrameMix& mixes,
                                 const FrameView& frame) {
  const std::uint32_t wrap = wrap_mask(state.setup.levels.level_bits);
  const std::vector<std::uint32_t> levels = frame_levels(state.codec, frame);
  std::vector<LaneRecord> records;
  walk_frame(predictor, frame.shape, mixes,
             [&](const PhasePlaneShape& plane, const PlaneMix& mix, std::uint32_t y) {
               PlaneRow row = predict_row(predictor, plane, mix, y);
               for (std::uint32_t x = 0; x < plane.cols; ++x) {
                 LaneRecord& record = row.records[x];
                 record.level = levels[(plane.row_first + std::size_t{y} * plane.step) * frame.shape.cols +
                                       plane.col_first + std::size_t{x} * plane.step];
                 if (record.active) record.token = token_of(record.level, row.contexts[x], wrap);
               }
               settle_row(predictor, plane, y, row.records);
               records.insert(records.end(), row.records.begin(), row.records.end());
             });
  return records;
}

void count_tables(PredictorState& state, const std::vector<std::vector<LaneRecord>>& frames) {
  std::size_t contexts = 0;
  for (const ContextClass& c : state.tables->classes) contexts += c.contexts();
  std::vector<Histogram> counts(contexts, Histogram{});
  for (const auto& records : frames) {
    for (const LaneRecord& record : records) counts[record.context][record.token] += record.active ? 1 : 0;
  }
  state.tables = std::make_shared<const ContextTables>(counted_tables(*state.tables, counts));
}

void write_row(const PredictorState& state, const PhasePlaneShape& plane, std::uint32_t y,
               const std::vector<LaneRecord>& records, const MutableFrameView& frame) {
  const std::size_t width = dtype_bytes(frame.shape.dtype);
  const std::uint32_t r = plane.row_first + y * plane.step;
  for (std::uint32_t x = 0; x < plane.cols; ++x) {
    const std::uint32_t c = plane.col_first + x * plane.step;
    const std::size_t p = std::size_t{r} * frame.shape.cols + c;
    const std::int64_t value = records[x].active ? state.codec.value(records[x].level)
                                                 : state.mask->values[state.mask->classes[p] - 1u];
    store_pixel(frame.shape.dtype, frame.row(r) + c * width, value);
  }
}

}  // namespace

std::optional<StreamWords> encode_phases(TileState::Body& body, const GroupCoding& coding, GroupFrames frames,
                                         std::size_t bytes_max) {
  PredictorState& state = *body.predictor;
  PhaseFrame predictor(body.shape, state, coding.group);
  std::vector<std::vector<LaneRecord>> records;
  for (std::size_t t = 0; t < frames.size(); ++t)
    records.push_back(tokenize(predictor, state, coding.mixes[t], frames[t]));
  if (coding.count_frequencies) count_tables(state, records);
  StreamEncoders streams(state, coding.group.streams, bytes_max);
  for (std::size_t t = frames.size(); t-- > 0;) {
    for (std::size_t g = records[t].size() / kLanes; g-- > 0;)
      streams.of_group(g).put_group(std::span<const LaneRecord, kLanes>(&records[t][g * kLanes], kLanes));
    if (!streams.within_limit()) return std::nullopt;
  }
  return streams.finish();
}

Status decode_phases(TileState::Body& body, const PredictedPayload& payload, MutableGroupFrames frames) {
  PredictorState& state = *body.predictor;
  PhaseFrame predictor(body.shape, state, payload.group);
  StreamDecoders streams(state, payload);
  const std::uint32_t wrap = wrap_mask(state.setup.levels.level_bits);
  for (std::size_t t = 0; t < frames.size(); ++t) {
    std::size_t group = 0;
    walk_frame(
        predictor, body.shape, payload.mixes[t],
        [&](const PhasePlaneShape& plane, const PlaneMix& mix, std::uint32_t y) {
          PlaneRow row = predict_row(predictor, plane, mix, y);
          for (std::size_t at = 0; at < row.records.size(); at += kLanes)
            streams.of_group(group++).get_group(std::span<LaneRecord, kLanes>(&row.records[at], kLanes));
          for (std::uint32_t x = 0; x < plane.cols; ++x) {
            LaneRecord& record = row.records[x];
            if (record.active && record.token != kEscape)
              record.level = level_of(record.token, record.level, row.contexts[x], wrap);
          }
          settle_row(predictor, plane, y, row.records);
          write_row(state, plane, y, row.records, frames[t]);
        });
  }
  return streams.end();
}

}  // namespace ff::kernels::reference
