// SPDX-License-Identifier: Apache-2.0
//
// ZmqPull: the agent's socket towards the detector: a bounded ZeroMQ PULL that hands messages over uncopied.
//
// Data path  detector ~ZeroMQ~> [ZmqPull] > FrameSource
// A full queue makes ZeroMQ stop reading, and the detector's own buffer takes the load: nothing is dropped
// here. A connection that ZeroMQ has cut is an error and made anew (detector_connection.hpp).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/ingest/detector_connection.hpp"
#include "common/base/payload.hpp"
#include "common/base/result.hpp"

namespace ff::agent {

class ZmqPull {
 public:
  /// Errors: invalid_argument (address), io_error.
  [[nodiscard]] static Result<std::unique_ptr<ZmqPull>> open(const ZmqPullOptions& options);
  ~ZmqPull();

  /// All parts of the next message, or nothing after `timeout`. The Payloads own ZeroMQ's memory.
  /// Errors: too_large (message above the limit, thrown away; or ZeroMQ cut the connection to the detector and it
  /// was made anew), malformed (more than 65 parts), io_error.
  [[nodiscard]] Result<std::optional<std::vector<Payload>>> receive(std::chrono::nanoseconds timeout);

 private:
  explicit ZmqPull(const ZmqPullOptions& options) : options_(options) {}

  ZmqPullOptions options_;
  void* context_ = nullptr;  ///< its own
  DetectorConnection connection_;
};

}  // namespace ff::agent
