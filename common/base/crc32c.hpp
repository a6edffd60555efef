// SPDX-License-Identifier: Apache-2.0
//
// CRC-32C (Castagnoli, as in iSCSI RFC 3720 B.4): the checksum of blocks, envelopes and segments.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/base/bytes.hpp"

namespace ff {

/// CRC of `bytes`; pass the CRC of what came before as `previous` to go on over several pieces.
/// crc32c("123456789") == 0xe3069283. Uses the SSE4.2 instruction where the processor has it
/// (about 20 GB/s), else tables (about 1.5 GB/s); both give the same value.
[[nodiscard]] std::uint32_t crc32c(ByteSpan bytes, std::uint32_t previous = 0) noexcept;
/// The same by tables alone, as on a processor without the instruction.
[[nodiscard]] std::uint32_t crc32c_by_tables(ByteSpan bytes, std::uint32_t previous = 0) noexcept;

}  // namespace ff
