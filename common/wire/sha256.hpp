// SPDX-License-Identifier: Apache-2.0
//
// SHA-256: what window records and seals say about the bytes of blocks.
//
// By libcrypto, which takes the processor's SHA instructions where it has them: every coded byte passes here, and
// in plain code that would cost more than a tenth of what the agent does.
#pragma once

#include <array>
#include <cstdint>

#include "common/base/bytes.hpp"

namespace ff::wire {

using Sha256 = std::array<std::uint8_t, 32>;

/// About 2 GB/s with SHA instructions, 0.5 GB/s without. Thread-safe.
[[nodiscard]] Sha256 sha256(ByteSpan bytes) noexcept;

}  // namespace ff::wire
