// SPDX-License-Identifier: Apache-2.0
//
// DetectorConnection: a bounded ZeroMQ PULL socket towards the detector that notices when ZeroMQ has cut it.
//
// What ZeroMQ itself refuses (a message far above the limit, bytes that are no ZMTP) makes it close the
// connection, and where it had connected, for good. Bound, it need not be watched: the detector connects again.
// One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "common/base/result.hpp"

namespace ff::agent {

struct ZmqPullOptions {
  std::string address = "tcp://127.0.0.1:31001";
  bool bind = false;                  ///< false: connect to the detector
  std::uint64_t queue_messages = 16;  ///< ZMQ_RCVHWM
  std::uint64_t message_bytes_max = 128ull
                                    << 20;  ///< larger ones: too_large; far larger ones cut the connection
  void* context = nullptr;  ///< ZeroMQ context to live in, with one connection; null: one of its own
};

class DetectorConnection {
 public:
  DetectorConnection() = default;
  DetectorConnection(const DetectorConnection&) = delete;
  DetectorConnection& operator=(const DetectorConnection&) = delete;
  ~DetectorConnection() { close(); }

  /// Errors: invalid_argument (address), io_error.
  [[nodiscard]] Status open(void* context, const ZmqPullOptions& options);
  /// Before its context is terminated.
  void close() noexcept;
  [[nodiscard]] void* socket() const noexcept { return socket_; }

  /// To be called when nothing comes: when ZeroMQ has cut the connection, it is made anew, and this says so
  /// (too_large).
  [[nodiscard]] std::optional<Error> look_after();

 private:
  [[nodiscard]] Status watch(void* context);
  void read_events();

  ZmqPullOptions options_;
  void* socket_ = nullptr;
  void* monitor_ = nullptr;           ///< tells what becomes of the connection; none when bound
  std::int64_t disconnected_ns_ = 0;  ///< when, if ZeroMQ has not said since that it tries again
};

/// What ZeroMQ's errno says about `what`.
[[nodiscard]] Error zmq_error(const std::string& what);

}  // namespace ff::agent
