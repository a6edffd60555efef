// SPDX-License-Identifier: Apache-2.0
//
// SendStage: sends what the spool holds, in order, and moves the spool's cursors behind what is done.
//
// Data path  spool > [send] ~link~> collector
// A record is sent when a collector says that the log has it, or that it never will (quarantine). The cursor
// "sender" stands behind the longest run of such records from the start; a restart sends from there again. The
// cursor "free" follows: with receipts (receipt_keeper.hpp), or with the sender where a replicated log suffices.
// New records go first; what is sent again has its own budget. One thread.
#pragma once

#include <atomic>
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>

#include "agent/agent_metrics.hpp"
#include "agent/spool/held_records.hpp"
#include "agent/spool/quarantine.hpp"
#include "agent/spool/receipt_keeper.hpp"
#include "agent/spool/sink_abilities.hpp"
#include "agent/spool/spool_waits.hpp"
#include "common/service/status_server.hpp"
#include "common/transport/link.hpp"
#include "common/transport/segment_log.hpp"

namespace ff::agent {

struct SendStageOptions {
  bool wait_for_receipts = true;  ///< false: what the log has may be freed
  ReceiptBookOptions receipts;
  double resend_share = 0.2;  ///< of what the link carries, 0 ... 0.9
};

/// The spool's readers: `sender` and `free` have cursors, `again` reads anywhere.
struct SpoolReaders {
  std::unique_ptr<transport::SegmentReader> sender, free, again;
  /// Errors: those of SegmentReader::open.
  [[nodiscard]] static Result<SpoolReaders> open(const std::filesystem::path& folder);
};

class SendStage {
 public:
  SendStage(SendStageOptions options, SpoolReaders readers, std::unique_ptr<transport::LinkSender> link,
            Quarantine quarantine, std::atomic<std::uint32_t>& partition_count, SpoolWaits& waits,
            service::Health& health, AgentMetrics& metrics);

  /// Sends until `spool_closed` and everything is done, or until `deadline_ns` (monotonic; 0: none yet) has
  /// passed.
  [[nodiscard]] Status run(const std::atomic<bool>& spool_closed,
                           const std::atomic<std::int64_t>& deadline_ns);

  /// Records in the spool that the log doesn't have.
  [[nodiscard]] std::uint64_t outstanding();

 private:
  using Identity = std::tuple<std::string, std::uint32_t, std::uint64_t,
                              std::uint64_t>;  // detector, stream, epoch, sequence
  struct UnderWay {
    Identity identity;
    Payload envelope;
    bool again = false;
  };

  [[nodiscard]] static foreframe::wire::RecordId id_of(const Identity& identity);
  void on_missing(const foreframe::wire::SequenceRange& range);
  void send_missing();
  void on_news(const foreframe::wire::ReceiptNews& news);
  void on_welcome(const foreframe::wire::Welcome& welcome);
  void on_refused(const foreframe::wire::Refuse& refusal);
  void done(const foreframe::wire::RecordId& id);
  [[nodiscard]] std::vector<foreframe::wire::StreamPosition> positions() const;
  [[nodiscard]] Result<bool> send_next();
  [[nodiscard]] bool send_again();
  void advance_cursor();
  void watch_streams();
  [[nodiscard]] Status look_after_receipts(bool sent_new);
  void release_held();
  void read_again_from_cursor();
  void tell_held();
  enum class Sent { yes, not_now, held, unreadable };
  [[nodiscard]] Sent send_record(const transport::SegmentRecord& record, bool again);
  [[nodiscard]] Status commit_if_due(bool now);
  [[nodiscard]] Status commit_cursors();

  std::unique_ptr<transport::SegmentReader> spool_;
  std::unique_ptr<transport::LinkSender> link_;
  std::unique_ptr<transport::SegmentReader> free_;  ///< where receipts are not waited for
  Quarantine quarantine_;
  std::atomic<std::uint32_t>& partition_count_;
  SpoolWaits& waits_;
  service::Health& health_;
  AgentMetrics& metrics_;
  std::map<std::uint64_t, UnderWay> under_way_;  ///< by spool offset
  std::map<Identity, std::uint64_t> offsets_;    ///< of what is under way
  std::set<std::uint64_t> done_;                 ///< beyond cursor_
  std::set<std::uint64_t> missing_;              ///< under way, and asked for by the collector
  std::uint64_t cursor_ = 0, committed_ = 0;
  std::uint64_t expected_ = 0;                   ///< offset of the record that should be read next
  std::map<std::uint64_t, std::uint64_t> gaps_;  ///< beyond cursor_: first and end of what can't be read
  std::set<std::tuple<std::string, std::string, std::uint32_t>> heard_, unheard_;  ///< uid, detector, stream
  std::int64_t committed_ns_ = 0, held_checked_ns_ = 0;
  bool cursors_stuck_ = false;                    ///< the disk was full at the last try
  std::uint64_t sent_end_ = 0;                    ///< one past the last record that was ever sent in this run
  std::optional<transport::SegmentRecord> next_;  ///< read, waits for credit
  std::optional<transport::SegmentRecord> again_;  ///< the same, of records that the log had
  SinkAbilities abilities_;
  HeldRecords held_;                       ///< beyond cursor_, and not sent
  std::string cannot_decode_;              ///< told in /readyz
  std::unique_ptr<ReceiptKeeper> keeper_;  ///< where receipts are waited for
  std::map<std::tuple<std::string, std::uint32_t, std::uint64_t>, std::uint64_t> acknowledged_up_to_;
};

}  // namespace ff::agent
