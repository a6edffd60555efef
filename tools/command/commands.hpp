// SPDX-License-Identifier: Apache-2.0
//
// Commands: the subcommands of `foreframe`, one file each (command/<name>_command.cpp).
//
// A command gets the arguments after `foreframe`, its own name first, and returns the process's exit code.
// To add one: write its file, declare it here, put one line into commands.cpp.
//
// Exit codes, the same for all (sysexits.h): 0 done, 1 a promise is broken (verify, drill), 64 wrong arguments, 65 bad data in an input, 66 an
// input is not there, 69 nobody at the other end, 70 our own fault, 73 the output can't be created,
// 74 input/output failed, 75 not yet (a series that is not sealed), 78 configuration.
#pragma once

#include <span>

namespace ff::tools {

struct Command {
  const char* name;
  const char* purpose;  ///< one line for `foreframe --help`
  int (*run)(int argc, char** argv);
};

[[nodiscard]] std::span<const Command> commands() noexcept;

int bench_command(int argc, char** argv);
int convert_command(int argc, char** argv);
int decode_command(int argc, char** argv);
int drill_command(int argc, char** argv);
int encode_command(int argc, char** argv);
int inspect_command(int argc, char** argv);
int ledger_command(int argc, char** argv);
int dead_command(int argc, char** argv);
int replay_command(int argc, char** argv);
int verify_command(int argc, char** argv);
int why_command(int argc, char** argv);

}  // namespace ff::tools
