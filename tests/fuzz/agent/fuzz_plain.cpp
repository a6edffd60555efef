// SPDX-License-Identifier: Apache-2.0
//
// Fuzz target: a message of the plain protocol through its source to the unpacked pixels.
//
// Input: one byte, the number of payload bytes (zeros); then the JSON header.
#include <algorithm>

#include "agent/ingest/plain_source.hpp"
#include "tests/fuzz/agent/message_input.hpp"

namespace {

using namespace ff;
using namespace ff::fuzz;

Verdict run(ByteSpan input) {
  if (input.empty()) return Verdict::refused;
  std::vector<Payload> parts{Payload::own(Bytes(input.begin() + 1, input.end())),
                             Payload::own(Bytes(std::to_integer<std::size_t>(input[0])))};
  return use_event(agent::read_plain(parts));
}

Bytes message(std::uint8_t payload_bytes, std::string_view header) {
  Bytes input(1 + header.size(), std::byte{payload_bytes});
  std::ranges::copy(as_bytes(header), input.begin() + 1);
  return input;
}

std::vector<Bytes> seeds() {
  return {
      message(
          16,
          R"({"type":"image","series":1,"frame":2,"dtype":"uint8","shape":[4,4],"user_data":{"a":[1,{"b":2}]}})"),
      message(128, R"({"type":"image","series":7,"frame":0,"dtype":"uint16","shape":[8,8]})"),
  };
}

}  // namespace

FF_FUZZ_TARGET(plain, run, seeds, damage_bytes);
