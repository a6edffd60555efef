// SPDX-License-Identifier: Apache-2.0
//
// posix_spawn with a pipe, and where the scripts are.
#include "tools/bench/child_process.hpp"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;  // NOLINT(readability-redundant-declaration)

namespace ff::tools {

namespace {

namespace fs = std::filesystem;

Result<pid_t> spawn(const std::vector<std::string>& argv, int stdout_fd) {
  std::vector<char*> arguments;
  arguments.reserve(argv.size() + 1);
  for (const std::string& word : argv) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, stdout_fd, STDOUT_FILENO);
  pid_t child = 0;
  const int error = posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return fail(Errc::not_found, argv[0] + ": can't be run: " + std::strerror(error));
  return child;
}

void read_lines(int fd, const std::function<void(const std::string&)>& on_line) {
  std::array<char, 4096> chunk;
  std::string waiting;
  for (;;) {
    const ssize_t got = read(fd, chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    waiting.append(chunk.data(), static_cast<std::size_t>(got));
    for (std::size_t end = waiting.find('\n'); end != std::string::npos; end = waiting.find('\n')) {
      on_line(waiting.substr(0, end));
      waiting.erase(0, end + 1);
    }
  }
  if (!waiting.empty()) on_line(waiting);
}

fs::path above_with_scripts(fs::path folder) {
  std::error_code none;
  for (; !folder.empty(); folder = folder.parent_path()) {
    if (fs::is_regular_file(folder / "tools" / "python" / "codec_peers.py", none)) return folder;
    if (folder == folder.parent_path()) break;
  }
  return {};
}

}  // namespace

Status run_lines(const std::vector<std::string>& argv,
                 const std::function<void(const std::string&)>& on_line) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    return fail(Errc::io_error, std::string("no pipe: ") + std::strerror(errno));
  const Result<pid_t> child = spawn(argv, ends[1]);
  close(ends[1]);
  if (child.ok()) read_lines(ends[0], on_line);
  close(ends[0]);
  if (!child.ok()) return child.error();
  int state = 0;
  while (waitpid(*child, &state, 0) < 0 && errno == EINTR) continue;
  if (WIFEXITED(state) && WEXITSTATUS(state) == 0) return {};
  const std::string how = WIFEXITED(state) ? "exit code " + std::to_string(WEXITSTATUS(state))
                                           : "signal " + std::to_string(WTERMSIG(state));
  return fail(Errc::invalid_argument,
              argv[0] + (argv.size() > 1 ? " " + argv[1] : "") + ": ended with " + how);
}

Result<PythonPlaces> find_python() {
  std::error_code none;
  fs::path repository = above_with_scripts(fs::read_symlink("/proc/self/exe", none).parent_path());
  if (repository.empty()) repository = above_with_scripts(fs::current_path(none));
  if (repository.empty()) {
    return fail(Errc::not_found, "tools/python is neither above this program nor above the working folder");
  }
  PythonPlaces places{repository / "tools" / "python", "python3", repository};
  const fs::path in_build = repository / "build" / "venv" / "bin" / "python";
  if (fs::exists(in_build, none)) places.python = in_build;
  if (const char* given = std::getenv("FF_PYTHON"); given != nullptr) places.python = given;
  return places;
}

}  // namespace ff::tools
