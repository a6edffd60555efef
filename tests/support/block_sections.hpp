// SPDX-License-Identifier: Apache-2.0
//
// A predicted block taken apart into its sections and put together again, with sound lengths and CRCs: so that a
// defect in one section reaches the check that is meant to find it.
#pragma once

#include <algorithm>
#include <map>
#include <vector>

#include "common/base/check.hpp"
#include "common/base/crc32c.hpp"
#include "kernels/format/block_header.hpp"
#include "kernels/format/sections.hpp"

namespace ff::tests {

using Sections = std::map<kernels::SectionId, std::vector<std::byte>>;

/// Sections that follow each other in `bytes`, which must be sound.
[[nodiscard]] inline Sections split_sections(ByteSpan bytes) {
  Sections sections;
  ByteReader in(bytes);
  while (!in.rest().empty()) {
    const auto id = static_cast<kernels::SectionId>(in.read<std::uint8_t>());
    const auto size = in.read<std::uint32_t>();
    const ByteSpan body = in.take(size);
    FF_CHECK(in.ok());
    sections[id].assign(body.begin(), body.end());
  }
  return sections;
}

[[nodiscard]] inline Sections sections_of_block(ByteSpan block) {
  return split_sections(block.subspan(kernels::kBlockHeaderBytes));
}

/// What write_side_information makes of a plan that need not be possible; no tables where the encoder counts them.
[[nodiscard]] inline Sections sections_of_plan(const kernels::EncodePlan& plan) {
  const kernels::ContextTables* tables = plan.count_frequencies ? nullptr : plan.tables.get();
  return split_sections(kernels::write_side_information(plan, tables, {}));
}

/// `block` with other sections.
[[nodiscard]] inline std::vector<std::byte> with_sections(ByteSpan block, const Sections& sections) {
  using kernels::kBlockHeaderBytes;
  std::vector<std::byte> result(block.begin(), block.begin() + kBlockHeaderBytes);
  for (const auto& [id, body] : sections) {
    std::byte head[5];
    store_le(head, static_cast<std::uint8_t>(id));
    store_le(head + 1, static_cast<std::uint32_t>(body.size()));
    result.insert(result.end(), head, head + sizeof head);
    result.insert(result.end(), body.begin(), body.end());
  }
  kernels::BlockHeader header = *kernels::parse_block_header(block);
  header.block_bytes = static_cast<std::uint32_t>(result.size());
  header.payload_crc = crc32c(ByteSpan(result).subspan(kBlockHeaderBytes));
  kernels::write_block_header(header, result);
  return result;
}

}  // namespace ff::tests
