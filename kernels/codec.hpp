// SPDX-License-Identifier: Apache-2.0
//
// The codec: predict a tile's frames from the frames before, code what the prediction missed.
//
// Data path  window > [plan > encode] > envelope > ... > [decode] > store
// Meaning    docs/formats/block.md; kernels/reference/ is laid out like it, cpu/ gives the same bytes.
// Not here   threads, I/O, clocks, logs, choosing a profile by policy (agent/policy/).
//
// Plan and encode are two steps. `plan_group` is free to choose (it is judged by bits, never by time) and
// puts every choice the decoder needs into an EncodePlan; `encode_group` is normative: equal plan, equal
// state and equal pixels give equal bytes on every device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.hpp"
#include "common/base/frame_view.hpp"
#include "common/base/result.hpp"
#include "kernels/loss_bound.hpp"

namespace ff::kernels {

inline constexpr std::uint32_t kWindowFramesMax = 64;
inline constexpr std::size_t kTilePixelsMax = std::size_t{1} << 20;

/// `automatic` ("auto") is a wish, never in a block: the planner takes the one of the others that costs the fewest
/// bits, the faster one where they are nearly equal.
enum class Profile : std::uint8_t { raw = 0, fast = 1, small = 2, max = 3, automatic = 4 };
enum class Device : std::uint8_t { reference = 0, cpu = 1, cuda = 2, fpga = 3 };

[[nodiscard]] std::string_view to_string(Profile profile) noexcept;
[[nodiscard]] std::string_view to_string(Device device) noexcept;
[[nodiscard]] Result<Profile> parse_profile(std::string_view name);
[[nodiscard]] Result<Device> parse_device(std::string_view name);

/// Where a group stands inside its window, and which of its frames are there.
/// `first_frame` counts from the window's start (0 ... 63); bit i of `present` stands for frame
/// first_frame + i. Pixels are given for the present frames only, in ascending order.
struct GroupPlace {
  std::uint8_t first_frame = 0;
  std::uint8_t frame_count = 0;  ///< 1 ... 64 grid positions covered, present or not
  std::uint64_t present = 0;     ///< bit i set: frame first_frame + i is coded
  bool key = false;              ///< resets the predictor; the first group of a window always is one
};

/// Pixels of the present frames of one tile: all views have the shape given to the TileState.
using GroupFrames = std::span<const FrameView>;
using MutableGroupFrames = std::span<const MutableFrameView>;

/// Predictor state of one tile, carried through the groups of a window (and no further: a key group
/// resets it). Encoder and decoder hold one each and stay equal. About 10 to 12 bytes a pixel
/// (tile_state_bytes).
/// Not thread-safe; different tiles may be used from different threads.
class TileState {
 public:
  /// Errors: out_of_range (zero or more than kTilePixelsMax pixels).
  [[nodiscard]] static Result<TileState> create(const FrameShape& tile);

  TileState(TileState&&) noexcept;
  TileState& operator=(TileState&&) noexcept;
  ~TileState();

  [[nodiscard]] const FrameShape& shape() const noexcept;

  struct Body;  ///< kernels/predictor_state.hpp; the same for every device
  [[nodiscard]] Body& body() noexcept { return *body_; }
  [[nodiscard]] const Body& body() const noexcept { return *body_; }

