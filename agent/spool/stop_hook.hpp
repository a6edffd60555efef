// SPDX-License-Identifier: Apache-2.0
//
// StopHook: runs the site's program when the agent can't take more, without a shell and without waiting for it.
#pragma once

#include <string>
#include <sys/types.h>
#include <vector>

namespace ff::agent {

class StopHook {
 public:
  StopHook() = default;
  StopHook(const StopHook&) = delete;
  StopHook& operator=(const StopHook&) = delete;

  /// Starts argv[0] with its arguments; not while it still runs. What became of it is logged.
  void run(const std::vector<std::string>& argv);
  /// Notes its end, when it has come. Never waits.
  void look_after();
  [[nodiscard]] bool running() const noexcept { return child_ > 0; }

 private:
  pid_t child_ = 0;
};

}  // namespace ff::agent
