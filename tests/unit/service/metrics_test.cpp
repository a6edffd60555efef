// SPDX-License-Identifier: Apache-2.0
//
// Metrics as Prometheus reads them.
#include "common/service/metrics.hpp"

#include <thread>

#include <catch2/catch.hpp>

using namespace ff::service;

TEST_CASE("metrics carry the program's prefix, help, type and labels", "[metrics]") {
  Metrics metrics("agent");
  metrics.counter("frames_received_total", "Frames that arrived.", {{"stream", "0"}}).add(3);
  metrics.gauge("spool_bytes", "Bytes that wait.").set(1.5);
  const std::string text = metrics.render();
  CHECK(text.find("# HELP foreframe_agent_frames_received_total Frames that arrived.\n"
                  "# TYPE foreframe_agent_frames_received_total counter\n"
                  "foreframe_agent_frames_received_total{stream=\"0\"} 3\n") != std::string::npos);
  CHECK(text.find("foreframe_agent_spool_bytes 1.5\n") != std::string::npos);
  CHECK(text.find("foreframe_agent_build_info{version=\"") != std::string::npos);
}

TEST_CASE("the same name and labels are the same counter, other labels another", "[metrics]") {
  Metrics metrics("agent");
  metrics.counter("lost_total", "Frames lost.", {{"reason", "pool_full"}}).add();
  metrics.counter("lost_total", "Frames lost.", {{"reason", "pool_full"}}).add();
  Counter late = metrics.counter("lost_total", "Frames lost.", {{"reason", "late"}});
  late.add(5);
  CHECK(metrics.counter("lost_total", "Frames lost.", {{"reason", "pool_full"}}).value() == 2);
  CHECK(late.value() == 5);
}

TEST_CASE("a histogram counts into its buckets", "[metrics]") {
  Metrics metrics("sink");
  Histogram seconds = metrics.histogram("write_seconds", "Time of a write.", {0.01, 0.1, 1});
  for (const double value : {0.005, 0.05, 0.5, 5.0}) seconds.observe(value);
  const std::string text = metrics.render();
  CHECK(text.find("foreframe_sink_write_seconds_bucket{le=\"0.1\"} 2\n") != std::string::npos);
  CHECK(text.find("foreframe_sink_write_seconds_bucket{le=\"+Inf\"} 4\n") != std::string::npos);
  CHECK(text.find("foreframe_sink_write_seconds_count 4\n") != std::string::npos);
}

TEST_CASE("counts from several threads all arrive", "[metrics]") {
  Metrics metrics("agent");
  Counter counter = metrics.counter("frames_total", "Frames.");
  Gauge gauge = metrics.gauge("in_use", "Slots.");
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&] {
        for (int i = 0; i < 10'000; ++i) {
          counter.add();
          gauge.add(i % 2 == 0 ? 1 : -1);
        }
      });
  }
  CHECK(counter.value() == 40'000);
  CHECK(gauge.value() == 0);
}
