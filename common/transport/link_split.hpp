// SPDX-License-Identifier: Apache-2.0
//
// Cuts what agents ask and collectors tell about records into LinkMessages of bounded size: a list of windows
// can be longer than one message may be. Private to common/transport.
#pragma once

#include <vector>

#include "common/wire/link.pb.h"

namespace ff::transport {

/// Far below what a peer takes, so that a few in a queue are no burden.
inline constexpr std::size_t kNewsBytesMax = 256u << 10;

/// Watch messages that together ask for all of `records`; a set with many ranges is spread over several.
[[nodiscard]] std::vector<foreframe::wire::LinkMessage> split_watch(
    const std::vector<foreframe::wire::RecordSet>& records);

/// ReceiptNews messages that together say all of `news`: receipts first, then replays, abilities; in order.
[[nodiscard]] std::vector<foreframe::wire::LinkMessage> split_news(const foreframe::wire::ReceiptNews& news);

}  // namespace ff::transport
