// SPDX-License-Identifier: Apache-2.0
#include "collector/publish/publisher.hpp"

#include <deque>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/unit/collector/envelope_samples.hpp"

namespace ff::collector {
namespace {

using std::chrono::milliseconds;

/// A log that does what the test says: takes or refuses, delivers or fails.
class ScriptedLog final : public transport::LogWriter {
 public:
  std::optional<Error> refuse_with, fail_with;
  std::vector<std::string> taken;

  Status produce(transport::Topic, std::uint32_t, std::string_view, Payload value,
                 Delivered delivered) override {
    if (refuse_with) return *refuse_with;
    taken.emplace_back(as_text(value.bytes()));
    reports_.push_back(std::move(delivered));
    return {};
  }
  void poll(std::chrono::nanoseconds) override {
    for (auto& delivered : std::exchange(reports_, {}))
      delivered(fail_with ? Result<transport::LogPosition>(*fail_with)
                          : Result<transport::LogPosition>(transport::LogPosition{0, 1}));
  }
  Status flush(std::chrono::nanoseconds) override { return {}; }
  Result<std::uint32_t> partition_count(transport::Topic) override { return 1u; }
  std::string trouble() const override { return ""; }

 private:
  std::deque<Delivered> reports_;
};

struct PublisherFixture {
  service::Metrics registry{"collector"};
  CollectorMetrics metrics{registry};
  ScriptedLog log;
  Publisher publisher{log, metrics};
  std::vector<std::uint64_t> published, refused;

  PublisherFixture() {
    publisher.on_published = [this](const auto&, const auto& id) { published.push_back(id.sequence()); };
    publisher.on_refused = [this](const auto&, const auto& id, const Error&) {
      refused.push_back(id.sequence());
    };
  }
  void publish(std::uint64_t sequence) {
    foreframe::wire::RecordId id;
    id.set_sequence(sequence);
    publisher.publish({}, {"peer", id, Payload::copy(as_bytes(std::to_string(sequence)))});
  }
};

}  // namespace

TEST_CASE("a record is acknowledged by its delivery report and not before", "[publish]") {
  PublisherFixture f;
  f.publish(1);
  CHECK(f.published.empty());
  CHECK(f.publisher.outstanding() == 1);
  f.publisher.poll(milliseconds(0));
  CHECK(f.published == std::vector<std::uint64_t>{1});
  CHECK(f.publisher.outstanding() == 0);
}

TEST_CASE("a log that takes nothing blocks, keeps every record, and goes on in order", "[publish]") {
  for (const Errc why : {Errc::queue_full, Errc::disk_full, Errc::io_error}) {
    PublisherFixture f;
    f.log.refuse_with = Error{why, "not now"};
    for (std::uint64_t n = 1; n <= 3; ++n) f.publish(n);
    f.publisher.poll(milliseconds(0));
    CHECK(f.publisher.blocked());
    CHECK(f.publisher.trouble() == "not now");
    CHECK(f.metrics.log_blocked.value() == 1);
    CHECK(f.publisher.drain(milliseconds(1)).error().code == Errc::timed_out);
    f.log.refuse_with.reset();
    CHECK(f.publisher.drain(milliseconds(500)).ok());
    CHECK(f.published == std::vector<std::uint64_t>{1, 2, 3});
    CHECK_FALSE(f.publisher.blocked());
    CHECK(f.publisher.trouble().empty());
  }
}

TEST_CASE("a failed delivery is produced again and never acknowledged in between", "[publish]") {
  PublisherFixture f;
  f.log.fail_with = Error{Errc::timed_out, "no report"};
  f.publish(1);
  f.publisher.poll(milliseconds(0));
  f.publisher.poll(milliseconds(0));
  CHECK(f.published.empty());
  CHECK(f.publisher.outstanding() == 1);
  CHECK(f.metrics.delivery_retries.value() >= 1);
  f.log.fail_with.reset();
  CHECK(f.publisher.drain(milliseconds(500)).ok());
  CHECK(f.published == std::vector<std::uint64_t>{1});
  CHECK(f.log.taken.size() >= 2);
}

TEST_CASE("a record that the log will never take is refused to its agent", "[publish]") {
  PublisherFixture f;
  f.log.refuse_with = Error{Errc::too_large, "2 GiB"};
  f.publish(1);
  f.log.refuse_with.reset();
  f.log.fail_with = Error{Errc::too_large, "broker says no"};
  f.publish(2);
  f.publisher.poll(milliseconds(0));
  CHECK(f.refused == std::vector<std::uint64_t>{1, 2});
  CHECK(f.published.empty());
  CHECK_FALSE(f.publisher.blocked());
}

}  // namespace ff::collector
