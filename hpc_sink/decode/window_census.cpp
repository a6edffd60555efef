// SPDX-License-Identifier: Apache-2.0
//
// Window census: counting what is here against what was reported.
#include "hpc_sink/decode/window_census.hpp"

namespace ff::sink {
namespace {

using GroupCounts = google::protobuf::RepeatedField<std::uint32_t>;

// FNV-1a over the numbers' bytes: the same in every build, as it is kept in the catalogue.
std::uint64_t mix(std::uint64_t digest, std::uint64_t number) noexcept {
  for (int byte = 0; byte < 8; ++byte) digest = (digest ^ (number >> 8 * byte & 0xff)) * 0x100000001b3u;
  return digest;
}

// One count per tile; the envelope's check has made sure of that.
std::string missing_block(const TileChains& chains, std::uint64_t epoch, const GroupCounts& groups,
                          std::uint32_t tiles) {
  for (std::uint32_t tile = 0; tile < tiles; ++tile) {
    const auto blocks = chains.find({epoch, tile});
    const std::uint32_t here = blocks == chains.end() ? 0 : blocks->second.next_group();
    if (here < groups.Get(static_cast<int>(tile)))
      return "tile " + std::to_string(tile) + " group " + std::to_string(here) + " epoch " +
             std::to_string(epoch);
  }
  return {};
}

}  // namespace

std::string first_missing(const TileChains& chains, const WindowReports& reports, std::uint64_t newest_epoch,
                          std::uint32_t tiles) {
  if (reports.empty() || reports.rbegin()->first != newest_epoch) return "its window record";
  for (const auto& [epoch, report] : reports) {
    if (auto block = missing_block(chains, epoch, report.groups_per_tile(), tiles); !block.empty())
      return block;
    // What an earlier run of the agent had sent of this window is counted by the run that finished it.
    for (const auto& earlier : report.earlier())
      if (auto block = missing_block(chains, earlier.epoch(), earlier.groups_per_tile(), tiles);
          !block.empty())
        return block;
  }
  return {};
}

bool all_here(const TileChains& chains, const WindowReports& reports, std::uint64_t newest_epoch,
              std::uint32_t tiles) {
  return first_missing(chains, reports, newest_epoch, tiles).empty();
}

std::uint64_t census_digest(const TileChains& chains, const WindowReports& reports) {
  std::uint64_t digest = 0xcbf29ce484222325u;
  for (const auto& [place, blocks] : chains)
    digest = mix(mix(mix(digest, place.first), place.second), blocks.groups_here());
  for (const auto& [epoch, report] : reports) digest = mix(mix(digest, epoch), 1);
  return digest == 0 ? 1 : digest;
}

}  // namespace ff::sink
