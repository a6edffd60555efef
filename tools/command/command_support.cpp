// SPDX-License-Identifier: Apache-2.0
//
// Argument parsing, exit codes, error lines, progress bar.
#include "tools/command/command_support.hpp"

#include <cstdio>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "common/base/clock.hpp"
#include "common/base/units.hpp"

namespace ff::tools {

int parse_and_run(CLI::App& app, int argc, char** argv, const std::function<int()>& body) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const bool help = error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success);
    app.exit(error);
    return help ? kExitDone : kExitUsage;
  }
  return body();
}

namespace {

int exit_code_of(Errc code) noexcept {
  switch (code) {
    case Errc::invalid_argument:
    case Errc::out_of_range: return kExitUsage;
    case Errc::not_found: return kExitNoInput;
    case Errc::already_exists: return kExitCantCreate;
    case Errc::io_error:
    case Errc::disk_full: return kExitIo;
    case Errc::timed_out:
    case Errc::disconnected:
    case Errc::refused: return kExitUnavailable;
    case Errc::config_error: return 78;
    default: return kExitBadData;
  }
}

}  // namespace

int report_error(const char* command, const Error& error) {
  std::fprintf(stderr, "foreframe %s: %s\n", command, error.message.c_str());
  return exit_code_of(error.code);
}

int report_no_output(const char* command, const Error& error) {
  report_error(command, error);
  return kExitCantCreate;
}

void ThreadsAndMemory::add_to(CLI::App& app) {
  app.add_option("--threads", threads,
                 "threads that work; default: one for each core. The output is the same")
      ->check(CLI::Range(1, 1024));
  app.add_option(
      "--memory", memory_text,
      "refuse to start when the memory bound (see below) is above this, as in 2GiB; default: no limit");
}

Status ThreadsAndMemory::read() {
  if (memory_text.empty()) return {};
  const auto size = parse_size_bytes(memory_text);
  if (!size.ok()) return fail(Errc::invalid_argument, "--memory: " + size.error().message);
  if (*size == 0) return fail(Errc::invalid_argument, "--memory 0: nothing fits into that");
  memory_max = *size;
  return {};
}

ProgressBar::ProgressBar(std::string what, std::uint64_t total, bool wanted)
    : what_(std::move(what)), total_(total), shown_(wanted && isatty(STDERR_FILENO) == 1) {}

ProgressBar::~ProgressBar() {
  if (shown_) std::fputs("\r\033[K", stderr);
}

void ProgressBar::update(std::uint64_t done, const std::string& extra) {
  if (!shown_) return;
  const std::int64_t now_ns = monotonic_now_ns();
  if (now_ns < next_ns_ && done < total_) return;
  next_ns_ = now_ns + 100'000'000;
  constexpr int kWidth = 30;
  const int filled = total_ == 0 ? kWidth : static_cast<int>(done * kWidth / total_);
  std::string bar(static_cast<std::size_t>(filled), '=');
  bar.resize(kWidth, ' ');
  std::fprintf(stderr, "\r\033[K%s [%s] %llu/%llu %s", what_.c_str(), bar.c_str(),
               static_cast<unsigned long long>(done), static_cast<unsigned long long>(total_), extra.c_str());
  std::fflush(stderr);
}

}  // namespace ff::tools