 private:
  explicit TileState(std::unique_ptr<Body> body) noexcept;
  std::unique_ptr<Body> body_;
};

/// Bytes a TileState of this shape takes, for the memory bound that `--check` prints.
[[nodiscard]] std::size_t tile_state_bytes(const FrameShape& tile) noexcept;
/// Most memory that planning, coding or decoding one group takes for itself while it runs, beside its arguments
/// and the state: for the bounds that are printed before a run. Larger than what is usual.
[[nodiscard]] std::size_t codec_work_bytes(const FrameShape& tile, std::uint32_t frame_count) noexcept;

/// What the caller knows about the tile before its first frame.
struct EncodeOptions {
  Profile profile = Profile::fast;
  std::span<const std::uint8_t> mask;       ///< rows × cols, 1 = masked by the detector; may be empty
  std::span<const std::int64_t> sentinels;  ///< declared values (65535, -1, -2 ...); at most 8
  /// Lossy only where the operator declares it; floats, Profile::raw and groups that do not shrink stay exact.
  /// Masked pixels and sentinels are exact under every bound.
  LossBound bound{};
};

/// Every choice the decoder needs, all of it transmitted. Plain data; the fields belong to block.md.
struct EncodePlan;
struct EncodePlanDeleter {
  void operator()(EncodePlan* plan) const noexcept;
};
using EncodePlanPtr = std::unique_ptr<EncodePlan, EncodePlanDeleter>;

/// Chooses level map, mask, scale, contexts and tables for the next group of `state`. Does not change
/// `state`. Floats, and groups that would not shrink, get a plan for a raw block (bitshuffle + zstd).
/// Errors: shape_mismatch (views differ from the state or from `place`), out_of_range (place, sentinels, bound),
///         state_mismatch (a non-key group that does not continue the state's window).
[[nodiscard]] Result<EncodePlanPtr> plan_group(const TileState& state, const GroupPlace& place,
                                               GroupFrames frames, const EncodeOptions& options);

/// Largest number of bytes encode_group can write: raw pixels + 0.1 % + 256.
[[nodiscard]] std::size_t encoded_size_bound(const FrameShape& tile, std::uint32_t frame_count) noexcept;

/// Codes one group into `out` and moves `state` past it. Returns the block's bytes.
/// Errors, with `state` unchanged: buffer_too_small, shape_mismatch, unsupported_feature (a plan this
/// device can't execute; ask can_execute first), dtype_unsupported.
[[nodiscard]] Result<std::size_t> encode_group(Device device, TileState& state, const EncodePlan& plan,
                                               GroupFrames frames, MutableByteSpan out);

[[nodiscard]] bool can_execute(Device device, const EncodePlan& plan) noexcept;
/// False where this build leaves the device out (cuda without nvcc, cpu without its vector code ...).
[[nodiscard]] bool device_available(Device device) noexcept;

/// The newest blocks that this build decodes, on whatever device.
struct BlockAbility {
  std::uint8_t version_major = 0, version_minor = 0;
  std::uint32_t required_features = 0;  ///< required-feature bits of block.md that are understood
};
[[nodiscard]] BlockAbility block_ability() noexcept;

/// What a block says about itself, read from its header alone.
struct BlockInfo {
  std::uint8_t version_major = 0, version_minor = 0;
  Profile profile = Profile::raw;
  FrameShape tile;
  GroupPlace place;
  std::size_t block_bytes = 0;  ///< header to last byte
  bool exact = true;            ///< false: within a bound (lossy level map)
  LossBound bound{};  ///< where the block carries it (a group with a setup) and the whole block was given
  std::string summary_json;  ///< every header field, for people and `foreframe inspect --json`
};

/// Parses and checks the header (not the payload).
/// Errors: truncated, bad_magic, unsupported_version, unsupported_feature, malformed, crc_mismatch (header).
[[nodiscard]] Result<BlockInfo> inspect_block(ByteSpan block);

/// Decodes one block into the present frames' views and moves `state` past it. Every byte of the block is
/// hostile until checked; allocation is bounded by the tile's shape, which the caller has declared.
/// Errors: those of inspect_block; crc_mismatch (payload or decoded pixels), shape_mismatch (block or views
/// differ from the state), state_mismatch (not the group that follows). After an error the state must be
/// thrown away or the window restarted at its next key group; `frames` may be partly written.
[[nodiscard]] Status decode_group(Device device, TileState& state, ByteSpan block, MutableGroupFrames frames);

}  // namespace ff::kernels
