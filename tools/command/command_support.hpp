// SPDX-License-Identifier: Apache-2.0
//
// What every subcommand needs: argument parsing, exit codes, error lines, a progress bar.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "common/base/result.hpp"

namespace CLI {
class App;
}

namespace ff::tools {

inline constexpr int kExitDone = 0, kExitUsage = 64, kExitBadData = 65, kExitNoInput = 66,
                     kExitUnavailable = 69, kExitSoftware = 70, kExitCantCreate = 73, kExitIo = 74,
                     kExitBroken = 1, kExitNotYet = 75;

/// Parses into `app` and then runs `body`. --help and wrong arguments are dealt with here.
/// The exit code: the body's, 0 after --help, 64 after wrong arguments.
[[nodiscard]] int parse_and_run(CLI::App& app, int argc, char** argv, const std::function<int()>& body);

/// Prints "foreframe COMMAND: message" to stderr; returns the exit code that goes with the error.
int report_error(const char* command, const Error& error);
/// The same, for an output that couldn't be created: always 73.
int report_no_output(const char* command, const Error& error);

/// What encode, decode and convert say about threads and memory, in the same words.
struct ThreadsAndMemory {
  std::uint32_t threads = 0;     ///< 0: as many as there are cores
  std::string memory_text;       ///< as given; empty: no limit
  std::uint64_t memory_max = 0;  ///< after read()

  void add_to(CLI::App& app);
  /// Errors: invalid_argument.
  [[nodiscard]] Status read();
};

/// A bar on stderr, redrawn ten times a second, when stderr is a terminal; else nothing.
class ProgressBar {
 public:
  /// `what` in words ("encoding"); `total` in frames.
  ProgressBar(std::string what, std::uint64_t total, bool wanted);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  /// `done` of `total` frames; `extra` is shown behind the bar.
  void update(std::uint64_t done, const std::string& extra = {});

 private:
  std::string what_;
  std::uint64_t total_;
  bool shown_;
  std::int64_t next_ns_ = 0;
};

}  // namespace ff::tools
