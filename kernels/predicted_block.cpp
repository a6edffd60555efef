// SPDX-License-Identifier: Apache-2.0
//
// Predicted block: puts side information and streams together, and hands the streams to a device.
#include "kernels/predicted_block.hpp"

#include <algorithm>

#include "kernels/cpu/codec_cpu.hpp"
#include "kernels/format/exact_pixels.hpp"
#include "kernels/format/sections.hpp"
#include "kernels/reference/codec_reference.hpp"

namespace ff::kernels {
namespace {

// Words of all streams behind the side information; nothing where that is more than stored pixels take.
std::optional<std::size_t> write_payload(const std::vector<std::byte>& side, const StreamWords& streams,
                                         std::size_t bytes_max, MutableByteSpan payload) {
  std::vector<std::size_t> words;
  std::size_t bytes = side.size() + lanes_head_bytes(streams.size());
  for (const auto& stream : streams) {
    words.push_back(stream.size());
    bytes += 2 * stream.size();
  }
  if (bytes > bytes_max) return std::nullopt;
  std::ranges::copy(side, payload.begin());
  std::size_t at = side.size();
  at += write_lanes_head(words, payload.subspan(at));
  for (const auto& stream : streams) {
    std::ranges::copy(std::as_bytes(std::span(stream)), payload.begin() + static_cast<std::ptrdiff_t>(at));
    at += 2 * stream.size();
  }
  return at;
}

const ModelCoder& coder_of(Device device, Model model) noexcept {
  return (device == Device::cpu ? cpu::coders() : reference::kCoders)[static_cast<std::size_t>(model)];
}

}  // namespace

std::uint32_t required_features(const PredictorState* predictor) noexcept {
  std::uint32_t features = 0;
  if (predictor == nullptr) return features;
  if (!predictor->codec.exact()) features |= static_cast<std::uint32_t>(Feature::lossy);
  if (predictor->setup.model == Model::phases) features |= static_cast<std::uint32_t>(Feature::four_phases);
  if (predictor->setup.model == Model::cells) features |= static_cast<std::uint32_t>(Feature::sparse);
  if (predictor->tables->bits == 12) features |= static_cast<std::uint32_t>(Feature::probability_12);
  return features;
}

Status check_features(const BlockHeader& header, const PredictorState* predictor) {
  const std::uint32_t used = required_features(predictor);
  if (header.required == used) return {};
  return fail(Errc::malformed, "block: its required feature bits are " + std::to_string(header.required) +
                                   ", what it uses are " + std::to_string(used));
}

Result<std::optional<std::size_t>> encode_predicted_payload(Device device, TileState::Body& body,
                                                            const EncodePlan& plan, GroupFrames frames,
                                                            MutableByteSpan payload) {
  FF_TRY(prepare_predictor(body, plan.setup, plan.prior, plan.mask, plan.tables));
  const PredictorState& state = *body.predictor;
  std::vector<FrameMix> mixes = plan.mixes;
  const std::vector<std::byte> mix_bits = write_mixes(body, mixes);
  const GroupCoding coding{plan.group, mixes, plan.count_frequencies};
  const std::size_t bytes_max = frames.size() * plan.tile.bytes();
  const auto streams = coder_of(device, state.setup.model).encode(body, coding, frames, bytes_max);
  if (!streams) return std::optional<std::size_t>();
  std::vector<std::byte> exact;
  if (!state.codec.exact() && !plan.exact_pixels.empty())
    exact = write_exact_pixels(plan.exact_pixels, frames, state.codec);
  const ContextTables* tables = plan.tables ? state.tables.get() : nullptr;  // counted ones, where it counts
  const std::vector<std::byte> side = write_side_information(plan, tables, mix_bits, exact);
  return write_payload(side, *streams, bytes_max, payload);
}

Status decode_predicted_payload(Device device, TileState::Body& body, const BlockHeader& header,
                                ByteSpan payload_bytes, MutableGroupFrames frames) {
  if (dtype_is_float(header.tile.dtype))
    return fail(Errc::malformed, "block: float pixels in a predicted block");
  FF_ASSIGN(PredictedPayload payload, parse_payload(payload_bytes, header.tile));
  if (header.place.key && !payload.setup) return fail(Errc::malformed, "block: a key group without a setup");
  FF_TRY(prepare_predictor(body, payload.setup, payload.prior, payload.mask, payload.tables));
  FF_ASSIGN(payload.mixes, read_mixes(body, payload.mix_bits, frames.size()));
  const PredictorState& state = *body.predictor;
  FF_TRY(check_features(header, &state));
  if (payload.exact_pixels && state.codec.exact())
    return fail(Errc::malformed, "block: exact pixels without a lossy level map");
  FF_TRY(coder_of(device, state.setup.model).decode(body, payload, frames));
  if (payload.exact_pixels) FF_TRY(restore_exact_pixels(*payload.exact_pixels, frames));
  return {};
}

}  // namespace ff::kernels
