// SPDX-License-Identifier: Apache-2.0
//
// Window census: which records of a window are here, and which its window record counts that are not.
//
// Data path  consume > [decode: is all here? what is missing? is it the same as last time?] > store
// Not here   pixels and fates (window_assembler.hpp), what follows from a lack (decode_shard.hpp).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "common/wire/records.pb.h"
#include "hpc_sink/decode/tile_chain.hpp"

namespace ff::sink {

using TileChains = std::map<std::pair<std::uint64_t, std::uint32_t>, TileChain>;  // by epoch, tile
using WindowReports = std::map<std::uint64_t, foreframe::wire::Window>;           // by epoch

/// True when the newest epoch has reported and every block that a report counts has had its turn.
[[nodiscard]] bool all_here(const TileChains& chains, const WindowReports& reports,
                            std::uint64_t newest_epoch, std::uint32_t tiles);
/// The first thing that is missing, in words; "" when nothing is.
[[nodiscard]] std::string first_missing(const TileChains& chains, const WindowReports& reports,
                                        std::uint64_t newest_epoch, std::uint32_t tiles);
/// A digest of which blocks and window records are here: equal sets have equal digests. Never 0.
[[nodiscard]] std::uint64_t census_digest(const TileChains& chains, const WindowReports& reports);

}  // namespace ff::sink
