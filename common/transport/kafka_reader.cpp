// SPDX-License-Identifier: Apache-2.0
//
// Opening and closing a Kafka reader, its poll loop, and what librdkafka calls in it.
#include "common/transport/kafka_reader.hpp"

#include <algorithm>
#include <utility>

#include "common/base/clock.hpp"

namespace ff::transport {
namespace {

using std::chrono::nanoseconds;

constexpr std::int64_t kDamageWaitNs = 50'000'000;  ///< until it is asked again what is due

/// Common to members of a group and followers.
KafkaSettings consumer_settings(const std::string& brokers, const std::string& group) {
  return {{"bootstrap.servers", brokers},
          {"client.id", "foreframe-reader"},
          {"group.id", group},
          {"enable.auto.commit", "false"},
          {"enable.auto.offset.store", "false"},
          {"auto.offset.reset", "error"},  // a gap must be seen, not jumped over
          {"partition.assignment.strategy", "cooperative-sticky"},
          {"enable.partition.eof", "true"},
          {"check.crcs", "true"},  // what changed on the way is fetched again, see kafka_reader_damage.cpp
          {"allow.auto.create.topics", "false"},
          {"topic.metadata.refresh.interval.ms", "2000"},  // finds topics that are made later
          {"socket.timeout.ms", "10000"},                  // a frozen broker is left after so long
          {"fetch.wait.max.ms", "50"},
          {"fetch.message.max.bytes", "16777216"},
          {"fetch.max.bytes", "67108864"},
          {"queued.max.messages.kbytes", "131072"},
          {"statistics.interval.ms", "1000"},
          {"log.connection.close", "false"}};
}

}  // namespace

Status KafkaReader::connect(const LogOptions& options, const LogUrl& url, KafkaSettings settings,
                            const std::vector<Topic>& topics) {
  options_ = options;
  brokers_ = url.brokers;
  patience_ = 2 * options.delivery_timeout;  // by then its writer has given a set up and sent it anew
  for (const Topic topic : topics) {
    FF_ASSIGN(names_[topic], topic_name(options, topic));
    topics_[names_[topic]] = topic;
  }
  FF_ASSIGN(KafkaConf conf, make_conf(settings, options.kafka));
  rd_kafka_conf_set_opaque(conf.get(), this);
  rd_kafka_conf_set_rebalance_cb(conf.get(), &on_rebalance);
  rd_kafka_conf_set_error_cb(conf.get(), &on_error);
  rd_kafka_conf_set_stats_cb(conf.get(), &on_statistics);
  consumer_ = std::make_shared<KafkaConsumer>();
  FF_ASSIGN(consumer_->client, make_client(RD_KAFKA_CONSUMER, std::move(conf)));
  rd_kafka_poll_set_consumer(consumer_->client.get());
  return {};
}

Status KafkaReader::open(const LogOptions& options, const LogUrl& url, const std::string& group,
                         const std::vector<Topic>& topics) {
  KafkaSettings settings = consumer_settings(url.brokers, group);
  settings.emplace_back("session.timeout.ms", std::to_string(to_milliseconds(options.session_timeout)));
  if (!options.member.empty()) settings.emplace_back("group.instance.id", options.member);
  FF_TRY(connect(options, url, std::move(settings), topics));
  const KafkaPartitions wanted(rd_kafka_topic_partition_list_new(static_cast<int>(topics.size())));
  for (const auto& [name, topic] : topics_)
    rd_kafka_topic_partition_list_add(wanted.get(), name.c_str(), RD_KAFKA_PARTITION_UA);
  const auto code = rd_kafka_subscribe(consumer_->client.get(), wanted.get());
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return kafka_error(code, "subscribing");
  return {};
}

/// librdkafka wants a group's name even for partitions that are taken without one; nothing is committed to it.
Status KafkaReader::follow(const LogOptions& options, const LogUrl& url, const std::string& name,
                           const std::vector<Topic>& topics) {
  follows_ = true;
  return connect(options, url, consumer_settings(url.brokers, "foreframe-follower-" + name), topics);
}

KafkaReader::~KafkaReader() {
  on_assigned = nullptr;
  on_revoked = nullptr;
  held_.reset();
  partitions_.clear();
  if (consumer_ && consumer_->client) rd_kafka_consumer_close(consumer_->client.get());
}

Result<std::optional<LogRecord>> KafkaReader::poll(nanoseconds timeout) {
  const std::int64_t deadline_ns = monotonic_now_ns() + timeout.count();
  for (;;) {
    if (monotonic_now_ns() >= next_housekeeping_ns_) keep_house();
    if (follows_) find_partitions();
    if (meets_damage_) FF_TRY(try_damaged());
    if (held_) {
      FF_ASSIGN(auto record, take(std::exchange(held_, nullptr)));
      if (record) return record;
    }
    const std::int64_t left_ns = std::max<std::int64_t>(deadline_ns - monotonic_now_ns(), 0);
    const std::int64_t wait_ns = meets_damage_ ? std::min(left_ns, kDamageWaitNs) : left_ns;
    rd_kafka_message_t* const raw =
        rd_kafka_consumer_poll(consumer_->client.get(), to_milliseconds(nanoseconds(wait_ns)));
    if (raw == nullptr) {
      if (left_ns == 0) return std::optional<LogRecord>{};
      continue;
    }
    FF_ASSIGN(auto record,
              take(Message(raw, [keep = consumer_](rd_kafka_message_t* m) { rd_kafka_message_destroy(m); })));
    if (record) return record;
  }
}

void KafkaReader::on_error(rd_kafka_t* /*client*/, int code, const char* reason, void* opaque) {
  auto* const self = static_cast<KafkaReader*>(opaque);
  if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
    self->trouble_ = "no broker answers at " + self->brokers_;
  } else if (code != RD_KAFKA_RESP_ERR__TRANSPORT) {
    self->trouble_ = std::string("kafka: ") + reason;
  }
}

int KafkaReader::on_statistics(rd_kafka_t* /*client*/, char* json, std::size_t bytes, void* opaque) {
  auto* const self = static_cast<KafkaReader*>(opaque);
  const bool connected = std::string_view(json, bytes).find("\"state\":\"UP\"") != std::string_view::npos;
  if (connected && self->trouble_.starts_with("no broker")) self->trouble_.clear();
  return 0;
}

Result<std::unique_ptr<LogReader>> open_kafka_reader(const LogOptions& options, const LogUrl& url,
                                                     const std::string& group,
                                                     const std::vector<Topic>& topics) {
  auto reader = std::make_unique<KafkaReader>();
  FF_TRY(reader->open(options, url, group, topics));
  return std::unique_ptr<LogReader>(std::move(reader));
}

Result<std::unique_ptr<LogReader>> open_kafka_follower(const LogOptions& options, const LogUrl& url,
                                                       const std::string& name,
                                                       const std::vector<Topic>& topics) {
  auto reader = std::make_unique<KafkaReader>();
  FF_TRY(reader->follow(options, url, name, topics));
  return std::unique_ptr<LogReader>(std::move(reader));
}

}  // namespace ff::transport
