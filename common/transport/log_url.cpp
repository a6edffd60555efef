// SPDX-License-Identifier: Apache-2.0
#include "common/transport/log_url.hpp"

#include <algorithm>

namespace ff::transport {
namespace {

constexpr std::string_view kKafka = "kafka://", kLog = "log://";
constexpr std::size_t kTopicCharactersMax = 200;  // Kafka takes 249

bool topic_character(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
         c == '-';
}

}  // namespace

std::string_view topic_word(Topic topic) noexcept {
  switch (topic) {
    case Topic::blocks: return "blocks";
    case Topic::series: return "series";
    case Topic::receipts: return "receipts";
    case Topic::ledger: return "ledger";
    case Topic::dead: return "dead";
  }
  return "unknown";
}

bool topic_is_state(Topic topic) noexcept { return topic == Topic::series || topic == Topic::ledger; }

bool topic_is_kept_by_time(Topic topic) noexcept { return topic == Topic::receipts || topic == Topic::dead; }

Result<LogUrl> parse_log_url(std::string_view url) {
  if (url.starts_with(kKafka) && url.size() > kKafka.size())
    return LogUrl{true, std::string(url.substr(kKafka.size())), {}};
  if (url.starts_with(kLog) && url.substr(kLog.size()).starts_with('/'))
    return LogUrl{false, {}, std::filesystem::path(url.substr(kLog.size()))};
  return fail(Errc::invalid_argument,
              "log URL \"" + std::string(url) + "\": write kafka://host:port or log:///absolute/path");
}

Result<std::string> topic_name(const LogOptions& options, Topic topic) {
  std::string name = options.topic_prefix;
  if (!name.empty()) name += '.';
  name += topic_word(topic);
  const bool good =
      name.size() <= kTopicCharactersMax && name.front() != '.' && std::ranges::all_of(name, topic_character);
  if (good) return name;
  return fail(Errc::invalid_argument,
              "topic \"" + name + "\": use letters, digits, '.', '_', '-', not beginning with '.'");
}

Result<std::unique_ptr<LogWriter>> open_log_writer(const LogOptions& options,
                                                   const std::vector<Topic>& topics) {
  FF_ASSIGN(const LogUrl url, parse_log_url(options.url));
  return url.is_kafka ? open_kafka_writer(options, url, topics) : open_local_writer(options, url, topics);
}

Result<std::unique_ptr<LogReader>> open_log_reader(const LogOptions& options, const std::string& group,
                                                   const std::vector<Topic>& topics) {
  FF_ASSIGN(const LogUrl url, parse_log_url(options.url));
  return url.is_kafka ? open_kafka_reader(options, url, group, topics)
                      : open_local_reader(options, url, group, topics);
}

Result<std::unique_ptr<LogReader>> open_log_follower(const LogOptions& options, const std::string& name,
                                                     const std::vector<Topic>& topics) {
  FF_ASSIGN(const LogUrl url, parse_log_url(options.url));
  return url.is_kafka ? open_kafka_follower(options, url, name, topics)
                      : open_local_follower(options, url, topics);
}

}  // namespace ff::transport
