// SPDX-License-Identifier: Apache-2.0
//
// Streams: the lane coders of a group, which take its groups of 32 records in turns.
//
// Data path  token > [streams] > block
// Meaning    docs/formats/block.md §7.
// Not here   one stream's lanes (lanes.hpp), which records there are (codec_reference.cpp, codec_phases.cpp,
//            codec_cells.cpp).
#pragma once

#include "kernels/model_coder.hpp"
#include "kernels/reference/lanes.hpp"

namespace ff::kernels::reference {

/// Encoders with the state's tables, as they are when this is made. Groups come last first.
class StreamEncoders {
 public:
  StreamEncoders(const PredictorState& state, std::size_t streams, std::size_t bytes_max);
  StreamEncoders(const StreamEncoders&) = delete;  // encoders refer to the tables
  StreamEncoders& operator=(const StreamEncoders&) = delete;

  [[nodiscard]] LaneEncoder& of_group(std::size_t g) noexcept { return streams_[g % streams_.size()]; }
  [[nodiscard]] bool within_limit() const noexcept;
  [[nodiscard]] StreamWords finish();

 private:
  const CumulativeTables tables_;
  std::vector<LaneEncoder> streams_;
  std::size_t bytes_max_;
};

/// Decoders of a payload's streams. Groups come first first.
class StreamDecoders {
 public:
  StreamDecoders(const PredictorState& state, const PredictedPayload& payload);
  StreamDecoders(const StreamDecoders&) = delete;
  StreamDecoders& operator=(const StreamDecoders&) = delete;

  [[nodiscard]] LaneDecoder& of_group(std::size_t g) noexcept { return streams_[g % streams_.size()]; }
  /// Errors: malformed (a stream did not end cleanly).
  [[nodiscard]] Status end() const;

 private:
  const CumulativeTables tables_;
  const SymbolSlots slots_;
  std::vector<LaneDecoder> streams_;
};

}  // namespace ff::kernels::reference
