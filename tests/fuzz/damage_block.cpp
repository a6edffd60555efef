// SPDX-License-Identifier: Apache-2.0
//
// Damage that knows where a block's header ends and its sections begin, and nothing else of the format.
#include <algorithm>
#include <cstring>

#include "kernels/format/block_header.hpp"
#include "tests/fuzz/block_chains.hpp"

namespace ff::fuzz {
namespace {

using kernels::kBlockHeaderBytes;

struct Section {
  std::byte id{};
  Bytes body;
};

// All or nothing: stored and raw blocks have no sections, and damaged ones no longer.
std::vector<Section> sections_of(ByteSpan block) {
  std::vector<Section> sections;
  if (block.size() < kBlockHeaderBytes) return {};
  ByteReader in(block.subspan(kBlockHeaderBytes));
  while (!in.rest().empty()) {
    const auto id = in.read<std::uint8_t>();
    const ByteSpan body = in.take(in.read<std::uint32_t>());
    if (!in.ok()) return {};
    sections.push_back({std::byte{id}, {body.begin(), body.end()}});
  }
  return sections;
}

void write_sections(const std::vector<Section>& sections, Bytes& block) {
  block.resize(kBlockHeaderBytes);
  for (const Section& section : sections) {
    const auto length = static_cast<std::uint32_t>(section.body.size());
    block.push_back(section.id);
    for (unsigned byte = 0; byte < 4; ++byte) block.push_back(static_cast<std::byte>(length >> (8 * byte)));
    block.insert(block.end(), section.body.begin(), section.body.end());
  }
}

void damage_header(Bytes& block, Random& random) {
  const std::size_t width = std::size_t{1} << random.below(4);
  const std::size_t at = random.below(kBlockHeaderBytes / width) * width;
  std::uint64_t number = 0;
  std::memcpy(&number, block.data() + at, width);
  switch (random.below(3)) {
    case 0: number += random.below(2) == 0 ? 1 : ~std::uint64_t{0}; break;
    case 1: number ^= std::uint64_t{1} << random.below(8 * width); break;
    default: number = awkward_number(random); break;
  }
  std::memcpy(block.data() + at, &number, width);
}

// The other block's section of the same number, if it has one.
void take_section(Section& section, std::span<const Bytes> others, Random& random) {
  if (others.empty()) return;
  const Chain chain = split(others[random.below(others.size())]);
  for (const Section& other :
       chain.empty() ? std::vector<Section>{} : sections_of(chain[random.below(chain.size())])) {
    if (other.id == section.id) section.body = other.body;
  }
}

void damage_section(Bytes& block, std::span<const Bytes> others, Random& random) {
  std::vector<Section> sections = sections_of(block);
  if (sections.empty()) return damage_bytes(block, others, random);
  const std::size_t i = random.below(sections.size());
  switch (random.below(10)) {
    case 0: sections[i].id = static_cast<std::byte>(random.below(random.below(2) == 0 ? 20 : 256)); break;
    case 1: sections.erase(sections.begin() + static_cast<std::ptrdiff_t>(i)); break;
    case 2: sections.insert(sections.begin() + static_cast<std::ptrdiff_t>(i), sections[i]); break;
    case 3: std::swap(sections[i], sections[random.below(sections.size())]); break;
    case 4:
      sections.push_back({static_cast<std::byte>(128 + random.below(128)), Bytes(random.below(9))});
      break;
    case 5:
    case 6: take_section(sections[i], others, random); break;
    default: damage_bytes(sections[i].body, {}, random); break;
  }
  write_sections(sections, block);
}

}  // namespace

void damage_block(Bytes& block, std::span<const Bytes> others, Random& random) {
  if (block.size() < kBlockHeaderBytes) return damage_bytes(block, others, random);
  for (std::uint64_t wounds = 1 + random.below(3); wounds > 0; --wounds) {
    const std::uint64_t kind = random.below(8);
    if (kind == 0 && block.size() >= kBlockHeaderBytes) {
      damage_header(block, random);
    } else if (kind == 1) {
      damage_bytes(block, others, random);
    } else if (block.size() >= kBlockHeaderBytes) {
      damage_section(block, others, random);
    }
  }
}

}  // namespace ff::fuzz
