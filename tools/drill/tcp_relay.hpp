// SPDX-License-Identifier: Apache-2.0
//
// TcpRelay: a loopback port that leads to a collector and can be cut, so that a drill breaks its own link and nobody
// else's.
//
// Data path  drill's agent > [TcpRelay] > collector
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "common/base/result.hpp"

namespace ff::tools {

class TcpRelay {
 public:
  /// `target`: "tcp://host:port". Errors: invalid_argument (no such address), io_error.
  [[nodiscard]] static Result<std::unique_ptr<TcpRelay>> open(const std::string& target);
  ~TcpRelay();
  TcpRelay(const TcpRelay&) = delete;
  TcpRelay& operator=(const TcpRelay&) = delete;

  /// "tcp://127.0.0.1:43210"
  [[nodiscard]] std::string address() const;
  /// All connections end and new ones are closed at once, until heal(). Any thread.
  void cut() noexcept { cut_ = true; }
  void heal() noexcept { cut_ = false; }

 private:
  struct Loop;
  TcpRelay() = default;

  std::unique_ptr<Loop> loop_;
  std::atomic<bool> cut_{false}, over_{false};
  std::thread thread_;
};

}  // namespace ff::tools
