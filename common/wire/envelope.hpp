// SPDX-License-Identifier: Apache-2.0
//
// Envelope: a Protobuf header and a payload in one run of bytes; the unit of spool, link and log.
//
// Data path  encode > [envelope] > spool > link > collector > log > [envelope] > decode
// Format     docs/formats/envelope.md: 24-byte prefix, header (records.proto), payload.
// Not here   what a block's payload means (kernels/codec.hpp); a payload is bytes here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "common/base/bytes.hpp"
#include "common/base/payload.hpp"
#include "common/base/result.hpp"
#include "common/wire/records.pb.h"

namespace ff::wire {

using foreframe::wire::EnvelopeHeader;

inline constexpr std::size_t kEnvelopePrefixBytes = 24;
inline constexpr std::size_t kEnvelopeHeaderBytesMax = 1u << 20;
inline constexpr std::size_t kEnvelopePayloadBytesMax = 1u << 30;
/// Room in front of a block that always holds prefix and header of a block record.
inline constexpr std::size_t kBlockHeadroomBytes = 1024;

struct ParsedEnvelope {
  EnvelopeHeader header;
  ByteSpan payload;  ///< points into the parsed bytes
  bool payload_intact = true;
};

/// Builds an envelope by copying `payload`. For small records (windows, series).
[[nodiscard]] Result<Payload> seal_envelope(const EnvelopeHeader& header, ByteSpan payload);

/// Builds an envelope around a payload that was written at `buffer[kBlockHeadroomBytes]`, without a copy:
/// header and prefix go right in front of it. Takes the buffer over.
/// Errors: too_large (header does not fit in the headroom).
[[nodiscard]] Result<Payload> seal_envelope_in_place(const EnvelopeHeader& header,
                                                     std::vector<std::byte> buffer,
                                                     std::size_t payload_bytes);

/// Parses and checks prefix, both CRCs and the fields that every record must have (16-byte uid, one record,
/// W in 1 ... 64, block places in range, a sane geometry). What the payload means is not looked at.
/// Errors: truncated, bad_magic, unsupported_version, too_large, crc_mismatch, malformed.
[[nodiscard]] Result<ParsedEnvelope> parse_envelope(ByteSpan bytes);
/// The same for a reader that wants to know whose payload is damaged: a payload CRC that differs is no error
/// but `payload_intact` = false.
[[nodiscard]] Result<ParsedEnvelope> parse_envelope_head(ByteSpan bytes);

/// The header alone, from the `beginning` of an envelope of `total_bytes`: for walks through many records. The
/// payload is neither needed nor checked. Errors: as parse_envelope(); too_large: the header is longer than
/// `beginning` (kEnvelopePrefixBytes + kEnvelopeHeaderBytesMax always suffice).
[[nodiscard]] Result<EnvelopeHeader> peek_envelope(ByteSpan beginning, std::uint64_t total_bytes);

/// "019a… stream 0 window 12 tile 3 group 0 (sequence 4711)": for logs and errors.
[[nodiscard]] std::string describe(const EnvelopeHeader& header);

/// Partition of a record: (base + window) mod P, so that all of a window meets in one sink.
[[nodiscard]] std::uint32_t partition_of(const EnvelopeHeader& header,
                                         std::uint32_t partition_count) noexcept;

}  // namespace ff::wire
