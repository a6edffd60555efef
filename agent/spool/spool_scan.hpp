// SPDX-License-Identifier: Apache-2.0
//
// What the spool holds of the series that a killed run left open: which windows are recorded, and which blocks
// lie there of windows that are not.
//
// By record and envelope headers, from the offset that the journal vouches for: a few windows' records, however long
// the backlog before them. Records of windows that are not recorded are read whole: what the disk has changed there
// is counted as lost by the record that the next run writes, and the sinks need not ask for it.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "agent/ingest/recovered_series.hpp"
#include "common/base/result.hpp"
#include "common/transport/segment_log.hpp"
#include "common/wire/envelope.hpp"

namespace ff::agent {

/// The header of the record that `reader` stands before, read whole; moves on behind it.
struct SpooledHeader {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;  ///< of the envelope
  Result<wire::EnvelopeHeader> header;
  Payload payload_beginning{};  ///< some of it, at most what one read gave
};
/// Nothing at the spool's end. Errors: those of SegmentReader::glance; the next call goes on behind the damage.
[[nodiscard]] Result<std::optional<SpooledHeader>> next_header(transport::SegmentReader& reader);

struct SpooledWindow {
  std::uint64_t first_offset = 0;     ///< of its blocks, all epochs
  std::vector<EarlierBlocks> blocks;  ///< by epoch, ascending
  std::uint64_t frames = 0;           ///< bit i: frame i is in blocks of every tile, of one epoch
  std::uint64_t frames_in_part = 0;   ///< the others of which a block is or was there
};

struct SpooledStream {
  bool start_spooled = false;
  std::uint64_t first_window = 0;                  ///< every window below is recorded
  std::map<std::uint64_t, SpooledWindow> windows;  ///< not recorded, but with blocks
};

struct SpooledSeries {
  std::vector<SpooledStream> streams;
};

/// `first_stream`: stream index of each series' first stream. Leaves `reader` at the end of the spool.
/// Errors: io_error.
[[nodiscard]] Result<std::vector<SpooledSeries>> scan_spool(
    transport::SegmentReader& reader, const std::vector<AgentJournal::Unfinished>& unfinished,
    std::uint32_t first_stream);

/// Puts journal, spool and pool together. Frames that are in the spool already, or of no series here, are let go;
/// the latter are counted in `forsaken` and named in the log.
[[nodiscard]] std::vector<RecoveredSeries> recover_series(
    const std::vector<AgentJournal::Unfinished>& unfinished, const std::vector<SpooledSeries>& spooled,
    std::vector<std::shared_ptr<HeldFrame>> frames, std::uint32_t first_stream, std::uint64_t& forsaken);

}  // namespace ff::agent
