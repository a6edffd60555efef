// SPDX-License-Identifier: Apache-2.0
//
// TileState: owner of the predictor state; names of profiles and devices.
#include <algorithm>
#include <array>

#include "kernels/codec.hpp"
#include "kernels/predictor_state.hpp"

namespace ff::kernels {
namespace {

constexpr std::array<std::string_view, 5> kProfileNames{"raw", "fast", "small", "max", "auto"};
constexpr std::array<std::string_view, 4> kDeviceNames{"reference", "cpu", "cuda", "fpga"};

template <typename Enum, std::size_t N>
Result<Enum> parse_name(const std::array<std::string_view, N>& names, std::string_view name,
                        std::string_view what) {
  for (std::size_t i = 0; i < N; ++i) {
    if (names[i] == name) return static_cast<Enum>(i);
  }
  std::string message = "unknown " + std::string(what) + " '" + std::string(name) + "'; known are";
  for (std::string_view known : names) message += " " + std::string(known);
  return fail(Errc::invalid_argument, std::move(message));
}

}  // namespace

std::string_view to_string(Profile profile) noexcept {
  const auto index = static_cast<std::size_t>(profile);
  return index < kProfileNames.size() ? kProfileNames[index] : "invalid";
}

std::string_view to_string(Device device) noexcept {
  const auto index = static_cast<std::size_t>(device);
  return index < kDeviceNames.size() ? kDeviceNames[index] : "invalid";
}

Result<Profile> parse_profile(std::string_view name) {
  return parse_name<Profile>(kProfileNames, name, "profile");
}
Result<Device> parse_device(std::string_view name) {
  return parse_name<Device>(kDeviceNames, name, "device");
}

void EncodePlanDeleter::operator()(EncodePlan* plan) const noexcept { delete plan; }

TileState::TileState(std::unique_ptr<Body> body) noexcept : body_(std::move(body)) {}
TileState::TileState(TileState&&) noexcept = default;
TileState& TileState::operator=(TileState&&) noexcept = default;
TileState::~TileState() = default;

Result<TileState> TileState::create(const FrameShape& tile) {
  FF_TRY(check_tile(tile));
  return TileState(std::make_unique<Body>(tile));
}

const FrameShape& TileState::shape() const noexcept { return body_->shape; }

std::size_t tile_state_bytes(const FrameShape& tile) noexcept {
  // Smooth: mean and scale, each before and after a frame, 2 bytes. Phases: five planes. The mask: 1 byte.
  if (dtype_is_float(tile.dtype)) return sizeof(TileState::Body);
  const std::size_t smooth = (tile.pixels() + kStatePadding) * 8;
  return sizeof(TileState::Body) + std::max(smooth, phase_state_bytes(tile.rows, tile.cols)) + tile.pixels();
}

std::size_t codec_work_bytes(const FrameShape& tile, std::uint32_t frame_count) noexcept {
  // Encoding: a symbol (4 bytes) and a level of every pixel of the group, and the streams' words, which end
  // where raw pixels would be smaller; the words once more while they are joined. Planning: level lists and
  // samples, some tens of bytes a pixel of the tile. Decoding: a few planes.
  constexpr std::size_t kTables = std::size_t{8} << 20;
  const std::size_t group_pixels = frame_count * tile.pixels();
  return group_pixels * (4 + 3 * dtype_bytes(tile.dtype)) + tile.pixels() * 64 + kTables;
}

}  // namespace ff::kernels
