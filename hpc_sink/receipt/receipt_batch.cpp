// SPDX-License-Identifier: Apache-2.0
//
// ReceiptBatch: sets of windows to ranges, ranges to messages.
#include "hpc_sink/receipt/receipt_batch.hpp"

#include <algorithm>
#include <iterator>

#include "kernels/codec.hpp"

namespace ff::sink {
namespace {

namespace pb = foreframe::wire;

constexpr std::size_t kReasonBytesMax = 1000;
constexpr const char* kSoftware = "foreframe " FF_VERSION;

void add_range(pb::RecordSet& records, std::uint64_t first, std::uint64_t end) {
  auto& range = *records.add_windows();
  range.set_first(first);
  range.set_count(std::min(end - first, wire::kWindowsPerRangeMax));
}

void add_windows(pb::RecordSet& records, const std::set<std::uint64_t>& windows) {
  for (auto next = windows.begin(); next != windows.end();) {
    const std::uint64_t first = *next;
    std::uint64_t end = first;
    for (; next != windows.end() && *next == end; ++next) ++end;
    add_range(records, first, end);
  }
}

void name_stream(pb::RecordSet& records, const StreamKey& stream, const std::string& detector) {
  records.set_series_uid(stream.series.to_wire());
  records.set_stream(stream.stream);
  records.set_detector(detector);
}

}  // namespace

std::string stream_record_key(const StreamKey& stream) {
  return stream.series.to_string() + "/" + std::to_string(stream.stream);
}

void ReceiptBatch::add(Verdict verdict) {
  Entry& entry = entries_[{verdict.stream, verdict.outcome, verdict.reason}];
  entry.detector = std::move(verdict.detector);
  switch (verdict.part) {
    case RecordPart::window: entry.windows.insert(verdict.window); break;
    case RecordPart::series_start: entry.start = true; break;
    case RecordPart::series_end: entry.end = true; break;
    case RecordPart::none: break;
  }
  std::ranges::move(verdict.tickets, std::back_inserter(entry.tickets));
  ++verdicts_;
}

std::vector<ReceiptLine> ReceiptBatch::take(std::int64_t now_utc_ns) {
  std::vector<ReceiptLine> lines;
  for (auto& [key, entry] : entries_) {
    const auto& [stream, outcome, reason] = key;
    ReceiptLine line{stream_record_key(stream), {}, std::move(entry.tickets)};
    line.record.set_written_utc_ns(now_utc_ns);
    pb::Receipt& receipt = *line.record.mutable_receipt();
    name_stream(*receipt.mutable_records(), stream, entry.detector);
    add_windows(*receipt.mutable_records(), entry.windows);
    receipt.mutable_records()->set_series_start(entry.start);
    receipt.mutable_records()->set_series_end(entry.end);
    receipt.set_outcome(outcome);
    receipt.set_destination(sender_.destination);
    receipt.set_sink(sender_.sink);
    receipt.set_reason(reason.substr(0, kReasonBytesMax));
    lines.push_back(std::move(line));
  }
  entries_.clear();
  verdicts_ = 0;
  return lines;
}

ReceiptLine replay_line(const ReceiptSender& sender, const ReplayAsk& ask, std::int64_t now_utc_ns) {
  ReceiptLine line{stream_record_key(ask.stream), {}, {}};
  line.record.set_written_utc_ns(now_utc_ns);
  pb::ReplayRequest& request = *line.record.mutable_replay();
  pb::RecordSet& records = *request.mutable_records();
  name_stream(records, ask.stream, ask.detector);
  for (const auto& [first, end] : ask.windows) add_range(records, first, end);
  records.set_series_start(ask.series_start);
  records.set_series_end(ask.series_end);
  request.set_requester(sender.sink);
  request.set_reason(ask.reason.substr(0, kReasonBytesMax));
  return line;
}

ReceiptLine ability_line(const ReceiptSender& sender, std::int64_t now_utc_ns) {
  ReceiptLine line{sender.destination + "/" + sender.sink, {}, {}};
  line.record.set_written_utc_ns(now_utc_ns);
  pb::SinkAbility& ability = *line.record.mutable_ability();
  const kernels::BlockAbility known = kernels::block_ability();
  ability.set_destination(sender.destination);
  ability.set_sink(sender.sink);
  ability.set_software(kSoftware);
  ability.set_block_major(known.version_major);
  ability.set_block_minor(known.version_minor);
  ability.set_block_features(known.required_features);
  return line;
}

}  // namespace ff::sink
