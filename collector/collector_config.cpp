// SPDX-License-Identifier: Apache-2.0
#include "collector/collector_config.hpp"

#include "common/base/units.hpp"

namespace ff::collector {

using namespace std::chrono_literals;

void describe(service::ConfigSchema& schema, CollectorConfig& c) {
  schema.section("collector", "Who this collector is.");
  schema.text("collector.name", &c.name, "Told to agents; unique at the facility.");

  schema.section("link", "Where agents connect.");
  schema.text("link.listen", &c.link_listen,
              "ZeroMQ address. Loopback unless you say otherwise: whoever can connect can write to the log.");
  schema.size("link.credit", &c.link_credit_bytes, 1 << 20, 64ull << 30,
              "Unacknowledged bytes that one agent may have under way.");
  schema.size("link.credit_total", &c.link_credit_total_bytes, 1 << 20, 1ull << 40,
              "The same for all agents together: each gets at most an equal share of it.");
  schema.size("link.envelope_max", &c.link_envelope_bytes_max, 1 << 20, 1ull << 30,
              "Largest envelope taken.");
  schema.integer("link.agents_max", &c.link_agents_max, 1, 65536, "Agents connected at one time.");
  schema.duration("link.heartbeat", &c.link_heartbeat, 10ms, 1min, "Interval of heartbeats.");
  schema.duration("link.agent_timeout", &c.link_agent_timeout, 100ms, 1h,
                  "An agent that is silent for so long is forgotten.");
  schema.duration("link.gap_timeout", &c.link_gap_timeout, 100ms, 1h,
                  "Records that were jumped over and don't come for so long are asked for again.");

  schema.section("log", "Where records go; an agent may free a record when the log has it.");
  schema.text("log.url", &c.log_url, "kafka://host:port[,host:port] or log:///path.");
  schema.text("log.topic_prefix", &c.log_topic_prefix,
              "Facility and beamline in front of the topics' names.");
  schema.integer("log.partitions", &c.log_partitions, 1, 4096,
                 "kafka: partitions of topics that this collector makes; an existing topic keeps its own.");
  schema.size("log.record_max_size", &c.log_record_bytes_max, 10'000, 1ull << 30,
              "kafka: larger envelopes travel as chunk sets. A broker with its defaults takes 1 MB.");
  schema.size("log.queue_max", &c.log_queue_bytes, 1 << 20, 256ull << 30,
              "kafka: bytes handed over that have no delivery report yet.");
  schema.size("log.size_max", &c.log_bytes_max, 1 << 20, 1ull << 60,
              "log: most disk of one topic. A full log takes nothing until sinks have read.");
  schema.duration("log.delivery_timeout", &c.log_delivery_timeout, 1s, 24h,
                  "kafka: a record without a report for so long is produced again.");
  schema.text_list("log.kafka", &c.log_kafka, "Further librdkafka settings, each \"key=value\".");

  schema.section("receipts", "What sinks say about records, and agents ask for.");
  schema.size(
      "receipts.table_max", &c.receipts_table_bytes, 1 << 20, 1ull << 40,
      "Memory for what is known of receipts; beyond it the oldest stream is forgotten and sent again.");
  schema.duration("receipts.kept_for", &c.receipts_kept_for, 1min, 24h * 3650,
                  "kafka: age limit of topics receipts and dead, where this collector makes them.");
  schema.size("receipts.kept_max", &c.receipts_kept_bytes, 1 << 20, 1ull << 50,
              "kafka: size limit of each of them.");

  schema.section("stop", "A graceful stop.");
  schema.duration("stop.drain_timeout", &c.stop_drain_timeout, 0s, 1h,
                  "Wait so long for delivery reports of what was taken; agents keep the rest.");
}

transport::LinkReceiverOptions CollectorConfig::link_options() const {
  transport::LinkReceiverOptions options;
  options.collector = name;
  options.listen = link_listen;
  options.credit_bytes = link_credit_bytes;
  options.credit_total_bytes = link_credit_total_bytes;
  options.envelope_bytes_max = link_envelope_bytes_max;
  options.agents_max = static_cast<std::uint32_t>(link_agents_max);
  options.heartbeat = link_heartbeat;
  options.agent_timeout = link_agent_timeout;
  return options;
}

Result<transport::LogOptions> CollectorConfig::log_options() const {
  transport::LogOptions options;
  options.url = log_url;
  options.topic_prefix = log_topic_prefix;
  options.partitions = static_cast<std::uint32_t>(log_partitions);
  options.record_bytes_max = log_record_bytes_max;
  options.queue_bytes = log_queue_bytes;
  options.log_bytes_max = log_bytes_max;
  options.delivery_timeout = log_delivery_timeout;
  options.kept_for = receipts_kept_for;
  options.kept_bytes_max = receipts_kept_bytes;
  for (const std::string& entry : log_kafka) {
    const auto equals = entry.find('=');
    if (equals == 0 || equals == std::string::npos)
      return fail(Errc::config_error, "log.kafka: \"" + entry + "\" is not of the form \"key=value\"");
    options.kafka[entry.substr(0, equals)] = entry.substr(equals + 1);
  }
  return options;
}

Result<std::string> check(const CollectorConfig& config) {
  FF_TRY([&]() -> Status {
    const auto options = config.log_options();
    return options.ok() ? Status{} : options.error();
  }());
  if (config.name.empty() || config.name.size() > 128)
    return fail(Errc::config_error, "collector.name: 1 to 128 characters");
  const bool kafka = config.log_url.starts_with("kafka://");
  if (!kafka && !config.log_url.starts_with("log:///"))
    return fail(Errc::config_error,
                "log.url: \"" + config.log_url + "\": write kafka://host:port or log:///absolute/path");
  if (config.link_heartbeat * 2 > config.link_agent_timeout)
    return fail(Errc::config_error, "link.agent_timeout must be at least twice link.heartbeat");
  return "listens on " + config.link_listen + ", writes to " + config.log_url + " as " +
         config.log_topic_prefix + ".*\nmemory: at most " + format_size(config.link_credit_bytes) +
         " for each connected agent, " + format_size(config.link_credit_total_bytes) + " for all, " +
         format_size(config.receipts_table_bytes) + " for receipts" +
         (kafka ? ", and " + format_size(config.log_queue_bytes) + " for the log's queue" : "") + "\n";
}

}  // namespace ff::collector
