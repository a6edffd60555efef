// SPDX-License-Identifier: Apache-2.0
#include "common/transport/kafka_handle.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <thread>

#include "common/base/clock.hpp"

namespace ff::transport {
namespace {

using NewTopic = KafkaOwned<rd_kafka_NewTopic_t, rd_kafka_NewTopic_destroy>;

constexpr int kBrokerDefaultReplication = -1;
constexpr std::uint64_t kBrokerRecordBytesMax = 1'000'000;  ///< what a broker with its defaults surely takes

struct MetadataFree {
  void operator()(const rd_kafka_metadata_t* metadata) const noexcept { rd_kafka_metadata_destroy(metadata); }
};

Status set_option(rd_kafka_NewTopic_t* topic, const char* name, const std::string& value) {
  const auto code = rd_kafka_NewTopic_set_config(topic, name, value.c_str());
  return code == RD_KAFKA_RESP_ERR_NO_ERROR ? Status{}
                                            : kafka_error(code, std::string("topic setting ") + name);
}

// A group's assignor evens out the number of partitions, whatever topics they are of: with as many of the small topic of
// series records as of blocks, one sink may be given all blocks and the other all series.
int partitions_of(Topic topic, const LogOptions& options) noexcept {
  return topic == Topic::series ? 1 : static_cast<int>(options.partitions);
}

Result<NewTopic> describe_topic(const std::string& name, Topic topic, const LogOptions& options) {
  std::array<char, 256> why{};
  NewTopic made(rd_kafka_NewTopic_new(name.c_str(), partitions_of(topic, options), kBrokerDefaultReplication,
                                      why.data(), why.size()));
  if (!made) return fail(Errc::invalid_argument, "topic " + name + ": " + why.data());
  if (topic_is_state(topic)) FF_TRY(set_option(made.get(), "cleanup.policy", "compact"));
  if (topic_is_kept_by_time(topic)) {
    const auto kept_ms = std::chrono::duration_cast<std::chrono::milliseconds>(options.kept_for).count();
    const std::uint64_t partition_bytes = options.kept_bytes_max / std::max(options.partitions, 1u);
    FF_TRY(set_option(made.get(), "cleanup.policy", "delete"));
    FF_TRY(set_option(made.get(), "retention.ms", std::to_string(kept_ms)));
    FF_TRY(set_option(made.get(), "retention.bytes", std::to_string(partition_bytes)));
  }
  const std::uint64_t record_max = options.record_bytes_max + kKafkaRecordOverheadBytes;
  if (record_max > kBrokerRecordBytesMax)
    FF_TRY(set_option(made.get(), "max.message.bytes", std::to_string(record_max)));
  return made;
}

}  // namespace

// Asking for all of them, not for ours by name, keeps brokers from making a missing one by themselves with
// their own defaults.
Result<std::map<std::string, std::uint32_t>> list_topics(rd_kafka_t* client,
                                                         std::chrono::nanoseconds timeout) {
  const rd_kafka_metadata_t* raw = nullptr;
  const auto code = rd_kafka_metadata(client, 1, nullptr, &raw, std::max(to_milliseconds(timeout), 1));
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    Error why = kafka_error(code, "asking for the list of topics");
    if (why.code == Errc::disconnected) why.code = Errc::timed_out;
    return why;
  }
  const std::unique_ptr<const rd_kafka_metadata_t, MetadataFree> metadata(raw);
  std::map<std::string, std::uint32_t> counts;
  for (int i = 0; i < raw->topic_cnt; ++i) {
    const rd_kafka_metadata_topic_t& topic = raw->topics[i];
    const auto has_leader = [](const rd_kafka_metadata_partition_t& p) { return p.leader >= 0; };
    if (topic.err != RD_KAFKA_RESP_ERR_NO_ERROR || topic.partition_cnt == 0) continue;
    if (std::all_of(topic.partitions, topic.partitions + topic.partition_cnt, has_leader))
      counts[topic.topic] = static_cast<std::uint32_t>(topic.partition_cnt);
  }
  return counts;
}

