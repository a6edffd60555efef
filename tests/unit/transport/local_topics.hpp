// SPDX-License-Identifier: Apache-2.0
//
// Writers and readers of a log:// in a temporary folder, for its tests.
#pragma once

#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <thread>

#include <catch2/catch.hpp>

#include "common/transport/log.hpp"
#include "common/transport/segment_log.hpp"
#include "tests/unit/transport/temporary_folder.hpp"

namespace ff::transport::local_test {

using std::chrono::milliseconds;
using std::chrono::seconds;

inline LogOptions options_for(const TemporaryFolder& folder) {
  LogOptions options;
  options.url = "log://" + folder.path().string();
  return options;
}

inline std::unique_ptr<LogWriter> open_writer(const LogOptions& options) {
  auto writer = open_log_writer(options, {Topic::blocks, Topic::series});
  if (!writer.ok()) FAIL(writer.error().message);
  return std::move(writer).value();
}

inline std::unique_ptr<LogReader> open_reader(const LogOptions& options, const std::string& group = "sink") {
  auto reader = open_log_reader(options, group, {Topic::blocks, Topic::series});
  if (!reader.ok()) FAIL(reader.error().message);
  return std::move(reader).value();
}

inline Payload text(const std::string& words) { return Payload::copy(as_bytes(words)); }

inline std::vector<LogRecord> read_all(LogReader& reader) {
  std::vector<LogRecord> records;
  for (;;) {
    auto record = reader.poll(milliseconds(0));
    if (!record.ok()) FAIL(record.error().message);
    if (!record->has_value()) return records;
    records.push_back(**record);
  }
}

}  // namespace ff::transport::local_test
