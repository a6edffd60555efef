// SPDX-License-Identifier: Apache-2.0
//
// KafkaDamage: one partition's way past bytes that cannot be read. Damage on the way heals when the place is fetched
// again; damage on the broker's disk does not, and then the first record behind it is looked for. Decides only; the
// fetching is the reader's. Private to common/transport.
//
// Steps      again: the same place, until `tries` and `patience` are used up
//            look:  places ahead in growing steps, then halving between the last bad and the first good one
//            check: the first place once more; only if it is still bad is anything skipped
// librdkafka 2.0.2 after a failed CRC goes on at a wrong byte of the same answer: nothing that follows it is believed,
// and each step begins with a fetch of its own.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace ff::transport {

struct KafkaDamageLimits {
  std::chrono::nanoseconds patience = std::chrono::seconds(2);
  int tries = 8;
  std::chrono::nanoseconds answer_timeout =
      std::chrono::seconds(3);  ///< a fetch without answer counts as bad
  bool has_holes = false;       ///< compacted: an offset that is not there is no loss
};

class KafkaDamage {
 public:
  enum class Verdict {
    take,  ///< all is well: use what came
    drop,  ///< not to be used; it was the answer to a look ahead, or came from behind the damage
    skip  ///< nothing to use; records [gap_first(), gap_end()) are lost to this reader, who goes on behind them
  };

  explicit KafkaDamage(KafkaDamageLimits limits) noexcept : limits_(limits) {}

  [[nodiscard]] bool is_active() const noexcept { return step_ != Step::none; }
  /// The offset that is being fetched from. Only while active.
  [[nodiscard]] std::int64_t place() const noexcept { return place_; }
  [[nodiscard]] std::int64_t gap_first() const noexcept { return first_; }
  [[nodiscard]] std::int64_t gap_end() const noexcept { return resume_; }

  /// What came is damaged, or is not the record that should come next. `expected`: that record's offset; `end`: of
  /// the log as far as known.
  [[nodiscard]] Verdict bad(std::int64_t expected, std::int64_t end, std::int64_t now_ns);
  /// A record, or the log's end, of this offset came. Only while active.
  [[nodiscard]] Verdict came(std::int64_t offset, std::int64_t end, std::int64_t now_ns);
  /// Nothing came. Only while active.
  [[nodiscard]] Verdict nothing(std::int64_t end, std::int64_t now_ns);

  /// Where to fetch from anew, when that is due. Asked after every verdict and from time to time.
  [[nodiscard]] std::optional<std::int64_t> take_fetch(std::int64_t now_ns);
  void forget() noexcept { step_ = Step::none; }

 private:
  enum class Step { none, again, look, check };

  [[nodiscard]] bool is_waiting() const noexcept { return fetch_due_; }
  void fetch(std::int64_t place, std::int64_t due_ns);
  Verdict fail_again(std::int64_t end, std::int64_t now_ns);
  Verdict look_ahead(std::int64_t end, std::int64_t now_ns);
  void begin(std::int64_t expected, std::int64_t now_ns);

  KafkaDamageLimits limits_;
  Step step_ = Step::none;
  std::int64_t first_ = 0;  ///< should come next
  std::int64_t place_ = 0;
  bool fetch_due_ = false;
  std::int64_t due_ns_ = 0;
  std::int64_t asked_ns_ = 0;
  std::int64_t began_ns_ = 0;
  int tries_ = 0;
  std::int64_t low_ = 0;                ///< bad
  std::optional<std::int64_t> high_{};  ///< good
  std::int64_t resume_ = 0;             ///< of the record that came from high_
  std::int64_t step_size_ = 1;
};

}  // namespace ff::transport
