// SPDX-License-Identifier: Apache-2.0
//
// CodedSeries: a small series as an agent would send it (start, blocks, window records, end) beside its
// pixels.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/base/frame_view.hpp"
#include "common/base/uuid.hpp"
#include "common/transport/log.hpp"
#include "common/wire/envelope.hpp"
#include "tests/support/fake_log_reader.hpp"

namespace ff::test {

struct CodedSeriesOptions {
  FrameShape shape{Dtype::u16, 24, 40};
  std::uint32_t tile_rows = 16, tile_cols = 20;
  std::uint32_t frames = 20;
  std::uint32_t window_frames = 8;
  std::uint32_t group_frames = 3;
  std::uint32_t stream = 0;
  std::uint32_t channel_index = 0;
  std::string channel{};
  std::vector<std::uint32_t> streams{0};
  std::uint64_t epoch = 1000;
  std::set<std::uint32_t> lost{};  ///< never received by the agent
  std::uint32_t partitions = 2;
  std::uint32_t seed = 1;
  std::vector<std::int64_t> sentinels{65535};
  Uuid uid = Uuid::mint();
  std::string detector = "eiger";
  std::string agent = "test-agent";
  std::uint32_t origin_row = 0;     ///< of this module in the detector
  std::uint32_t detector_rows = 0;  ///< 0: those of the module
};

struct CodedRecord {
  transport::Topic topic = transport::Topic::blocks;
  wire::EnvelopeHeader header;
  Payload envelope;
};

struct CodedSeries {
  CodedSeriesOptions options;
  std::vector<std::vector<std::byte>> frames;  ///< pixels by frame number; empty where lost
  std::vector<CodedRecord> records;            ///< in the order of sending

  [[nodiscard]] std::uint32_t windows() const {
    return (options.frames + options.window_frames - 1) / options.window_frames;
  }
};

[[nodiscard]] CodedSeries make_coded_series(const CodedSeriesOptions& options);
/// Puts records into the log, blocks and windows by partition_of.
void append_to(FakeLog& log, const CodedSeries& series, const std::vector<CodedRecord>& records);
/// A log that holds these records.
[[nodiscard]] std::shared_ptr<FakeLog> log_of(const CodedSeries& series,
                                              const std::vector<CodedRecord>& records);
/// The record's envelope again, after a change of its header or payload.
[[nodiscard]] CodedRecord reseal(const CodedRecord& record, const wire::EnvelopeHeader& header,
                                 ByteSpan payload);

}  // namespace ff::test
