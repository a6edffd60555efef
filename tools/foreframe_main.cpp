// SPDX-License-Identifier: Apache-2.0
//
// `foreframe`: the command line for everything that is not a daemon. Dispatches to tools/command/.
#include <cstdio>
#include <cstring>
#include <exception>
#include <string_view>

#include "tools/command/commands.hpp"

namespace {

void print_help(std::FILE* out) {
  std::fputs(
      "foreframe: moves detector frames from instruments to HPC centres\n\n"
      "usage: foreframe COMMAND [OPTIONS]\n\ncommands:\n",
      out);
  for (const auto& command : ff::tools::commands())
    std::fprintf(out, "  %-9s %s\n", command.name, command.purpose);
  std::fputs(
      "\nexamples:\n"
      "  foreframe encode lysozyme.h5:/entry/data/data -o lysozyme.ffs\n"
      "  foreframe inspect lysozyme.ffs\n"
      "  foreframe decode lysozyme.ffs -o lysozyme_again.h5\n"
      "  foreframe replay sim:eiger2-16m,rows=1024,cols=1024 --bind tcp://127.0.0.1:31001 --rate \"133 Hz\" "
      "--frames 500\n"
      "\n`foreframe COMMAND --help` explains a command; `foreframe --version` names this build.\n"
      "Exit codes: 0 done, 64 wrong arguments, 65 bad data in an input, 66 an input is not there,\n"
      "69 nobody at the other end, 73 the output can't be created, 74 input/output failed, 78 "
      "configuration.\n",
      out);
}

int dispatch(int argc, char** argv) {
  const std::string_view word = argc > 1 ? argv[1] : "";
  if (word == "--version" || word == "-V") {
    std::printf("foreframe %s\n", FF_VERSION);
    return 0;
  }
  if (word.empty() || word == "--help" || word == "-h" || word == "help") {
    print_help(word.empty() ? stderr : stdout);
    return word.empty() ? 64 : 0;
  }
  for (const auto& command : ff::tools::commands()) {
    if (word == command.name) return command.run(argc - 1, argv + 1);
  }
  std::fprintf(stderr, "foreframe: there is no command '%s'; `foreframe --help` lists them\n", argv[1]);
  return 64;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return dispatch(argc, argv);
  } catch (const std::exception& exception) {  // out of memory, or a library's own exception
    std::fprintf(stderr, "foreframe: %s\n", exception.what());
    return 70;
  }
}
