// SPDX-License-Identifier: Apache-2.0
//
// run_daemon from the outside: arguments, exit codes, signals, systemd's notifications.
#include "common/service/daemon.hpp"

#include <array>
#include <filesystem>
#include <fstream>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

using namespace ff::service;

namespace {

std::filesystem::path scratch(const std::string& name) {
  return std::filesystem::temp_directory_path() /
         ("foreframe_daemon_test_" + std::to_string(getpid()) + "_" + name);
}

/// The test daemon as a child process; its stdout and stderr come through one pipe.
class Child {
 public:
  explicit Child(std::vector<std::string> arguments, const std::string& notify_socket = "") {
    std::array<int, 2> ends{};
    REQUIRE(pipe(ends.data()) == 0);
    std::string program = FF_TEST_DAEMON;
    std::vector<char*> argv{program.data()};
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      dup2(ends[1], 1);
      dup2(ends[1], 2);
      close(ends[0]);
      if (!notify_socket.empty()) setenv("NOTIFY_SOCKET", notify_socket.c_str(), 1);
      execv(argv[0], argv.data());
      _exit(127);
    }
    close(ends[1]);
    output_ = ends[0];
  }
  ~Child() { close(output_); }

  void read_until(const std::string& text) {
    while (said.find(text) == std::string::npos && read_some()) {
    }
    REQUIRE(said.find(text) != std::string::npos);
  }
  void send(int signal) const { kill(pid_, signal); }
  [[nodiscard]] bool ended() const {
    siginfo_t info{};
    return waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == pid_;
  }
  /// waitpid's status, after everything it said has been read into `said`.
  int wait() {
    while (read_some()) {
    }
    int status = 0;
    waitpid(pid_, &status, 0);
    return status;
  }
  int exit_code() {
    const int status = wait();
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  std::string said;

 private:
  bool read_some() {
    std::array<char, 4096> buffer{};
    const ssize_t count = read(output_, buffer.data(), buffer.size());
    if (count > 0) said.append(buffer.data(), static_cast<std::size_t>(count));
    return count > 0;
  }
  pid_t pid_ = -1;
  int output_ = -1;
};

int exit_code_of(std::vector<std::string> arguments) { return Child(std::move(arguments)).exit_code(); }

}  // namespace

TEST_CASE("a daemon stops on SIGTERM and on SIGINT, says what it did, and exits 0", "[daemon]") {
  for (const int signal : {SIGTERM, SIGINT}) {
    Child child({"--set", "test.slots=5"});
    child.read_until("ready");
    child.send(signal);
    CHECK(child.exit_code() == kExitOk);
    CHECK(child.said.find("stopped summary=\"slots=5\"") != std::string::npos);
  }
}

TEST_CASE("a second signal ends a daemon that does not stop", "[daemon]") {
  Child child({"--set", "test.fail_with=stuck"});
  child.read_until("ready");
  child.send(SIGTERM);
  // Two signals of one kind may arrive as one: repeat until the child has ended.
  while (!child.ended()) child.send(SIGTERM);
  const int status = child.wait();
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGTERM);
}

TEST_CASE("wrong arguments exit 64, --help and --version exit 0", "[daemon]") {
  CHECK(exit_code_of({"--no-such-option"}) == kExitUsage);
  CHECK(exit_code_of({"stray"}) == kExitUsage);
  CHECK(exit_code_of({"--config"}) == kExitUsage);
  CHECK(exit_code_of({"--config", "a", "--no-config"}) == kExitUsage);
  CHECK(exit_code_of({"--help"}) == kExitOk);
  Child version({"--version"});
  CHECK(version.exit_code() == kExitOk);
  CHECK(version.said.find("foreframe-test ") == 0);
}

