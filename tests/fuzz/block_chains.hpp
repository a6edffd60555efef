// SPDX-License-Identifier: Apache-2.0
//
// Chains: the blocks of one tile behind each other, as one fuzz input, and what the targets do with them.
//
// Where to start from is made anew in every run: the golden vectors, and small tiles that this build's encoder codes
// in every profile and pixel type. So what the format learns is fuzzed from the day it has a vector or a planner.
#pragma once

#include <vector>

#include "tests/fuzz/fuzz_target.hpp"

namespace ff::fuzz {

/// Blocks in the order of their window.
using Chain = std::vector<Bytes>;

/// Golden vectors with what they continue, and small tiles in every profile and type.
[[nodiscard]] std::vector<Chain> valid_chains();
/// The single blocks of all chains; `with_defects`: and the golden blocks with one defect each.
[[nodiscard]] std::vector<Bytes> valid_blocks(bool with_defects);

[[nodiscard]] Bytes join(const Chain& chain);
/// Cuts by each header's own length; a length that is not possible takes all that is left.
[[nodiscard]] Chain split(ByteSpan bytes);

/// Magic, version, length, link and both CRCs made right, as far as the bytes reach: a fuzzer can't guess a CRC, and
/// would never get behind it. Leaves a sound block as it is.
void reseal(Bytes& block, std::uint32_t link_before);
void reseal(Chain& chain);

/// Damage that knows a block: header fields, sections (numbers, lengths, contents, order), single blocks of a chain.
void damage_block(Bytes& block, std::span<const Bytes> others, Random& random);

}  // namespace ff::fuzz
