// SPDX-License-Identifier: Apache-2.0
//
// /metrics, /healthz, /readyz and a daemon's own read-only pages over HTTP. Binds to loopback unless told
// otherwise. Its own few threads; never on the data path.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "common/base/result.hpp"
#include "common/service/metrics.hpp"

namespace ff::service {

/// Alive: the main loop has moved within `stall_limit`. Ready: nobody has named a trouble. Thread-safe.
class Health {
 public:
  explicit Health(std::chrono::nanoseconds stall_limit = std::chrono::seconds(30)) noexcept;

  /// The main loop calls it at every turn, also when idle.
  void progress() noexcept;
  /// A condition that keeps the daemon from doing its work ("log": "no broker answers"); "" clears it.
  void set_trouble(const std::string& part, const std::string& reason);

  [[nodiscard]] bool alive() const noexcept;
  /// "" when ready; else "part: reason" lines.
  [[nodiscard]] std::string troubles() const;

 private:
  const std::int64_t stall_limit_ns_;
  std::atomic<std::int64_t> last_progress_ns_;
  mutable std::mutex mutex_;
  std::map<std::string, std::string> troubles_;
};

class StatusServer {
 public:
  /// `listen`: "127.0.0.1:9464"; port 0 picks a free one; "" serves nothing. Errors: invalid_argument,
  /// io_error.
  [[nodiscard]] static Result<std::unique_ptr<StatusServer>> start(const std::string& listen,
                                                                   const Metrics& metrics,
                                                                   const Health& health);
  ~StatusServer();

  /// A JSON page, e.g. "/api/series". The function runs on a server thread. Register before traffic comes.
  void page(const std::string& path, std::function<std::string()> json);
  /// "127.0.0.1:43210"
  [[nodiscard]] std::string address() const;

 private:
  StatusServer();
  struct Body;
  std::unique_ptr<Body> body_;
};

}  // namespace ff::service
