// SPDX-License-Identifier: Apache-2.0
//
// Writing the spool.
#include "agent/spool/spool_stage.hpp"

#include <sodium.h>
#include <thread>

#include "common/base/clock.hpp"

namespace ff::agent {
namespace {

constexpr auto kFullPause = std::chrono::milliseconds(20);
constexpr std::int64_t kHouseInterval = 500'000'000;

}  // namespace

Status SpoolStage::run(SpoolQueue& in, const std::atomic<bool>& give_up) {
  while (!in.finished()) {
    auto record = in.pop_for(std::chrono::milliseconds(50));
    metrics_.queue_spool.set(static_cast<double>(in.size()));
    if (record) FF_TRY(write(std::move(*record), give_up));
    FF_TRY(log_->sync_if_due());
    FF_TRY(keep_house());
  }
  return log_->sync();
}

Status SpoolStage::write(OutgoingRecord record, const std::atomic<bool>& give_up) {
  record.header.set_sequence(++next_sequence_[record.header.stream()]);
  complete_header(record);
  if (record.buffer.empty()) record.buffer.resize(wire::kBlockHeadroomBytes);
  const bool is_window = record.header.has_window();
  const std::uint64_t window = is_window ? record.header.window().window() : 0;
  // Window and series records may have larger headers than the room in front of a block.
  auto envelope =
      record.header.has_block()
          ? wire::seal_envelope_in_place(record.header, std::move(record.buffer), record.payload_bytes)
          : wire::seal_envelope(
                record.header,
                ByteSpan(record.buffer).subspan(wire::kBlockHeadroomBytes, record.payload_bytes));
  if (!envelope.ok()) return std::move(envelope).error();
  FF_TRY(append(*envelope, give_up));
  if (is_window) journal_.note_progress(record.stream_index, window + 1);
  if (record.header.has_series_end() && record.stream_index == 0) FF_TRY(journal_.end_series());
  return {};
}

/// A window's record sums up its blocks, which all came before it.
void SpoolStage::complete_header(OutgoingRecord& record) {
  auto& header = record.header;
  if (header.has_block()) {
    WindowTotals& totals = windows_[{{header.series_uid(), header.stream()}, header.block().window()}];
    totals.digests.insert(totals.digests.end(), record.payload_sha256.begin(), record.payload_sha256.end());
    totals.coded_bytes += record.payload_bytes;
  } else if (header.has_window()) {
    const auto found = windows_.extract({{header.series_uid(), header.stream()}, header.window().window()});
    if (found.empty()) return;
    Sha256 digest;
    crypto_hash_sha256(digest.data(), found.mapped().digests.data(), found.mapped().digests.size());
    header.mutable_window()->set_payload_sha256(digest.data(), digest.size());
    header.mutable_window()->set_coded_bytes(found.mapped().coded_bytes);
  }
}

Status SpoolStage::append(const Payload& envelope, const std::atomic<bool>& give_up) {
  bool told = false;
  while (true) {
    const auto offset = log_->append("", envelope.bytes());
    if (offset.ok()) {
      metrics_.records_spooled.add();
      return {};
    }
    if (offset.error().code != Errc::disk_full) return offset.error();
    if (!told)
      metrics_.report(
          Fault::spool_blocked, "spool is full; encoding waits until a collector takes records",
          {{"spool_bytes", log_->stats().bytes}, {"why", std::string_view(offset.error().message)}});
    told = true;
    if (give_up.load(std::memory_order_relaxed)) {
      ++records_lost_;
      return {};
    }
    std::this_thread::sleep_for(kFullPause);
    house_kept_ns_ = 0;
    FF_TRY(keep_house());
  }
}

/// Frees what collectors have acknowledged.
Status SpoolStage::keep_house() {
  const std::int64_t now = monotonic_now_ns();
  if (now - house_kept_ns_ < kHouseInterval) return {};
  house_kept_ns_ = now;
  if (const auto cursor = log_->lowest_cursor()) FF_TRY(log_->free_below(*cursor));
  metrics_.spool_bytes.set(static_cast<double>(log_->stats().bytes));
  return {};
}

}  // namespace ff::agent
