// SPDX-License-Identifier: Apache-2.0
//
// SeriesIngest: decides for every message to which series it belongs, and takes its frames into the pool.
//
// Data path  FrameSource > [SeriesIngest] > window
// Here is every fault of a detector's stream: missing start or end, stray, doubled, damaged and oversized
// messages, a series that begins before the last one ended. Each has its counter (agent_metrics.hpp) and its
// log line. Not here   order of frames within a series (window_builder.hpp). One thread. Time comes in with
// the events and ticks.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>

#include "agent/agent_metrics.hpp"
#include "agent/ingest/pool_keeper.hpp"
#include "agent/ingest/recovered_series.hpp"
#include "agent/ingest/series_info.hpp"
#include "agent/window/agent_journal.hpp"

namespace ff::agent {

struct SeriesIngestOptions {
  std::string source;  ///< name of the FrameSource
  WindowLimits limits;
  std::uint32_t first_stream = 0;
  std::uint64_t pool_frames = 0;                ///< per stream; 0 = as the window plan needs
  std::uint64_t frame_bytes_max = 80ull << 20;  ///< uncompressed, all channels together
  std::uint64_t frame_jump_max = 1'000'000;
  std::vector<std::int64_t> sentinels;  ///< empty: by pixel type
  std::chrono::nanoseconds idle_timeout = std::chrono::seconds(30);
  std::chrono::nanoseconds end_grace = std::chrono::milliseconds(500);
  std::chrono::nanoseconds pool_wait_max = std::chrono::seconds(10);  ///< for a slot of a full pool
  std::chrono::nanoseconds pool_make_max =
      std::chrono::seconds(10);  ///< for the pool, while it is being made
  /// Frames that are not to be kept, asked once for a frame of all channels; empty: all are kept.
  std::function<bool(std::uint64_t frame)> vetoes{};
};

/// Values that mark bad pixels for a pixel type: u16 65535; u32 2^32 - 1; i32 -1 and -2; none for the others,
/// where every value can be a count.
[[nodiscard]] std::vector<std::int64_t> usual_sentinels(Dtype dtype);

class SeriesIngest {
 public:
  using Out = std::function<void(IngestItem)>;

  SeriesIngest(SeriesIngestOptions options, PoolKeeper& pool, AgentJournal& journal, AgentMetrics& metrics,
               Out out);

  /// Goes on with what the last run left behind, before the first message: its frames are handed on in order,
  /// under this run's epoch. All but the last series are closed at once; the last one stays open for its detector.
  void recover(std::vector<RecoveredSeries> left, std::int64_t now_monotonic_ns);
  void handle(const SourceEvent& event);
  /// Idle time-outs; call at least every 100 ms or so. A pause above a second between two calls is not counted.
  void tick(std::int64_t now_monotonic_ns);
  /// Closes what is open, with reason AGENT_STOP.
  void stop();
  [[nodiscard]] bool series_open() const noexcept { return current_.info != nullptr; }

 private:
  /// The series at hand; `info` is null while none is open.
  struct Current {
    std::shared_ptr<const SeriesInfo> info;
    std::optional<std::uint64_t> images_expected;
    std::vector<bool> seen;  ///< by frame number
    std::uint64_t received = 0, duplicated = 0, stray = 0, unreadable = 0;
    std::int64_t last_event_ns = 0;
    std::int64_t ending_since_ns = 0;  ///< 0: no end message yet
    bool confirmed = true;             ///< false: recovered, and its detector has not been heard since
  };

  void on_start(const SeriesStarted& start, const SourceEvent& event);
  void on_frame(const FrameArrived& frame, const SourceEvent& event);
  void on_end(const SeriesEnded& end, const SourceEvent& event);
  void on_unreadable(const Unreadable& message, const SourceEvent& event);

  [[nodiscard]] bool is_stray(const SeriesKey& key) const;
  void open_from_image(const FrameArrived& frame, const SourceEvent& event);
  [[nodiscard]] Status open(const SeriesStarted& start, const FrameShape& shape, bool start_missing,
                            const SourceEvent& event);
  void recover_series(RecoveredSeries& left, std::int64_t now_monotonic_ns);
  void hand_on_spooled(const RecoveredSeries& left, std::int64_t now_monotonic_ns);
  void hand_on_pooled(RecoveredSeries& left);
  [[nodiscard]] bool contradicts_recovered(const FrameArrived& frame) const;
  void amend(const SeriesStarted& start);
  void close(foreframe::wire::SeriesEnd::Reason reason);
  void close_if_complete(std::int64_t now_monotonic_ns);

  [[nodiscard]] bool accept_number(std::uint64_t frame);
  void forget_number(std::uint64_t frame);
  [[nodiscard]] bool take_channel(std::size_t stream_index, const FrameArrived& frame,
                                  const SourceEvent& event);
  [[nodiscard]] Status unpack_into_slot(const StreamInfo& stream, const ChannelPixels& pixels,
                                        HeldFrame& held);
  [[nodiscard]] std::shared_ptr<HeldFrame> wait_for_slot();
  void veto(const FrameArrived& frame, const SourceEvent& event);
  void mark(std::size_t stream_index, std::uint64_t frame, const SourceEvent& event,
            foreframe::wire::FrameState state);

  SeriesIngestOptions options_;
  PoolKeeper& pool_;
  AgentJournal& journal_;
  AgentMetrics& metrics_;
  Out out_;
  Current current_;
  std::int64_t last_tick_ns_ = 0;           ///< 0: none yet
  std::optional<SeriesStarted> announced_;  ///< a start without geometry waits for its first image
  std::deque<SeriesKey> over_;              ///< the last series that ended, newest last
  bool pool_exhausted_ = false;  ///< the last wait for a slot was in vain: don't wait for each frame
};

}  // namespace ff::agent
