// SPDX-License-Identifier: Apache-2.0
//
// PassThrough: re-emits every message of the detector byte for byte, before anything else is done with it, so that
// the programs a beamline had before go on as before.
//
// Data path  detector ~ZeroMQ~> [PassThrough] ~ZeroMQ~> consumer
//                                    └─inproc─> ZmqPull > FrameSource
// A thread of its own stands between the detector's socket and both. Payloads are shared, not copied
// (zmq_msg_copy); neither side looks into the other's bytes.
//
//   consumer stalls   "drop": the message does not go there, counted. "wait": nobody goes on, the detector waits.
//   we stall          the detector waits; but an agent that only observes lets the message pass by, counted.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "agent/agent_metrics.hpp"
#include "agent/ingest/zmq_pull.hpp"
#include "common/base/result.hpp"

namespace ff::agent {

struct PassThroughOptions {
  ZmqPullOptions source;  ///< the detector's side
  std::string address;    ///< the consumer's side
  bool publish = false;   ///< PUB instead of PUSH
  bool bind = true;
  std::uint64_t queue_messages = 8;
  bool wait_when_stalled = false;
  bool observe = false;  ///< never let the detector or the consumer wait for us
};

class PassThrough {
 public:
  /// Errors: invalid_argument (an address), io_error.
  [[nodiscard]] static Result<std::unique_ptr<PassThrough>> open(const PassThroughOptions& options,
                                                                 AgentMetrics& metrics);
  ~PassThrough();

  /// Where our own end takes the messages: an inproc address in this context, which outlives it.
  [[nodiscard]] ZmqPullOptions inner() const;
  /// Takes what has come already and then no more.
  void finish() noexcept { finishing_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] bool finished() const noexcept { return finished_.load(std::memory_order_acquire); }

 private:
  PassThrough(const PassThroughOptions& options, AgentMetrics& metrics)
      : options_(options), metrics_(metrics) {}
  [[nodiscard]] Status open_sockets();
  void run();
  void forward_message();
  [[nodiscard]] bool wait_until_writable(void* socket, bool may_give_up);

  PassThroughOptions options_;
  AgentMetrics& metrics_;
  void *context_ = nullptr, *consumer_ = nullptr, *inner_ = nullptr;
  DetectorConnection source_;
  std::atomic<bool> finishing_{false}, finished_{false}, abandoned_{false};
  std::thread thread_;
};

}  // namespace ff::agent
