// SPDX-License-Identifier: Apache-2.0
//
// Starting the hook and hearing of its end.
#include "agent/spool/stop_hook.hpp"

#include <csignal>
#include <cstring>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/service/logging.hpp"

namespace ff::agent {

void StopHook::run(const std::vector<std::string>& argv) {
  look_after();
  if (argv.empty() || running()) return;
  std::vector<char*> words;
  words.reserve(argv.size() + 1);
  for (const std::string& word : argv) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  // Our threads block signals and ignore some; the hook begins as from a fresh shell.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  const int code = posix_spawnp(&child_, words[0], nullptr, &attributes, words.data(), environ);
  posix_spawnattr_destroy(&attributes);
  if (code != 0) child_ = 0;
  if (code != 0)
    service::log_error("spool.stop_hook can't be run", {{"program", argv[0]}, {"why", std::strerror(code)}});
  else
    service::log_warning("spool.stop_hook runs", {{"program", argv[0]}, {"pid", child_}});
}

void StopHook::look_after() {
  if (!running()) return;
  int status = 0;
  if (waitpid(child_, &status, WNOHANG) != child_) return;
  const bool well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  service::log(well ? service::LogLevel::info : service::LogLevel::error, "spool.stop_hook has ended",
               {{"pid", child_},
                {"exit_code", WIFEXITED(status) ? WEXITSTATUS(status) : -1},
                {"signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0}});
  child_ = 0;
}

}  // namespace ff::agent
