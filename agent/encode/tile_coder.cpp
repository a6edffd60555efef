// SPDX-License-Identifier: Apache-2.0
//
// Groups of one tile; the second attempt as a key group.
#include "agent/encode/tile_coder.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <memory>

#include "kernels/format/block_header.hpp"

namespace ff::agent {
namespace {

using kernels::Device;

Result<CodedGroup> encode_once(kernels::TileState& state, Device device, const kernels::GroupPlace& place,
                               kernels::GroupFrames frames, const kernels::EncodeOptions& options,
                               MutableByteSpan out) {
  FF_ASSIGN(const kernels::EncodePlanPtr plan, kernels::plan_group(state, place, frames, options));
  // Same bytes from every device: where this one can't, the reference does it.
  if (!kernels::device_available(device) || !kernels::can_execute(device, *plan)) device = Device::reference;
  FF_ASSIGN(const std::size_t bytes, kernels::encode_group(device, state, *plan, frames, out));
  FF_ASSIGN(const kernels::BlockInfo info, kernels::inspect_block(out.first(kernels::kBlockHeaderBytes)));
  return CodedGroup{bytes, place.key, device, info.exact ? "" : to_string(options.bound)};
}

}  // namespace

Result<Windowing> parse_windowing(std::string_view text) {
  constexpr std::string_view kDynamic = "dynamic:";
  if (text == "static") return Windowing{};
  if (text.starts_with(kDynamic)) {
    const std::string_view number = text.substr(kDynamic.size());
    double factor = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), factor);
    if (error == std::errc{} && end == number.data() + number.size() && factor >= 1.01 && factor <= 100)
      return Windowing{static_cast<std::uint32_t>(std::llround(factor * 1000))};
  }
  return fail(Errc::invalid_argument,
              "windowing '" + std::string(text) +
                  "': takes static, or dynamic:FACTOR with FACTOR from 1.01 to 100, as in dynamic:1.5");
}

Result<TileCoder> TileCoder::create(const FrameShape& tile, Windowing windowing) {
  FF_ASSIGN(kernels::TileState state, kernels::TileState::create(tile));
  return TileCoder(std::move(state), windowing);
}

Result<CodedGroup> TileCoder::encode(Device device, const kernels::GroupPlace& place,
                                     kernels::GroupFrames frames, const kernels::EncodeOptions& options,
                                     MutableByteSpan out) {
  FF_ASSIGN(CodedGroup coded, encode_once(state_, device, place, frames, options, out));
  if (!place.key && jumped(coded.bytes, frames.size())) try_key(place, frames, options, out, coded);
  if (coded.key) bytes_ = frames_ = 0;
  bytes_ += coded.bytes;
  frames_ += frames.size();
  return coded;
}

// In whole numbers: bytes of a window < 2^29, 64 frames, factor < 2^17: every product stays below 2^52.
bool TileCoder::jumped(std::size_t bytes, std::size_t frames) const noexcept {
  if (windowing_.factor_per_mille == 0 || frames_ == 0) return false;
  return std::uint64_t{bytes} * frames_ * 1000 > windowing_.factor_per_mille * bytes_ * frames;
}

// A key group needs nothing of what was before, so it is tried on a state of its own, which then goes on or is
// dropped. Where the attempt fails, the group that is coded already stands.
void TileCoder::try_key(const kernels::GroupPlace& place, kernels::GroupFrames frames,
                        const kernels::EncodeOptions& options, MutableByteSpan out, CodedGroup& coded) {
  auto fresh = kernels::TileState::create(state_.shape());
  if (!fresh.ok()) return;
  const std::size_t room =
      kernels::encoded_size_bound(state_.shape(), static_cast<std::uint32_t>(frames.size()));
  const auto trial = std::make_unique_for_overwrite<std::byte[]>(room);
  kernels::GroupPlace key_place = place;
  key_place.key = true;
  const auto key =
      encode_once(*fresh, coded.device, key_place, frames, options, MutableByteSpan(trial.get(), room));
  if (!key.ok() || key->bytes >= coded.bytes) return;
  std::memcpy(out.data(), trial.get(), key->bytes);
  state_ = std::move(*fresh);
  coded = *key;
}

}  // namespace ff::agent