Status create_topics(rd_kafka_t* client, const std::vector<std::pair<std::string, Topic>>& missing,
                     const LogOptions& options, std::chrono::nanoseconds timeout) {
  std::vector<NewTopic> topics;
  std::vector<rd_kafka_NewTopic_t*> raw;
  for (const auto& [name, topic] : missing) {
    FF_ASSIGN(NewTopic made, describe_topic(name, topic, options));
    raw.push_back(made.get());
    topics.push_back(std::move(made));
  }
  const KafkaQueue queue(rd_kafka_queue_new(client));
  rd_kafka_CreateTopics(client, raw.data(), raw.size(), nullptr, queue.get());
  const KafkaEvent event(rd_kafka_queue_poll(queue.get(), std::max(to_milliseconds(timeout), 1)));
  if (!event) return fail(Errc::timed_out, "no broker made the missing topics in time");
  if (const auto code = rd_kafka_event_error(event.get()); code != RD_KAFKA_RESP_ERR_NO_ERROR)
    return kafka_error(code, "making topics");
  const auto* result = rd_kafka_event_CreateTopics_result(event.get());
  std::size_t count = 0;
  const auto* const* outcomes = rd_kafka_CreateTopics_result_topics(result, &count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto code = rd_kafka_topic_result_error(outcomes[i]);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) continue;
    return kafka_error(code, std::string("making topic ") + rd_kafka_topic_result_name(outcomes[i]));
  }
  return {};
}

int to_milliseconds(std::chrono::nanoseconds duration) noexcept {
  const auto count = std::chrono::ceil<std::chrono::milliseconds>(duration).count();
  return static_cast<int>(std::clamp<std::int64_t>(count, 0, std::numeric_limits<int>::max()));
}

Error kafka_error(rd_kafka_resp_err_t code, const std::string& what) {
  Errc errc = Errc::io_error;
  switch (code) {
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT: errc = Errc::timed_out; break;
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__RESOLVE: errc = Errc::disconnected; break;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE: errc = Errc::too_large; break;
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART: errc = Errc::not_found; break;
    case RD_KAFKA_RESP_ERR__QUEUE_FULL: errc = Errc::queue_full; break;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
    case RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID: errc = Errc::refused; break;
    default: break;
  }
  return {errc, "kafka: " + what + ": " + rd_kafka_err2str(code)};
}

Result<KafkaConf> make_conf(const KafkaSettings& ours, const std::map<std::string, std::string>& operators) {
  KafkaConf conf(rd_kafka_conf_new());
  std::array<char, 256> why{};
  const auto set = [&](const std::string& name, const std::string& value) -> Status {
    if (rd_kafka_conf_set(conf.get(), name.c_str(), value.c_str(), why.data(), why.size()) ==
        RD_KAFKA_CONF_OK)
      return {};
    return fail(Errc::config_error, "kafka setting " + name + ": " + why.data());
  };
  for (const auto& [name, value] : ours) FF_TRY(set(name, value));
  for (const auto& [name, value] : operators) FF_TRY(set(name, value));
  return conf;
}

Result<KafkaClient> make_client(rd_kafka_type_t type, KafkaConf conf) {
  std::array<char, 256> why{};
  KafkaClient client(rd_kafka_new(type, conf.get(), why.data(), why.size()));
  if (!client) return fail(Errc::config_error, std::string("kafka client: ") + why.data());
  static_cast<void>(conf.release());  // the client owns it now
  return client;
}

Result<std::map<std::string, std::uint32_t>> ensure_topics(
    rd_kafka_t* client, const std::vector<std::pair<std::string, Topic>>& topics, const LogOptions& options,
    std::chrono::nanoseconds timeout) {
  const std::int64_t deadline_ns = monotonic_now_ns() + timeout.count();
  const auto left = [&] { return std::chrono::nanoseconds(deadline_ns - monotonic_now_ns()); };
  bool created = false;
  for (;;) {
    FF_ASSIGN(auto counts, list_topics(client, left()));
    std::vector<std::pair<std::string, Topic>> missing;
    for (const auto& topic : topics)
      if (!counts.contains(topic.first)) missing.push_back(topic);
    if (missing.empty()) return counts;
    if (left().count() <= 0)
      return fail(Errc::timed_out, "kafka: topic " + missing[0].first + " got no leader in time");
    if (!created) FF_TRY(create_topics(client, missing, options, left()));
    created = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

}  // namespace ff::transport
