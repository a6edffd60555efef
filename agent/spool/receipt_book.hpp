// SPDX-License-Identifier: Apache-2.0
//
// ReceiptBook: which of the spool's records still wait for receipts, how far the spool may be freed, what is to
// be sent again.
//
// Data path  spool headers > [ReceiptBook] < receipts and replay requests from the collector
// Rules      docs/formats/receipts.md: windows are receipted as a whole, by every destination.
// Pure logic: records are noted in the order of the spool, time comes in with the calls. Memory: at most
// `entries_max` windows, start and end records, kReceiptEntryBytes each; what lies in the spool beyond them is
// noted when there is room again, and asked for then. One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "common/wire/envelope.hpp"
#include "common/wire/link.pb.h"
#include "common/wire/receipts.pb.h"

namespace ff::agent {

/// An entry with the nodes of the four containers that know it, rounded up.
inline constexpr std::uint64_t kReceiptEntryBytes = 384;

struct ReceiptBookOptions {
  std::vector<std::string> destinations{"foreframe-sink"};  ///< whose receipts free a record; at most 32
  std::chrono::nanoseconds timeout = std::chrono::minutes(10);
  std::uint64_t entries_max = 131072;
};

/// What a receipt is about: a window, or a stream's start or end records.
struct RecordGroup {
  static constexpr std::uint64_t kStart = UINT64_MAX - 1, kEnd = UINT64_MAX;
  std::string series_uid;  ///< 16 bytes
  std::string detector;
  std::uint32_t stream = 0;
  std::uint64_t window = 0;  ///< or kStart, kEnd
  friend auto operator<=>(const RecordGroup&, const RecordGroup&) = default;
};
[[nodiscard]] RecordGroup group_of(const wire::EnvelopeHeader& header);

/// Where a group's records lie in the spool, among others.
struct GroupPlace {
  RecordGroup group;
  std::uint64_t first_offset = 0, last_offset = 0;
  std::string bad_news;  ///< why a destination will never store it; empty: it is stored
};

class ReceiptBook {
 public:
  explicit ReceiptBook(ReceiptBookOptions options) : options_(std::move(options)) {}

  [[nodiscard]] bool has_room() const noexcept { return places_.size() < options_.entries_max; }
  /// A record of the spool, in order of offsets. `may_be_receipted`: it was sent before now, so that news of it may
  /// have passed unheard.
  void note(const RecordGroup& group, std::uint64_t offset, std::int64_t now_ns, bool may_be_receipted);

  /// The groups that have all their receipts by this one; they are forgotten here.
  [[nodiscard]] std::vector<GroupPlace> settle(const foreframe::wire::Receipt& receipt);
  /// Puts what the request names, and is here, in front of what is overdue. How many groups those are.
  std::size_t request(const foreframe::wire::ReplayRequest& request, std::int64_t now_ns);
  /// Its records were sent again and did not arrive: to be sent once more, at once.
  void lost_on_the_way(const RecordGroup& group);
  /// The next group to send again, if its records are all below `acknowledged`. Its pause is doubled.
  [[nodiscard]] std::optional<GroupPlace> next_resend(std::int64_t now_ns, std::uint64_t acknowledged);

  /// Everything below may be freed, as far as receipts go; `noted_end`: one past the last noted record.
  [[nodiscard]] std::uint64_t free_end(std::uint64_t noted_end) const noexcept;
  [[nodiscard]] std::size_t waiting() const noexcept { return places_.size(); }

  /// What the collector should be asked about now; empty: nothing. Each group is asked about once, and again
  /// before it is sent again; after ask_again() everything.
  [[nodiscard]] std::vector<foreframe::wire::RecordSet> take_questions();
  void ask_again();

 private:
  using Stream = std::tuple<std::string, std::string, std::uint32_t>;  // uid, detector, stream
  struct Entry {
    std::uint64_t first_offset = 0, last_offset = 0;
    std::uint32_t receipts = 0;  ///< bit per destination
    std::uint32_t repeats = 0;
    std::int64_t due_ns = 0, sent_again_ns = 0;
    bool asked = false, requested = false;
    std::string bad_news;
  };
  using Entries = std::map<std::uint64_t, Entry>;  // by window, kStart, kEnd
  using Streams = std::map<Stream, Entries>;
  struct Place {
    Streams::iterator stream;
    std::uint64_t window;
  };

  [[nodiscard]] Entry& entry_at(const Place& place) { return place.stream->second.at(place.window); }
  [[nodiscard]] GroupPlace describe(const Place& place, const Entry& entry) const;
  void set_due(Entry& entry, std::int64_t due_ns);
  void request_one(Entry& entry, std::int64_t now_ns, std::size_t& count);
  template <typename Visit>
  void visit(const foreframe::wire::RecordSet& records, Visit&& visit);

  ReceiptBookOptions options_;
  Streams streams_;
  std::map<std::uint64_t, Place> places_;                 ///< by first offset
  std::set<std::pair<std::int64_t, std::uint64_t>> due_;  ///< time, first offset
  std::set<std::uint64_t> requested_;                     ///< first offsets
  std::vector<std::uint64_t> questions_;                  ///< first offsets
  std::set<Stream> unheard_;  ///< streams whose news were not asked for on this connection
};

}  // namespace ff::agent
