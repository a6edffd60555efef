// SPDX-License-Identifier: Apache-2.0
//
// Dispatch: checks what is common to all devices, then hands the group to one of them.
#include "kernels/codec.hpp"

#include <algorithm>
#include <bit>

#include "common/base/crc32c.hpp"
#include "kernels/format/block_header.hpp"
#include "kernels/format/exact_pixels.hpp"
#include "kernels/format/raw_block.hpp"
#include "kernels/predicted_block.hpp"
#include "kernels/predictor_state.hpp"
#include "kernels/reference/plan_cells.hpp"
#include "kernels/reference/planner.hpp"

namespace ff::kernels {
namespace {

template <typename Views>
Status check_views(const FrameShape& tile, const GroupPlace& place, const Views& views) {
  if (views.size() != static_cast<std::size_t>(std::popcount(place.present))) {
    return fail(Errc::shape_mismatch, "group: " + std::to_string(views.size()) + " frames given, " +
                                          std::to_string(std::popcount(place.present)) + " declared present");
  }
  for (const auto& view : views) {
    if (!(view.shape == tile) || view.pixels == nullptr || view.row_stride_bytes < tile.row_bytes()) {
      return fail(Errc::shape_mismatch, "group: a frame's shape or type differs from the tile's");
    }
  }
  return {};
}

Status check_continues(const TileState::Body& body, const GroupPlace& place) {
  if (place.key || (body.window_open && place.first_frame >= body.next_frame)) return {};
  return fail(Errc::state_mismatch, "group at frame " + std::to_string(place.first_frame) +
                                        " does not continue its window; start again at a key group");
}

// Moves the place in the window; the predictor's part of the state is the device's business.
void advance(TileState::Body& body, const BlockHeader& header) {
  body.window_open = true;
  body.next_frame = static_cast<std::uint8_t>(header.place.first_frame + header.place.frame_count);
  body.link = header.header_crc;
}

Status check_sentinels(const FrameShape& tile, const EncodeOptions& options) {
  if (dtype_is_float(tile.dtype)) return {};
  if (options.sentinels.size() > kSentinelsMax) {
    return fail(Errc::out_of_range,
                "plan: " + std::to_string(options.sentinels.size()) + " sentinels; 8 at most");
  }
  const ValueRange range = value_range(tile.dtype);
  for (std::size_t i = 0; i < options.sentinels.size(); ++i) {
    const std::int64_t value = options.sentinels[i];
    const auto before = options.sentinels.first(i);
    if (value < range.low || value > range.high || std::ranges::find(before, value) != before.end()) {
      return fail(Errc::out_of_range, "plan: sentinel " + std::to_string(value) + " is no value of " +
                                          std::string(dtype_name(tile.dtype)) + ", or is listed twice");
    }
  }
  return {};
}

// The header of a block whose payload stands behind it in `out`.
std::size_t seal_block(TileState& state, const EncodePlan& plan, Profile profile, BlockKind kind,
                       GroupFrames frames, MutableByteSpan out, std::size_t payload_bytes) {
  const PredictorState* predictor = kind == BlockKind::predicted ? &*state.body().predictor : nullptr;
  const bool lossy = predictor != nullptr && !predictor->codec.exact();
  BlockHeader header;
  header.tile = plan.tile;
  header.place = plan.place;
  header.profile = profile;
  header.kind = kind;
  header.required = required_features(predictor);
  header.link = plan.place.key ? 0 : state.body().link;
  header.pixel_crc =
      lossy ? decoded_pixel_crc(frames, predictor->codec, predictor->mask.get(), plan.exact_pixels)
            : pixel_crc(frames);
  header.block_bytes = static_cast<std::uint32_t>(kBlockHeaderBytes + payload_bytes);
  header.payload_crc = crc32c(out.subspan(kBlockHeaderBytes, payload_bytes));
  write_block_header(header, out);
  advance(state.body(), header);
  return header.block_bytes;
}

std::size_t encode_raw(TileState& state, const EncodePlan& plan, GroupFrames frames, MutableByteSpan out) {
  const BlockKind wanted = plan.kind == BlockKind::stored ? BlockKind::stored : BlockKind::raw_zstd;
  const RawPayload payload = encode_raw_payload(wanted, frames, out.subspan(kBlockHeaderBytes));
  state.body().predictor.reset();  // block.md §4: a raw block leaves no predictor
  return seal_block(state, plan, Profile::raw, payload.kind, frames, out, payload.bytes);
}

}  // namespace

Result<EncodePlanPtr> plan_group(const TileState& state, const GroupPlace& place, GroupFrames frames,
                                 const EncodeOptions& options) {
  FF_TRY(check_place(place));
  FF_TRY(check_views(state.shape(), place, frames));
  FF_TRY(check_continues(state.body(), place));
  if (!options.mask.empty() && options.mask.size() != state.shape().pixels()) {
    return fail(Errc::shape_mismatch, "plan: the mask has " + std::to_string(options.mask.size()) +
                                          " entries, the tile " + std::to_string(state.shape().pixels()) +
                                          " pixels");
  }
  FF_TRY(check_sentinels(state.shape(), options));
  if (!dtype_is_float(state.shape().dtype)) FF_TRY(check_loss_bound(options.bound, state.shape().dtype));
  if (options.profile != Profile::raw && !dtype_is_float(state.shape().dtype)) {
    return reference::plan_or_cells(state.body(), place, frames, options, reference::plan_predicted);
  }
  EncodePlanPtr plan(new EncodePlan);
  plan->tile = state.shape();
  plan->place = place;
  plan->kind = BlockKind::raw_zstd;
  return plan;
}

std::size_t encoded_size_bound(const FrameShape& tile, std::uint32_t frame_count) noexcept {
  const std::size_t raw = frame_count * tile.bytes();
  return raw + raw / 1000 + 256;
}

Result<std::size_t> encode_group(Device device, TileState& state, const EncodePlan& plan, GroupFrames frames,
                                 MutableByteSpan out) {
  if (!can_execute(device, plan)) {
    return fail(Errc::unsupported_feature,
                "encode: " + std::string(to_string(device)) + " can't execute this plan");
  }
  FF_TRY(check_views(plan.tile, plan.place, frames));
  if (!(plan.tile == state.shape()))
    return fail(Errc::shape_mismatch, "encode: the plan is for another tile");
  FF_TRY(check_continues(state.body(), plan.place));
  if (out.size() < encoded_size_bound(plan.tile, static_cast<std::uint32_t>(frames.size()))) {
    return fail(Errc::buffer_too_small, "encode: output smaller than encoded_size_bound");
  }
  if (plan.kind != BlockKind::predicted) return encode_raw(state, plan, frames, out);
  FF_ASSIGN(const auto payload_bytes,
            encode_predicted_payload(device, state.body(), plan, frames, out.subspan(kBlockHeaderBytes)));
  if (!payload_bytes) return encode_raw(state, plan, frames, out);
  remember(state.body().memory, plan, state.body().predictor->setup);
  return seal_block(state, plan, plan.profile, BlockKind::predicted, frames, out, *payload_bytes);
}

bool can_execute(Device device, const EncodePlan& plan) noexcept {
  const bool cells = plan.tables != nullptr && !plan.tables->value_keys.empty();
  const bool smooth = plan.mixes.empty() && !cells;
  return device_available(device) && !(smooth && plan.count_frequencies);
}

bool device_available(Device device) noexcept { return device == Device::reference || device == Device::cpu; }

Status decode_group(Device device, TileState& state, ByteSpan block, MutableGroupFrames frames) {
  if (!device_available(device)) {
    return fail(Errc::unsupported_feature, "decode: this build has no " + std::string(to_string(device)));
  }
  FF_ASSIGN(const BlockHeader header, parse_block_header(block));
  if (block.size() < header.block_bytes) {
    return fail(Errc::truncated,
                "block: " + std::to_string(block.size()) + " bytes of " + std::to_string(header.block_bytes));
  }
  if (!(header.tile == state.shape())) {
    return fail(Errc::shape_mismatch, "block: its tile's shape or type differs from the declared one");
  }
  FF_TRY(check_views(header.tile, header.place, frames));
  FF_TRY(check_continues(state.body(), header.place));
  if (!header.place.key && header.link != state.body().link) {
    return fail(Errc::state_mismatch, "block: continues another block than the one decoded last");
  }
  const ByteSpan payload = block.subspan(kBlockHeaderBytes, header.block_bytes - kBlockHeaderBytes);
  if (crc32c(payload) != header.payload_crc) {
    return fail(Errc::crc_mismatch, "block: payload CRC does not match; the block was damaged on its way");
  }
  if (header.kind == BlockKind::predicted) {
    FF_TRY(decode_predicted_payload(device, state.body(), header, payload, frames));
  } else {
    FF_TRY(check_features(header, nullptr));
    FF_TRY(decode_raw_payload(header.kind, payload, frames));
    state.body().predictor.reset();
  }
  if (pixel_crc(frames) != header.pixel_crc) {
    return fail(Errc::crc_mismatch, "block: decoded pixels do not match their CRC");
  }
  advance(state.body(), header);
  return {};
}

}  // namespace ff::kernels
