// SPDX-License-Identifier: Apache-2.0
//
// DecodeShard: the windows that one decode thread is putting together.
//
// Data path  consume > [DecodeShard] > store
// Every record of a window goes to the same shard, so shards share nothing but the memory budget. A window
// leaves when it is complete; when its patience is over (store.window_timeout, or store.grace once its series
// has ended); or, the oldest first, when all memory is held by windows that wait.
// Not here   threads and queues (sink_pipeline.cpp). One thread at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <set>

#include "common/service/logging.hpp"
#include "hpc_sink/consume/offset_ledger.hpp"
#include "hpc_sink/consume/patience_clock.hpp"
#include "hpc_sink/consume/window_budget.hpp"
#include "hpc_sink/decode/done_windows.hpp"
#include "hpc_sink/decode/failed_windows.hpp"
#include "hpc_sink/decode/window_assembler.hpp"
#include "hpc_sink/receipt/receipt_stage.hpp"
#include "hpc_sink/receipt/settled_windows.hpp"
#include "hpc_sink/sink_metrics.hpp"

namespace ff::sink {

struct DecodeOptions {
  kernels::Device device = kernels::Device::reference;
  std::chrono::nanoseconds window_timeout = std::chrono::seconds(60);
  std::chrono::nanoseconds grace = std::chrono::seconds(5);
  std::chrono::nanoseconds memory_patience = std::chrono::seconds(2);
};

/// What all shards share. Must outlive them.
struct DecodeShared {
  OffsetLedger& offsets;
  WindowBudget& budget;
  DoneWindows& done;
  const SettledWindows& settled;
  FailedWindows& failed;
  ReceiptStage& receipts;
  const PatienceClock& clock;
  SinkMetrics& metrics;
};

class DecodeShard {
 public:
  /// `emit` takes a finished window; false when the program is stopping and the window was not taken.
  DecodeShard(DecodeOptions options, FrameChunkEncoder chunks, DecodeShared shared,
              std::function<bool(FinishedWindow)> emit, std::function<bool()> stopping);

  /// Adds a record; may wait for memory. Its ticket is kept, or given back for a duplicate. A record of a
  /// settled window gets its receipt again; one that can't be used is logged, counted and goes to the dead
  /// letters.
  void add(WindowRecord record);
  /// The stream's end is known: from now on its incomplete windows have `grace` only.
  void series_ended(const StreamKey& stream);
  /// Closes what has run out of patience or makes room; call at least every 100 ms.
  void tick();
  [[nodiscard]] std::size_t open_windows() const noexcept { return windows_.size(); }

 private:
  struct OpenWindow {
    WindowAssembler assembler;
    std::int64_t last_record_ns;  // PatienceClock
    std::uint64_t arrival;        // order in which windows were opened
  };
  using Windows = std::map<WindowKey, OpenWindow>;

  [[nodiscard]] Windows::iterator open(const WindowKey& key, WindowRecord& record);
  enum class Closing { whole, waited, made_room };
  void close(Windows::iterator window, Closing closing, const char* why);
  void close_oldest(const char* why);
  void receipt_again(const WindowKey& key, WindowRecord& record);
  void judge(FinishedWindow& window, Closing closing);
  void drop_revoked();
  void report_failures(WindowAssembler& assembler);
  void refuse(WindowRecord& record, const Error& why);
  void refuse_too_large(const WindowKey& key, WindowRecord& record, std::uint64_t bytes);
  void tell_refused(const WindowRecord& record, const Error& why);

  DecodeOptions options_;
  FrameChunkEncoder chunks_;
  DecodeShared shared_;
  std::function<bool(FinishedWindow)> emit_;
  std::function<bool()> stopping_;
  Windows windows_;
  std::set<StreamKey> ended_;
  std::uint64_t arrivals_ = 0;
  service::LogLimiter failure_lines_, refusal_lines_;
};

}  // namespace ff::sink
