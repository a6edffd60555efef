// SPDX-License-Identifier: Apache-2.0
#include "common/transport/kafka_damage.hpp"

#include <algorithm>
#include <utility>

namespace ff::transport {
namespace {

constexpr int kTriesAtOnce = 3;  ///< those that follow wait, so that a damaged disk isn't read all the time
constexpr int kSilentPatience = 5;  ///< that many times its patience is enough for fewer tries
constexpr std::int64_t kTryIntervalNs = 100'000'000;

}  // namespace

KafkaDamage::Verdict KafkaDamage::bad(std::int64_t expected, std::int64_t end, std::int64_t now_ns) {
  if (!is_active()) {
    begin(expected, now_ns);
    return Verdict::drop;
  }
  if (is_waiting()) return Verdict::drop;  // still of the fetch before
  switch (step_) {
    case Step::look: low_ = place_; return look_ahead(end, now_ns);
    case Step::check: forget(); return Verdict::skip;
    default: return fail_again(end, now_ns);
  }
}

KafkaDamage::Verdict KafkaDamage::came(std::int64_t offset, std::int64_t end, std::int64_t now_ns) {
  if (is_waiting()) return Verdict::drop;
  if (step_ == Step::look) {
    high_ = place_;
    resume_ = offset;
    return look_ahead(end, now_ns);
  }
  if (offset > first_ && !limits_.has_holes) return bad(first_, end, now_ns);
  forget();
  return Verdict::take;
}

KafkaDamage::Verdict KafkaDamage::nothing(std::int64_t end, std::int64_t now_ns) {
  if (is_waiting() || now_ns - asked_ns_ < limits_.answer_timeout.count()) return Verdict::drop;
  return bad(first_, end, now_ns);
}

std::optional<std::int64_t> KafkaDamage::take_fetch(std::int64_t now_ns) {
  if (!is_active() || !fetch_due_ || now_ns < due_ns_) return std::nullopt;
  fetch_due_ = false;
  asked_ns_ = now_ns;
  return place_;
}

void KafkaDamage::fetch(std::int64_t place, std::int64_t due_ns) {
  place_ = place;
  due_ns_ = due_ns;
  fetch_due_ = true;
}

void KafkaDamage::begin(std::int64_t expected, std::int64_t now_ns) {
  step_ = Step::again;
  first_ = expected;
  began_ns_ = now_ns;
  tries_ = 0;
  fetch(first_, now_ns);
}

KafkaDamage::Verdict KafkaDamage::fail_again(std::int64_t end, std::int64_t now_ns) {
  ++tries_;
  const std::int64_t passed_ns = now_ns - began_ns_, patience_ns = limits_.patience.count();
  const bool was_patient =
      tries_ >= limits_.tries ? passed_ns >= patience_ns : passed_ns >= kSilentPatience * patience_ns;
  if (!was_patient || end <= first_) {
    fetch(first_, now_ns + (tries_ < kTriesAtOnce ? 0 : kTryIntervalNs));
    return Verdict::drop;
  }
  step_ = Step::look;
  low_ = first_;
  high_.reset();
  step_size_ = 1;
  return look_ahead(end, now_ns);
}

/// Never as far as beyond the log's end, which is good when it answers. When even that does not, nobody answers:
/// all begins again, and nothing is skipped.
KafkaDamage::Verdict KafkaDamage::look_ahead(std::int64_t end, std::int64_t now_ns) {
  if (!high_) {
    if (low_ >= end) {
      begin(first_, now_ns);
      return Verdict::drop;
    }
    fetch(std::min(first_ + step_size_, end), now_ns);
    step_size_ *= 2;
  } else if (*high_ - low_ > 1) {
    fetch(low_ + (*high_ - low_) / 2, now_ns);
  } else {
    step_ = Step::check;
    fetch(first_, now_ns);
  }
  return Verdict::drop;
}

}  // namespace ff::transport
