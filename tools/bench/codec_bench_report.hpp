// SPDX-License-Identifier: Apache-2.0
//
// What `foreframe bench codec` says: a table for people, JSON for scripts and for the documents.
//
// JSON   {"format": "foreframe-bench-codec", "version": 1, "foreframe", "date", "command", "machine", "settings",
//        "recordings": [...], "sweep": [...], "cores": [...]}; the lists hold recordings with their results.
#pragma once

#include <string>

#include "tools/bench/codec_bench.hpp"

namespace ff::tools {

struct CodecBenchReport {
  std::string command, date;
  CodecBenchOptions options;
  std::vector<RecordingBench> recordings;
  std::vector<RecordingBench> sweep;  ///< simulated static Poisson data, one photon rate each
  std::vector<RecordingBench> cores;  ///< simulated frames of detectors whose rate is to be held
};

/// One recording's results as lines of text, lossless and lossy.
[[nodiscard]] std::string bench_table(const RecordingBench& bench);

/// One result a line, so that a change is a diff that can be read.
[[nodiscard]] std::string bench_json(const CodecBenchReport& report);

/// recording,window_frames,raw_bytes,<profile>_bytes ... : exact sizes for tests/bench/sizes.csv.
[[nodiscard]] std::string sizes_csv(const CodecBenchReport& report);

/// A codec's failure (not: its absence) anywhere.
[[nodiscard]] bool any_failed(const CodecBenchReport& report);

[[nodiscard]] std::string today_utc();

}  // namespace ff::tools
