// SPDX-License-Identifier: Apache-2.0
//
// The inputs of targets that parse one part of a block: the tile that the header would declare, then the part.
#pragma once

#include <optional>

#include "common/base/check.hpp"
#include "kernels/format/bit_code.hpp"
#include "kernels/format/encode_plan.hpp"
#include "tests/fuzz/block_chains.hpp"
#include "tests/support/plan_of_block.hpp"

namespace ff::fuzz {

/// Four bytes: integer pixel type, rows - 1, cols - 1, options of the target.
struct PartInput {
  FrameShape tile;
  unsigned options = 0;
  ByteSpan body;
};

inline std::optional<PartInput> open_part(ByteSpan input) {
  constexpr Dtype kDtypes[] = {Dtype::u8, Dtype::u16, Dtype::u32, Dtype::i8, Dtype::i16, Dtype::i32};
  ByteReader in(input);
  PartInput part;
  part.tile.dtype = kDtypes[in.read<std::uint8_t>() % std::size(kDtypes)];
  part.tile.rows = 1u + in.read<std::uint8_t>();
  part.tile.cols = 1u + in.read<std::uint8_t>();
  part.options = in.read<std::uint8_t>();
  if (!in.ok()) return std::nullopt;
  part.body = in.rest();
  return part;
}

inline Bytes part_input(const FrameShape& tile, unsigned options, ByteSpan body) {
  constexpr std::uint8_t kPlaceOf[] = {0, 0, 1, 2, 3, 4, 5};  // of Dtype, in open_part's list
  Bytes input;
  input.reserve(4 + body.size());
  for (const std::uint32_t value : {std::uint32_t{kPlaceOf[static_cast<std::size_t>(tile.dtype)]},
                                    tile.rows - 1, tile.cols - 1, std::uint32_t{options}})
    input.push_back(static_cast<std::byte>(value));
  input.insert(input.end(), body.begin(), body.end());
  return input;
}

/// Calls visit(plan) for every predicted block that we can make or have.
template <typename Visit>
void for_each_plan(Visit&& visit) {
  for (const Bytes& block : valid_blocks(false)) {
    const auto plan = tests::plan_of_block(block);
    FF_CHECK(plan.ok());
    if (plan->kind == kernels::BlockKind::predicted) visit(*plan);
  }
}

/// The seed of a part that `write(bits)` writes.
template <typename Write>
Bytes part_seed(const FrameShape& tile, unsigned options, Write&& write) {
  kernels::BitWriter bits;
  write(bits);
  return part_input(tile, options, bits.bytes());
}

/// The bytes of what `write` writes.
template <typename Write>
Bytes written(Write&& write) {
  kernels::BitWriter bits;
  write(bits);
  return {bits.bytes().begin(), bits.bytes().end()};
}

}  // namespace ff::fuzz
