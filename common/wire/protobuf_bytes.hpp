// SPDX-License-Identifier: Apache-2.0
//
// Parsing a Protobuf message from hostile bytes without a word on stderr: the library's own handler writes a line for
// every string that is no UTF-8, which would let whoever sends nonsense fill our logs. Callers name the error.
#pragma once

#include <climits>
#include <google/protobuf/message_lite.h>
#include <google/protobuf/stubs/logging.h>

#include "common/base/bytes.hpp"

namespace ff::wire {

/// False when `bytes` are no such message. Unknown fields are kept.
[[nodiscard]] inline bool parse_message(google::protobuf::MessageLite& message, ByteSpan bytes) {
  [[maybe_unused]] static auto* const handler = google::protobuf::SetLogHandler(nullptr);
  return bytes.size() <= INT_MAX && message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

}  // namespace ff::wire
