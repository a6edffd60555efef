// SPDX-License-Identifier: Apache-2.0
//
// ArchiveRecords: the envelopes of an archive, as an agent would send them.
//
// Their numbers follow from their places, so that threads can build blocks in any order.
// Not here   coding (archive_encode.hpp), the file (archive_file.hpp).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/encode/tile_coder.hpp"
#include "common/base/payload.hpp"
#include "common/base/uuid.hpp"
#include "common/wire/envelope.hpp"
#include "kernels/codec.hpp"
#include "tools/recording/recording.hpp"

namespace ff::tools {

using Digest = std::array<unsigned char, 32>;  ///< SHA-256
[[nodiscard]] Digest sha256(ByteSpan bytes);

/// What would make two archives of the same frames differ: names and times.
struct ArchiveStamp {
  Uuid series_uid, log_id;
  std::int64_t utc_ns = 0;
  [[nodiscard]] static ArchiveStamp mint();
};

struct WindowSize {
  std::uint64_t window = 0;
  std::uint64_t raw_bytes = 0, coded_bytes = 0;
};

/// Where a block stands.
struct BlockPlace {
  std::uint64_t window = 0;
  std::uint32_t group = 0, tile = 0;
  std::uint64_t groups_before = 0;  ///< in the whole archive
};

class ArchiveRecords {
 public:
  ArchiveRecords(const RecordingInfo& info, foreframe::wire::StreamGeometry geometry, std::uint32_t tiles,
                 std::uint32_t window_frames, kernels::Profile profile, const ArchiveStamp& stamp);

  /// Before the first block; tens of milliseconds for a large mask. Beside start(), from any thread.
  void hash_mask();
  [[nodiscard]] Result<Payload> start() const;
  /// The coded group lies at `buffer[kBlockHeadroomBytes]`. From any thread.
  [[nodiscard]] Result<Payload> block(const BlockPlace& place, const kernels::GroupPlace& group,
                                      const agent::CodedGroup& coded, std::vector<std::byte> buffer) const;
  /// `last`: its last group, of any tile. `digests`: of the window's blocks in the order of the file.
  [[nodiscard]] Result<Payload> window(const WindowSize& size, std::uint32_t frame_count,
                                       const BlockPlace& last, const std::vector<Digest>& digests) const;
  [[nodiscard]] Result<Payload> end(std::uint64_t windows, std::uint64_t blocks) const;

 private:
  [[nodiscard]] wire::EnvelopeHeader header(std::uint64_t sequence) const;
  /// Of what follows `groups` groups and `windows` windows.
  [[nodiscard]] std::uint64_t sequence(std::uint64_t groups, std::uint64_t windows) const noexcept {
    return 2 + groups * tiles_ + windows;
  }

  const RecordingInfo& info_;
  foreframe::wire::StreamGeometry geometry_;
  std::uint32_t tiles_, window_frames_;
  kernels::Profile profile_;
  ArchiveStamp stamp_;
  wire::EnvelopeHeader base_;
  std::string mask_hash_;
};

}  // namespace ff::tools
