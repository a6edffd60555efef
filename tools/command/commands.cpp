// SPDX-License-Identifier: Apache-2.0
//
// The list of subcommands, in the order in which `foreframe --help` shows them.
#include "tools/command/commands.hpp"

namespace ff::tools {

std::span<const Command> commands() noexcept {
  static constexpr Command kCommands[] = {
      {"replay", "stream a recording or a simulated detector over ZeroMQ", &replay_command},
      {"encode", "compress a recording into one .ffs file", &encode_command},
      {"decode", "turn an .ffs file back into a recording", &decode_command},
      {"inspect", "show what an .ffs file or a block holds", &inspect_command},
      {"verify", "hold a coded file against its original, pixel by pixel", &verify_command},
      {"ledger", "what became of every frame: stored, damaged, lost and where; seals", &ledger_command},
      {"why", "where a frame is, or where and why it ended", &why_command},
      {"dead", "records that no sink can decode, and why", &dead_command},
      {"drill", "break one thing on a live installation and see every frame come through", &drill_command},
      {"bench", "sizes and speeds of the codec beside other codecs", &bench_command},
      {"convert", "copy a recording into another format", &convert_command},
  };
  return kCommands;
}

}  // namespace ff::tools
