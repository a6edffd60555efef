// SPDX-License-Identifier: Apache-2.0
//
// Sections: what follows the header of a predicted block, each behind its number and length.
//
//     header | setup? | mask? | prior? | group | tables? | mix? | exact? | values? | lanes
//
// Data path  plan > [sections] > envelope > ... > [sections] > decode
// Meaning    docs/formats/block.md §5. Numbers ascend; below 128 a reader must know them, from 128 on it
//            skips what it does not know by length.
// Not here   the words inside the lanes (kernels/reference/lanes.hpp).
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "kernels/format/encode_plan.hpp"

namespace ff::kernels {

inline constexpr std::size_t kLanes = 32;
inline constexpr std::size_t kStreamsMax = 8;
inline constexpr std::uint32_t kLaneStart = 1u
                                            << 16;  ///< every lane's state before coding and after decoding

enum class SectionId : std::uint8_t {
  setup = 1,
  mask = 2,
  prior = 3,
  group = 4,
  tables = 5,
  mix = 6,
  exact = 7,
  values = 8,
  lanes = 16
};

/// Everything a predicted block's payload says, checked.
struct PredictedPayload {
  std::optional<PredictorSetup> setup;
  std::shared_ptr<const MaskMap> mask;
  std::optional<Prior> prior;
  GroupSetup group;
  std::shared_ptr<const ContextTables> tables;
  std::optional<ByteSpan> mix_bits;           ///< for read_mixes, which knows the planes
  std::vector<FrameMix> mixes;                ///< what read_mixes made of them, complete
  std::optional<ByteSpan> exact_pixels;       ///< for restore_exact_pixels
  std::array<ByteSpan, kStreamsMax> streams;  ///< group.streams word strings inside the block
};

/// All sections but the lanes. `tables` null: not sent. `mix_bits`: the mix section's content, nothing
/// with the smooth model. `exact_pixels`: that section's content, or nothing.
[[nodiscard]] std::vector<std::byte> write_side_information(const EncodePlan& plan,
                                                            const ContextTables* tables, ByteSpan mix_bits,
                                                            ByteSpan exact_pixels = {});

/// Errors: malformed, unsupported_feature (a section below 128 that this version does not define).
[[nodiscard]] Result<PredictedPayload> parse_payload(ByteSpan payload, const FrameShape& tile);

/// Writes the head of the lanes section: number, length, words of each stream. Returns its bytes.
std::size_t write_lanes_head(std::span<const std::size_t> stream_words, MutableByteSpan out) noexcept;
[[nodiscard]] constexpr std::size_t lanes_head_bytes(std::size_t streams) noexcept { return 5 + 4 * streams; }

}  // namespace ff::kernels
