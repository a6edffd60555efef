// SPDX-License-Identifier: Apache-2.0
//
// WindowAssembler: turns the records of one (series, stream, window) back into frames.
//
// Data path  consume > [blocks in any order, any number of times > frames] > store
// Memory     a frame's buffer is allocated with its first decoded tile; the blocks waiting for a block before
//            them are held as they came. `window_memory_bytes` bounds both together.
// An agent that starts again in the middle of a window goes on under a higher epoch: its blocks form chains
// of their own, and a frame is whole when all its tiles came under whichever epoch. Not here   which window a
// record belongs to, and time-outs (decode_shard.hpp). One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/base/payload.hpp"
#include "common/base/result.hpp"
#include "common/wire/envelope.hpp"
#include "common/wire/ledger.pb.h"
#include "common/wire/tile_grid.hpp"
#include "hpc_sink/decode/finished_window.hpp"
#include "hpc_sink/decode/tile_chain.hpp"
#include "hpc_sink/decode/window_census.hpp"
#include "hpc_sink/store/frame_chunk.hpp"

namespace ff::sink {

/// A record of a window, parsed.
struct WindowRecord {
  wire::EnvelopeHeader header;  ///< holds a block or a window
  Payload payload;
  RecordTicket ticket;
  DeadLetter letter{};           ///< the whole record as it came
  bool payload_damaged = false;  ///< the envelope's payload CRC differs; its header is intact
};

[[nodiscard]] Result<WindowKey> window_key(const wire::EnvelopeHeader& header);

/// Most memory a window takes from its first block to the file: raw frames and predictor states, and as much
/// as the raw frames once more for blocks that wait and for compressed chunks.
[[nodiscard]] std::uint64_t window_memory_bytes(const foreframe::wire::StreamGeometry& geometry,
                                                std::uint32_t window_frames) noexcept;

/// What happened to a record that was added.
enum class Intake { taken, duplicate };

/// A block that could not be decoded, for logs and counters.
struct DecodeFailure {
  std::string identity;
  Error why;
};

class WindowAssembler {
 public:
  /// `first`: any record of the window. The lease covers window_memory_bytes.
  WindowAssembler(const wire::EnvelopeHeader& first, std::int32_t partition, kernels::Device device,
                  WindowLease lease);

  /// Errors, with nothing changed: shape_mismatch (geometry or W differ from the window's), malformed (group
  /// index above 63, a state that only a sink may give).
  [[nodiscard]] Result<Intake> add(const WindowRecord& record);

  /// From now on the window's records are kept as they came, for FinishedWindow::letters. Before the first
  /// add().
  void keep_letters() noexcept { keeps_letters_ = true; }

  /// True when its record is here and every block that the record counts has been decoded or has failed.
  [[nodiscard]] bool complete() const;
  /// Ends the window with what is there: whole frames become chunks, the rest gets its fate.
  [[nodiscard]] FinishedWindow finish(const FrameChunkEncoder& chunks);

  [[nodiscard]] const RecordTickets& tickets() const noexcept { return tickets_; }
  /// Failures since the last call.
  [[nodiscard]] std::vector<DecodeFailure> take_failures() { return std::exchange(failures_, {}); }

 private:
  struct TileFrames {
    std::uint64_t decoded = 0, failed = 0, damaged_in_log = 0;  // bits of window positions
  };

  [[nodiscard]] Status check_fits(const WindowRecord& record) const;
  [[nodiscard]] Intake add_block(const WindowRecord& record);
  [[nodiscard]] Intake add_window(const WindowRecord& record);
  [[nodiscard]] TileChain& chain(std::uint64_t epoch, std::uint32_t tile);
  [[nodiscard]] TileOutput output(std::uint64_t epoch, std::uint32_t tile);
  [[nodiscard]] MutableFrameView tile_view(std::uint32_t position, std::uint32_t tile);
  void close_chains();
  [[nodiscard]] std::uint64_t whole_frames() const noexcept;
  [[nodiscard]] std::uint64_t failed_frames() const noexcept;
  [[nodiscard]] Stage damage_stage(std::uint32_t position) const noexcept;
  [[nodiscard]] std::uint32_t frame_count() const noexcept;
  [[nodiscard]] FrameFate reported_fate(std::uint32_t position) const;
  void collect_frames(const FrameChunkEncoder& chunks, FinishedWindow& finished);
  void collect_facts(FinishedWindow& finished);

  WindowKey key_;
  std::string detector_;
  std::int32_t partition_;
  std::uint32_t window_frames_;
  foreframe::wire::StreamGeometry geometry_;
  wire::TileGrid grid_;
  kernels::Device device_;
  WindowLease lease_;

  TileChains chains_;
  std::set<std::uint64_t> epochs_;  // of everything seen
  WindowReports windows_;
  std::vector<TileFrames> tiles_;
  std::uint64_t bounded_ = 0;                    // bits of window positions
  std::set<std::string> bounds_;                 // that decoded blocks carry
  std::vector<std::vector<std::byte>> frames_;   // by window position; empty: nothing decoded
  std::vector<std::vector<std::byte>> scratch_;  // the same, for tiles that are here already
  RecordTickets tickets_;
  bool keeps_letters_ = false;
  std::vector<DeadLetter> letters_;
  std::string first_failure_;
  std::vector<DecodeFailure> failures_;
  foreframe::wire::WindowFacts facts_;
};

}  // namespace ff::sink
