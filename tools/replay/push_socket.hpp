// SPDX-License-Identifier: Apache-2.0
//
// PushSocket: a ZeroMQ PUSH socket as a detector has it. One thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "common/base/result.hpp"

namespace ff::tools {

using MessageParts = std::vector<std::vector<std::byte>>;

class PushSocket {
 public:
  struct Options {
    std::string endpoint;                      ///< "tcp://127.0.0.1:31001"
    bool bind = true;                          ///< a detector binds; connect for a receiver that does
    int queue_messages = 64;                   ///< ZeroMQ's send high-water mark
    std::chrono::milliseconds linger{30'000};  ///< at closing, how long to wait until all is delivered
  };
  /// Errors: refused (address in use, no such host), invalid_argument (no endpoint).
  [[nodiscard]] static Result<PushSocket> open(const Options& options);
  PushSocket(PushSocket&& other) noexcept;
  PushSocket& operator=(PushSocket&&) = delete;
  ~PushSocket();  ///< waits up to `linger` for delivery

  /// Until somebody pulls. Errors: timed_out.
  [[nodiscard]] Status wait_for_puller(std::chrono::milliseconds timeout);
  /// Sends all parts as one message, without a copy. False, with `parts` untouched, when the queue stayed
  /// full for `timeout`. Errors: io_error.
  [[nodiscard]] Result<bool> send(MessageParts& parts, std::chrono::milliseconds timeout);
  /// The bound or connected endpoint; tells the port where 0 was asked for ("tcp://127.0.0.1:*").
  [[nodiscard]] std::string endpoint() const;

 private:
  PushSocket(void* context, void* socket, std::string endpoint)
      : context_(context), socket_(socket), endpoint_(std::move(endpoint)) {}
  [[nodiscard]] bool writable_within(std::chrono::milliseconds timeout) const;

  void* context_;
  void* socket_;
  std::string endpoint_;
};

}  // namespace ff::tools
