// SPDX-License-Identifier: Apache-2.0
//
// Receipts and replay requests for the collector's tests.
#pragma once

#include <initializer_list>
#include <string>
#include <utility>

#include "common/wire/control_record.hpp"
#include "common/wire/link.pb.h"

namespace ff::collector {

namespace proto = foreframe::wire;
using Windows = std::initializer_list<std::pair<std::uint64_t, std::uint64_t>>;  ///< first, count

inline proto::RecordSet record_set(std::uint32_t stream, Windows windows, char series = 'u') {
  proto::RecordSet set;
  set.set_series_uid(std::string(16, series));
  set.set_detector("eiger");
  set.set_stream(stream);
  for (const auto& [first, count] : windows) {
    proto::WindowRange& range = *set.add_windows();
    range.set_first(first);
    range.set_count(count);
  }
  return set;
}

inline proto::Receipt receipt(const proto::RecordSet& records, const std::string& destination = "store",
                              proto::Receipt::Outcome outcome = proto::Receipt::STORED) {
  proto::Receipt made;
  *made.mutable_records() = records;
  made.set_outcome(outcome);
  made.set_destination(destination);
  made.set_sink(destination + "-1");
  if (outcome != proto::Receipt::STORED) made.set_reason("because");
  return made;
}

inline proto::ReplayRequest replay(const proto::RecordSet& records) {
  proto::ReplayRequest made;
  *made.mutable_records() = records;
  made.set_requester("store-1");
  made.set_reason("window incomplete");
  return made;
}

inline proto::SinkAbility ability(const std::string& sink) {
  proto::SinkAbility made;
  made.set_destination("store");
  made.set_sink(sink);
  made.set_block_minor(3);
  return made;
}

inline wire::ReceiptRecord record_of(const proto::Receipt& said) {
  wire::ReceiptRecord record;
  *record.mutable_receipt() = said;
  return record;
}

inline wire::ReceiptRecord record_of(const proto::ReplayRequest& said) {
  wire::ReceiptRecord record;
  *record.mutable_replay() = said;
  return record;
}

inline wire::ReceiptRecord record_of(const proto::SinkAbility& said, std::int64_t written_utc_ns) {
  wire::ReceiptRecord record;
  record.set_written_utc_ns(written_utc_ns);
  *record.mutable_ability() = said;
  return record;
}

/// "0-4 7-8" for windows 0 ... 3 and 7.
inline std::string words_of(const proto::RecordSet& set) {
  std::string words;
  for (const auto& range : set.windows())
    words += (words.empty() ? "" : " ") + std::to_string(range.first()) + "-" +
             std::to_string(range.first() + range.count());
  return words + (set.series_start() ? " start" : "") + (set.series_end() ? " end" : "");
}

}  // namespace ff::collector