TEST_CASE("a refused configuration exits 78 and names file, line and column", "[daemon]") {
  const auto path = scratch("bad.toml");
  std::ofstream(path) << "[test]\nslotz = 3\n";
  Child child({"--config", path.string()});
  CHECK(child.exit_code() == kExitConfig);
  CHECK(child.said.find(path.string() +
                        ":2:1: 'test.slotz' is no key of foreframe-test; did you mean 'test.slots'?") !=
        std::string::npos);
  std::filesystem::remove(path);
  CHECK(exit_code_of({"--config", path.string()}) == kExitConfig);
  CHECK(exit_code_of({"--set", "test.slots=65"}) == kExitConfig);
  CHECK(exit_code_of({"--set", "test.slots"}) == kExitConfig);
  CHECK(exit_code_of({"--check", "--set", "test.slots=13"}) == kExitConfig);
  CHECK(exit_code_of({"--set", "test.slots=13"}) == kExitConfig);
  CHECK(exit_code_of({"--set", "status.listen=nowhere"}) == kExitConfig);
}

TEST_CASE("the command line wins over the file, and --check starts nothing", "[daemon]") {
  const auto path = scratch("good.toml");
  std::ofstream(path) << "[test]\nslots = 3\n";
  Child from_file({"--config", path.string(), "--check"});
  CHECK(from_file.exit_code() == kExitOk);
  CHECK(from_file.said == "needs 3 slots\nconfiguration is good\n");
  Child overridden({"--config", path.string(), "--set", "test.slots=7", "--check"});
  CHECK(overridden.exit_code() == kExitOk);
  CHECK(overridden.said == "needs 7 slots\nconfiguration is good\n");
  std::filesystem::remove(path);
}

TEST_CASE("what --print-config prints is a configuration file with the same values", "[daemon]") {
  Child first({"--print-config", "--set", "test.slots=9"});
  REQUIRE(first.exit_code() == kExitOk);
  CHECK(first.said.find("slots = 9\n") != std::string::npos);
  CHECK(first.said.find("[logging]\n") != std::string::npos);
  const auto path = scratch("printed.toml");
  std::ofstream(path) << first.said;
  Child second({"--config", path.string(), "--print-config"});
  CHECK(second.exit_code() == kExitOk);
  CHECK(second.said == first.said);
  std::filesystem::remove(path);
}

TEST_CASE("--print-config-docs lists every key as a Markdown table", "[daemon]") {
  Child child({"--print-config-docs"});
  CHECK(child.exit_code() == kExitOk);
  CHECK(child.said.find("| `test.slots` | `4` | a whole number, 1 to 64 | A number. |\n") !=
        std::string::npos);
  CHECK(child.said.find("| `logging.level` | `\"info\"` |") != std::string::npos);
}

TEST_CASE("the exit code tells what kind of trouble ended a daemon", "[daemon]") {
  CHECK(exit_code_of({"--set", "test.fail_with=exception"}) == kExitSoftware);
  CHECK(exit_code_of({"--set", "test.fail_with=disk"}) == kExitIo);
  CHECK(exit_code_of({"--set", "test.fail_with=peer"}) == kExitUnavailable);
}

TEST_CASE("systemd hears READY, the watchdog and STOPPING", "[daemon]") {
  const auto path = scratch("notify");
  const int socket_fd = socket(AF_UNIX, SOCK_DGRAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.string().copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(bind(socket_fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);

  Child child({}, path.string());
  std::string heard;
  const auto hear_until = [&](const std::string& word) {
    while (heard.find(word) == std::string::npos) {
      std::array<char, 512> buffer{};
      const ssize_t count = recv(socket_fd, buffer.data(), buffer.size(), 0);
      REQUIRE(count > 0);
      heard.append(buffer.data(), static_cast<std::size_t>(count)).append("\n");
    }
  };
  hear_until("READY=1\nSTATUS=waiting at 127.0.0.1:");
  hear_until("WATCHDOG=1");
  child.send(SIGTERM);
  hear_until("STOPPING=1");
  CHECK(child.exit_code() == kExitOk);
  close(socket_fd);
  std::filesystem::remove(path);
}
