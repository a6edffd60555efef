// SPDX-License-Identifier: Apache-2.0
#include "collector/publish/publisher.hpp"

#include <algorithm>
#include <thread>
#include <utility>

#include "common/base/clock.hpp"

namespace ff::collector {
namespace {

using std::chrono::nanoseconds;

constexpr nanoseconds kRetryInterval = std::chrono::milliseconds(10);

/// No later try can help; everything else (queue, disk, broker) may change.
bool is_final(Errc code) {
  return code == Errc::too_large || code == Errc::invalid_argument || code == Errc::out_of_range;
}

}  // namespace

void Publisher::publish(Admitted place, transport::ReceivedEnvelope received) {
  ++outstanding_;
  auto job = std::make_shared<Job>(Job{std::move(place), std::move(received)});
  if (blocked() || !hand_over(job)) waiting_.push_back(std::move(job));
}

/// False when it has to wait.
bool Publisher::hand_over(const JobHandle& job) {
  const Status taken =
      log_.produce(job->place.topic, job->place.partition, job->place.key, job->received.envelope,
                   [this, job](const Result<transport::LogPosition>& outcome) { delivered(job, outcome); });
  if (taken.ok()) return true;
  if (is_final(taken.error().code)) {
    finish(job, &taken.error());
    return true;
  }
  waiting_reason_ = taken.error().message;
  return false;
}

void Publisher::delivered(const JobHandle& job, const Result<transport::LogPosition>& outcome) {
  if (outcome.ok()) return finish(job, nullptr);
  if (is_final(outcome.error().code)) return finish(job, &outcome.error());
  metrics_.delivery_retries.add();
  waiting_reason_ = outcome.error().message;
  waiting_.push_back(job);
}

void Publisher::finish(const JobHandle& job, const Error* refused) {
  --outstanding_;
  const transport::ReceivedEnvelope& received = job->received;
  if (refused != nullptr) {
    metrics_.refused(std::string(to_string(refused->code)));
    if (on_refused) on_refused(received.peer, received.id, *refused);
    return;
  }
  metrics_.published_records.add();
  metrics_.published_bytes.add(static_cast<double>(received.envelope.size()));
  if (on_published) on_published(received.peer, received.id);
}

void Publisher::poll(nanoseconds timeout) {
  log_.poll(timeout);
  while (!waiting_.empty()) {
    const JobHandle job = waiting_.front();
    if (!hand_over(job)) break;
    waiting_.pop_front();
  }
  metrics_.log_blocked.set(blocked() ? 1 : 0);
}

Status Publisher::drain(nanoseconds timeout) {
  const std::int64_t deadline_ns = monotonic_now_ns() + timeout.count();
  while (outstanding_ > 0) {
    if (monotonic_now_ns() >= deadline_ns)
      return fail(Errc::timed_out, std::to_string(outstanding_) + " records have no delivery report");
    poll(kRetryInterval);
    if (blocked()) std::this_thread::sleep_for(kRetryInterval);
  }
  return {};
}

}  // namespace ff::collector
