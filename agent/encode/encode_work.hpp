// SPDX-License-Identifier: Apache-2.0
//
// What passes between window, encode and spool stage: streams, windows in the making, records on their way
// out.
//
// Order      a window's record follows its blocks, a stream's end follows its windows: each is put out by
// whoever
//            finishes the last thing it waits for. Between windows and streams there is no order, and none is
//            needed.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/encode/tile_coder.hpp"
#include "agent/ingest/series_info.hpp"
#include "common/base/bounded_queue.hpp"
#include "common/wire/envelope.hpp"
#include "common/wire/sha256.hpp"
#include "common/wire/tile_grid.hpp"
#include "kernels/codec.hpp"

namespace ff::agent {

/// Who writes and where the stream lies in its detector.
struct StreamIdentity {
  std::string agent, detector;
  std::uint64_t epoch = 0;
  std::uint32_t partition_count = 0;  ///< 0: no collector has told yet
  std::uint32_t origin_row = 0, origin_col = 0, detector_rows = 0, detector_cols = 0;
};

/// A record whose sequence number is not yet given: the spool does that, in the order of writing.
struct OutgoingRecord {
  wire::EnvelopeHeader header;
  std::vector<std::byte> buffer;  ///< payload at kBlockHeadroomBytes
  std::size_t payload_bytes = 0;
  wire::Sha256 payload_sha256{};  ///< of a block
  std::size_t stream_index = 0;   ///< in the series; for the journal
  /// The frames of a block: they stay in the pool until the block is in the spool, so that a process that is killed
  /// in between leaves them to the next one.
  std::shared_ptr<const void> frames = nullptr;
};

using SpoolQueue = BoundedQueue<OutgoingRecord>;

/// One stream of one series, for all its windows. Tile t belongs to one encode worker for its whole life.
class StreamWork {
 public:
  /// Errors: out_of_range (geometry that can't be carried).
  [[nodiscard]] static Result<std::shared_ptr<StreamWork>> create(std::shared_ptr<const SeriesInfo> series,
                                                                  std::size_t stream_index,
                                                                  const StreamIdentity& identity,
                                                                  Windowing windowing);

  /// One tile and what its coder remembers.
  struct Tile {
    TileRect rect;
    std::vector<std::uint8_t> mask;  ///< 1 = masked; empty: no mask
    std::optional<TileCoder> coder;
    bool needs_key = true;              ///< nothing before can be predicted from
    std::uint64_t window = UINT64_MAX;  ///< that `blocks` counts for
    std::uint32_t blocks = 0;
  };

  [[nodiscard]] const StreamInfo& info() const noexcept { return series_->streams[index_]; }
  [[nodiscard]] const SeriesInfo& series() const noexcept { return *series_; }
  [[nodiscard]] std::size_t index() const noexcept { return index_; }
  [[nodiscard]] const foreframe::wire::StreamGeometry& geometry() const noexcept { return geometry_; }
  [[nodiscard]] const std::string& mask_hash() const noexcept { return mask_hash_; }
  [[nodiscard]] std::vector<Tile>& tiles() noexcept { return tiles_; }
  /// Within which its pixels are kept; none: exactly. Set before the first group.
  [[nodiscard]] const kernels::LossBound& bound() const noexcept { return bound_; }
  void set_bound(const kernels::LossBound& bound) { bound_ = bound; }
  [[nodiscard]] const kernels::LossBound& degrade_bound() const noexcept { return degrade_bound_; }
  void set_degrade_bound(const kernels::LossBound& bound) { degrade_bound_ = bound; }
  /// Coded bytes a frame of the largest tile in the window recorded last; 0: none is yet. Any thread.
  [[nodiscard]] std::uint64_t frame_bytes() const noexcept {
    return frame_bytes_.load(std::memory_order_relaxed);
  }
  void set_frame_bytes(std::uint64_t bytes) noexcept { frame_bytes_.store(bytes, std::memory_order_relaxed); }
  /// Header with everything but the record.
  [[nodiscard]] wire::EnvelopeHeader new_header() const { return header_; }

  [[nodiscard]] OutgoingRecord start_record(const SeriesInfo& series) const;
  [[nodiscard]] OutgoingRecord end_record(const SeriesClosed& closed, std::uint64_t frames_expected) const;

  /// The stream's end record goes out when everything that holds the stream open is done.
  void hold() noexcept { holds_.fetch_add(1, std::memory_order_relaxed); }
  void release(SpoolQueue& out);
  void set_end(OutgoingRecord end) { end_ = std::move(end); }

 private:
  StreamWork() = default;
  std::shared_ptr<const SeriesInfo> series_;
  std::size_t index_ = 0;
  foreframe::wire::StreamGeometry geometry_;
  wire::EnvelopeHeader header_;
  std::string mask_hash_;
  kernels::LossBound bound_, degrade_bound_;
  std::vector<Tile> tiles_;
  std::atomic<std::uint64_t> frame_bytes_{0};
  std::atomic<std::uint64_t> holds_{1};  ///< windows in the making, and the open series itself
  std::optional<OutgoingRecord> end_;
};

/// One window in the making. Its record goes out when its last group is coded and its last frame decided.
class WindowWork {
 public:
  /// `degraded`: coded within StreamWork::degrade_bound().
  WindowWork(std::shared_ptr<StreamWork> stream, std::uint64_t window, bool degraded = false);

  [[nodiscard]] StreamWork& stream() noexcept { return *stream_; }
  [[nodiscard]] const kernels::LossBound& bound() const noexcept {
    return degraded_ ? stream_->degrade_bound() : stream_->bound();
  }
  [[nodiscard]] bool degraded() const noexcept { return degraded_; }
  void hold(std::uint32_t times) noexcept { holds_.fetch_add(times, std::memory_order_relaxed); }
  void release(SpoolQueue& out);

  void set_finished(FinishedWindow finished) { finished_ = std::move(finished); }
  void note_block(std::uint32_t tile, std::size_t bytes, std::size_t frames) noexcept;
  /// Frames (bits: positions in the window) of which a tile could not be coded.
  void note_failed(std::uint64_t positions) noexcept {
    failed_.fetch_or(positions, std::memory_order_relaxed);
  }

 private:
  [[nodiscard]] OutgoingRecord record() const;

  std::shared_ptr<StreamWork> stream_;
  bool degraded_;
  FinishedWindow finished_;
  std::vector<std::atomic<std::uint32_t>> blocks_per_tile_;
  std::atomic<std::uint64_t> failed_{0}, frame_bytes_{0};
  std::atomic<std::uint32_t> holds_{1};  ///< groups at the workers, and the open window itself
};

}  // namespace ff::agent
