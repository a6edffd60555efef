// SPDX-License-Identifier: Apache-2.0
//
// Streams: set-up and end of the reference's lane coders.
#include "kernels/reference/streams.hpp"

#include <algorithm>

namespace ff::kernels::reference {

StreamEncoders::StreamEncoders(const PredictorState& state, std::size_t streams, std::size_t bytes_max)
    : tables_(*state.tables),
      streams_(streams, LaneEncoder(tables_, state.setup.levels.level_bits)),
      bytes_max_(bytes_max) {}

bool StreamEncoders::within_limit() const noexcept {
  std::size_t words = 0;
  for (const LaneEncoder& stream : streams_) words += stream.word_count();
  return 2 * words <= bytes_max_;
}

StreamWords StreamEncoders::finish() {
  StreamWords words;
  words.reserve(streams_.size());
  for (LaneEncoder& stream : streams_) words.push_back(stream.finish());
  return words;
}

StreamDecoders::StreamDecoders(const PredictorState& state, const PredictedPayload& payload)
    : tables_(*state.tables), slots_(symbol_slots(*state.tables)) {
  for (std::size_t s = 0; s < payload.group.streams; ++s)
    streams_.emplace_back(tables_, slots_, state.setup.levels.level_bits, payload.streams[s]);
}

Status StreamDecoders::end() const {
  return lanes_status(
      std::ranges::all_of(streams_, [](const LaneDecoder& stream) { return stream.ended_cleanly(); }));
}

}  // namespace ff::kernels::reference
