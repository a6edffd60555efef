// SPDX-License-Identifier: Apache-2.0
//
// EncodeStage: workers that plan and code groups, tile by tile. No arithmetic of its own (kernels/codec.hpp).
//
// Data path  window > [encode] > spool
// Every group goes to every worker; worker k codes tiles k, k + n, k + 2n ... of it. So a tile's groups are
// coded in order by one thread, and its state needs no lock.
#pragma once

#include <memory>
#include <thread>
#include <vector>

#include "agent/agent_metrics.hpp"
#include "agent/encode/encode_work.hpp"

namespace ff::agent {

struct EncodeOptions {
  std::size_t threads = 2;
  std::size_t queue_groups = 2;  ///< waiting groups per worker
  kernels::Profile profile = kernels::Profile::fast;
  std::string device = "auto";         ///< "auto", "cpu" or "reference"
  kernels::LossBound bound{};          ///< none: exact
  kernels::LossBound degrade_bound{};  ///< of windows that are degraded (WindowWork); none: as `bound`
};

class EncodeStage {
 public:
  EncodeStage(EncodeOptions options, SpoolQueue& out, AgentMetrics& metrics);
  ~EncodeStage();

  /// Before the stream's first group: how it is coded. One thread.
  void open(StreamWork& stream) const;
  /// Waits while all queues are full. One thread.
  void submit(FrameGroup group, std::shared_ptr<WindowWork> window);
  /// Finishes what was submitted and joins the workers.
  void finish();

 private:
  struct GroupWork {
    FrameGroup group;
    std::shared_ptr<WindowWork> window;
  };
  struct Worker {
    explicit Worker(std::size_t capacity) : queue(capacity) {}
    BoundedQueue<std::shared_ptr<const GroupWork>> queue;
    std::vector<std::byte> scratch;
    std::thread thread;
  };

  void set_bound(StreamWork& stream) const;
  void run(std::size_t index);
  void encode_tile(Worker& worker, const std::shared_ptr<const GroupWork>& work, std::uint32_t tile);
  [[nodiscard]] Result<OutgoingRecord> encode_block(Worker& worker, const GroupWork& work,
                                                    std::uint32_t tile);

  EncodeOptions options_;
  SpoolQueue& out_;
  AgentMetrics& metrics_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace ff::agent
