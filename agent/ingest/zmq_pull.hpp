// SPDX-License-Identifier: Apache-2.0
//
// ZmqPull: the agent's socket towards the detector: a bounded ZeroMQ PULL that hands messages over uncopied.
//
// Data path  detector ~ZeroMQ~> [ZmqPull] > FrameSource
// A full queue makes ZeroMQ stop reading, and the detector's own buffer takes the load: nothing is dropped
// here. What ZeroMQ itself refuses (a message far above the limit, bytes that are no ZMTP) makes it close the
// connection, and where it had connected, for good: this is noticed, counted by an error, and connected again.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/payload.hpp"
#include "common/base/result.hpp"

namespace ff::agent {

struct ZmqPullOptions {
  std::string address = "tcp://127.0.0.1:31001";
  bool bind = false;                  ///< false: connect to the detector
  std::uint64_t queue_messages = 16;  ///< ZMQ_RCVHWM
  std::uint64_t message_bytes_max = 128ull
                                    << 20;  ///< larger ones: too_large; far larger ones cut the connection
};

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
  [[nodiscard]] Status watch_connection();
  void read_events();
  [[nodiscard]] bool was_cut() const;
  [[nodiscard]] Error connect_again();

  ZmqPullOptions options_;
  void* context_ = nullptr;
  void* socket_ = nullptr;
  void* monitor_ = nullptr;           ///< tells what becomes of the connection; none when bound
  std::int64_t disconnected_ns_ = 0;  ///< when, if ZeroMQ has not said since that it tries again
};

}  // namespace ff::agent
