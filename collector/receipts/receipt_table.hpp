// SPDX-License-Identifier: Apache-2.0
//
// ReceiptTable: all that the receipts topic has said, folded: which windows of a stream have which receipt of
// which destination, which are asked for again, and what sinks can decode.
//
// Rules    docs/formats/receipts.md. The first final outcome of a window at a destination stands. A replay
//          request is open until a receipt for its windows follows.
// Memory   bytes_max; beyond it the stream that was written longest ago is forgotten (and counted): its agents
//          get no answer, send again, and the sinks receipt again.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <string>
#include <utility>

#include "collector/receipts/window_ranges.hpp"
#include "common/wire/link.pb.h"

namespace ff::collector {

/// A stream of a series, as RecordSets name it.
struct StreamOfSeries {
  std::string series_uid, detector;
  std::uint32_t stream = 0;
  friend auto operator<=>(const StreamOfSeries&, const StreamOfSeries&) = default;
};
[[nodiscard]] StreamOfSeries stream_of(const foreframe::wire::RecordSet& records);

class ReceiptTable {
 public:
  static constexpr std::size_t kOutcomesPerStreamMax = 64;
  static constexpr std::size_t kAbilitiesMax = 1024;

  explicit ReceiptTable(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}

  void add(const foreframe::wire::Receipt& receipt);
  void add(const foreframe::wire::ReplayRequest& replay);
  void add(const foreframe::wire::SinkAbility& ability, std::int64_t written_utc_ns);

  /// Adds to `news` what is known of `asked`: receipts and open replay requests, cut to what was asked.
  void answer(const foreframe::wire::RecordSet& asked, foreframe::wire::ReceiptNews& news) const;
  /// Adds what sinks said after `since_utc_ns`.
  void tell_abilities(std::int64_t since_utc_ns, foreframe::wire::ReceiptNews& news) const;

  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }  ///< an estimate, a little high
  [[nodiscard]] std::size_t streams() const noexcept { return streams_.size(); }
  [[nodiscard]] std::uint64_t forgotten() const noexcept { return forgotten_; }

 private:
  using Outcome = foreframe::wire::Receipt::Outcome;
  struct Marks {
    WindowRanges windows;
    bool start = false, end = false;
    std::string words, who;  ///< reason and sink or requester of the last record
  };
  struct Stream {
    std::map<std::pair<std::string, Outcome>, Marks> outcomes;  ///< by destination
    Marks asked;
    std::uint64_t bytes = 0;
    std::list<StreamOfSeries>::iterator age;
  };
  struct Ability {
    foreframe::wire::SinkAbility ability;
    std::int64_t written_utc_ns = 0;
  };

  Stream& open(const StreamOfSeries& key);
  void weigh(Stream& stream);
  void forget_oldest();

  std::uint64_t bytes_max_;
  std::uint64_t bytes_ = 0;
  std::uint64_t forgotten_ = 0;
  std::map<StreamOfSeries, Stream> streams_;
  std::list<StreamOfSeries> ages_;                                    ///< written longest ago first
  std::map<std::pair<std::string, std::string>, Ability> abilities_;  ///< by destination and sink
};

}  // namespace ff::collector
