// SPDX-License-Identifier: Apache-2.0
//
// ReceiptKeeper: the second cursor of the spool. Behind the sender, it keeps what the log has until every
// destination has given its receipt, sends again what is asked for or overdue, and quarantines what no sink
// will ever store.
//
// Data path  spool ▸ send ▸ log … sink ▸ receipts ▸ collector ▸ [ReceiptKeeper] ▸ spool is freed
// It learns what the spool holds by walking through it, headers only, also the backlog of earlier runs: there is
// no index on disk that could disagree with the records. The decisions are in receipt_book.hpp. One thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "agent/agent_metrics.hpp"
#include "agent/spool/quarantine.hpp"
#include "agent/spool/receipt_book.hpp"
#include "agent/spool/resend_budget.hpp"
#include "agent/spool/spool_waits.hpp"
#include "common/transport/link.hpp"
#include "common/transport/segment_log.hpp"

namespace ff::agent {

class ReceiptKeeper {
 public:
  /// `walker`: the spool's reader "free", whose cursor is moved here; `again`: another one, for reading anywhere.
  ReceiptKeeper(ReceiptBookOptions options, double resend_share,
                std::unique_ptr<transport::SegmentReader> walker,
                std::unique_ptr<transport::SegmentReader> again, Quarantine& quarantine, SpoolWaits& waits,
                AgentMetrics& metrics);

  /// Notes some of the records that it has not seen. `sent_end`: one past the last record that was ever sent in
  /// this run; what lies below may have been receipted already. True while there is more to note at once.
  [[nodiscard]] Result<bool> walk(std::uint64_t sent_end);
  void on_news(const foreframe::wire::ReceiptNews& news);
  /// Another collector: it must be asked about everything, and a group that is half sent begins again.
  void on_welcome();
  /// The record was sent again and is not acknowledged, now that the connection is another one.
  void lost_on_the_way(const wire::EnvelopeHeader& header) { book_.lost_on_the_way(group_of(header)); }
  /// Asks the collector what is to be asked, not more often than is useful.
  void ask(transport::LinkSender& link);

  /// False for a record that must not go now, `payload`: its beginning. Its whole group waits then.
  using MayGo = std::function<bool(const wire::EnvelopeHeader& header, ByteSpan payload)>;
  /// A record to be sent again now, if one is due and the budget allows. All below `acknowledged` are in the log.
  [[nodiscard]] std::optional<transport::SegmentRecord> next_again(std::uint64_t acknowledged,
                                                                   const MayGo& may_go);
  [[nodiscard]] ResendBudget& budget() noexcept { return budget_; }

  /// Moves the cursor: everything that is acknowledged and receipted may be freed. Durable.
  [[nodiscard]] Status commit(std::uint64_t acknowledged);

 private:
  void quarantine(const GroupPlace& place);
  [[nodiscard]] bool may_go_whole(const GroupPlace& place, const MayGo& may_go);
  /// The next record of `place` at or behind the reader; nothing when there is none left.
  [[nodiscard]] std::optional<transport::SegmentRecord> read_of(const GroupPlace& place);

  ReceiptBook book_;
  ResendBudget budget_;
  std::unique_ptr<transport::SegmentReader> walker_, again_;
  Quarantine& quarantine_;
  SpoolWaits& waits_;
  AgentMetrics& metrics_;
  std::int64_t asked_ns_ = 0;
  std::optional<GroupPlace> resending_;  ///< `again_` stands among its records
};

}  // namespace ff::agent
