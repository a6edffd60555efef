// SPDX-License-Identifier: Apache-2.0
//
// What both bodies of the log share: the URL, topic names, and who opens what. Private to common/transport.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"
#include "common/transport/log.hpp"

namespace ff::transport {

struct LogUrl {
  bool is_kafka = false;
  std::string brokers;           ///< kafka: "host:port,host:port"
  std::filesystem::path folder;  ///< log: one folder per topic inside
};

/// Errors: invalid_argument (says what a URL looks like).
[[nodiscard]] Result<LogUrl> parse_log_url(std::string_view url);
/// "site.beamline.blocks". Errors: invalid_argument (characters that Kafka or a folder name don't take).
[[nodiscard]] Result<std::string> topic_name(const LogOptions& options, Topic topic);

[[nodiscard]] Result<std::unique_ptr<LogWriter>> open_local_writer(const LogOptions& options,
                                                                   const LogUrl& url,
                                                                   const std::vector<Topic>& topics);
[[nodiscard]] Result<std::unique_ptr<LogReader>> open_local_reader(const LogOptions& options,
                                                                   const LogUrl& url,
                                                                   const std::string& group,
                                                                   const std::vector<Topic>& topics);
[[nodiscard]] Result<std::unique_ptr<LogReader>> open_local_follower(const LogOptions& options,
                                                                     const LogUrl& url,
                                                                     const std::vector<Topic>& topics);
[[nodiscard]] Result<std::unique_ptr<LogWriter>> open_kafka_writer(const LogOptions& options,
                                                                   const LogUrl& url,
                                                                   const std::vector<Topic>& topics);
[[nodiscard]] Result<std::unique_ptr<LogReader>> open_kafka_reader(const LogOptions& options,
                                                                   const LogUrl& url,
                                                                   const std::string& group,
                                                                   const std::vector<Topic>& topics);
[[nodiscard]] Result<std::unique_ptr<LogReader>> open_kafka_follower(const LogOptions& options,
                                                                     const LogUrl& url,
                                                                     const std::string& name,
                                                                     const std::vector<Topic>& topics);

}  // namespace ff::transport
