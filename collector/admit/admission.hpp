// SPDX-License-Identifier: Apache-2.0
//
// Admission: what may go into the log, and where to. Looks at an envelope's header, never into its payload.
//
// Data path  receive > [admit] > publish
// Refuses    what can't be read, what isn't what the link said, and zombies: a stream belongs to the agent
//            with the highest epoch seen; a lower epoch from another agent is one that should have ended.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "collector/admit/sequence_tracker.hpp"
#include "collector/collector_metrics.hpp"
#include "common/base/payload.hpp"
#include "common/base/result.hpp"
#include "common/transport/log.hpp"
#include "common/wire/envelope.hpp"
#include "common/wire/link.pb.h"

namespace ff::collector {

/// How many partitions the log's topics have.
struct PartitionCounts {
  std::uint32_t blocks = 1, series = 1;
};

struct Admitted {
  transport::Topic topic = transport::Topic::blocks;
  std::uint32_t partition = 0;
  std::string key;
};

struct StreamKey {
  std::string agent, detector;
  std::uint32_t stream = 0;
  std::uint64_t epoch = 0;
  friend auto operator<=>(const StreamKey&, const StreamKey&) = default;
};

class Admission {
 public:
  static constexpr std::size_t kStreamsMax = 8192;
  static constexpr std::size_t kAskedAtOnceMax = 256;  ///< ranges per stream

  Admission(PartitionCounts partitions, CollectorMetrics& metrics)
      : partitions_(partitions), metrics_(metrics) {}

  /// `agent`: who said HELLO on the connection. Errors: those of parse_envelope, malformed (header and link
  /// disagree), refused (zombie).
  [[nodiscard]] Result<Admitted> admit(const std::string& agent, const foreframe::wire::RecordId& id,
                                       const Payload& envelope);
  void greet(const foreframe::wire::Hello& hello);

  /// Per agent, the sequence numbers that were jumped over `patience_ns` ago and have not come: to be asked for
  /// now. Cost: a walk over all streams; meant for once a second.
  [[nodiscard]] std::map<std::string, foreframe::wire::Missing> overdue(std::int64_t now_ns,
                                                                        std::int64_t patience_ns);

  [[nodiscard]] const std::map<StreamKey, SequenceTracker>& streams() const noexcept { return trackers_; }

 private:
  struct Owner {
    std::string agent;
    std::uint64_t epoch = 0;
  };

  [[nodiscard]] Status check_owner(const wire::EnvelopeHeader& header);
  void count(const wire::EnvelopeHeader& header);
  SequenceTracker& tracker(const StreamKey& key);

  PartitionCounts partitions_;
  CollectorMetrics& metrics_;
  std::map<std::pair<std::string, std::uint32_t>, Owner> owners_;  ///< of (detector, stream)
  std::map<StreamKey, SequenceTracker> trackers_;
};

}  // namespace ff::collector
