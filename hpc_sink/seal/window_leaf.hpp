// SPDX-License-Identifier: Apache-2.0
//
// Window leaf: the bytes of one window that its Merkle leaf is the hash of.
//
// Data path  catalogue > [leaf bytes] > Merkle root > seal; the same bytes are in the master file
// Format     docs/formats/ledger.md, "Leaves". Canonical: a window has exactly one leaf.
#pragma once

#include <string>

#include "common/base/bytes.hpp"
#include "common/base/result.hpp"
#include "hpc_sink/store/window_fates.hpp"

namespace ff::sink {

inline constexpr std::size_t kLeafBytesMax = 15 + 64 * 2 + 1 + 32 + 64 * 4;

struct WindowLeaf {
  std::uint32_t stream = 0;
  WindowFates window;  ///< without facts
};

/// At most 64 frames.
[[nodiscard]] std::string leaf_bytes(std::uint32_t stream, const WindowFates& window);
/// Exactly the bytes that leaf_bytes writes. Errors: truncated, malformed (a flag or length that it never writes).
[[nodiscard]] Result<WindowLeaf> parse_leaf(ByteSpan bytes);

}  // namespace ff::sink
