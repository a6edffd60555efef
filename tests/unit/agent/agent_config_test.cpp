// SPDX-License-Identifier: Apache-2.0
//
// The shipped configuration is the defaults, and a configuration that would take too much memory is refused.
#include "agent/agent_config.hpp"

#include <fstream>
#include <sstream>

#include <catch2/catch.hpp>

#include "common/service/daemon.hpp"

using namespace ff;
using namespace ff::agent;

TEST_CASE("configs/agent.toml is what --print-config prints", "[agent]") {
  AgentConfig config;
  service::CommonConfig common;
  common.status_listen = "127.0.0.1:9464";
  service::ConfigSchema schema("foreframe-agent");
  describe(schema, config);
  service::describe(schema, common);
  std::ifstream file(std::string(FF_SOURCE_DIR) + "/configs/agent.toml");
  std::ostringstream shipped;
  shipped << file.rdbuf();
  CHECK(shipped.str() == schema.render());
}

TEST_CASE("the memory bound follows the configuration and is refused above memory.max", "[agent]") {
  AgentConfig config;
  const auto text = check(config);
  REQUIRE(text.ok());
  CHECK(text->find("frame pool") != std::string::npos);
  const MemoryBound before = memory_bound(config);
  config.pool_frames = 2000;
  CHECK(memory_bound(config).pool_bytes > before.pool_bytes);
  CHECK(check(config).error().code == Errc::config_error);
}

TEST_CASE("windowing is read before the agent starts, and a second attempt counts as memory",
          "[agent][windowing]") {
  AgentConfig config;
  const std::uint64_t once = memory_bound(config).group_bytes;
  config.group_windowing = "dynamic:1.5";
  CHECK(check(config).ok());
  CHECK(memory_bound(config).group_bytes > once);
  config.group_windowing = "dynamic:0.9";
  const auto refused = check(config);
  REQUIRE(refused.error().code == Errc::config_error);
  CHECK(refused.error().message.find("group.windowing") != std::string::npos);
}

TEST_CASE("the tables of a declared bound count as memory", "[agent][lossy]") {
  AgentConfig config;
  CHECK(memory_bound(config).table_bytes == 0);
  const std::uint64_t exact = memory_bound(config).total();
  config.encode_bound = "abs:3";
  const std::uint64_t narrow = memory_bound(config).table_bytes;
  CHECK(narrow >= 512 << 10);
  config.encode_bound = "sqrt:0.125";  // lists of 2^21 bins, of two types at most
  CHECK(memory_bound(config).table_bytes >= narrow + (32u << 20));
  CHECK(memory_bound(config).total() == exact + memory_bound(config).table_bytes);
  CHECK(check(config)->find("level tables") != std::string::npos);
}

TEST_CASE("names that no record can carry are refused", "[agent]") {
  AgentConfig config;
  config.detector_name = std::string(65, 'x');
  CHECK(check(config).error().code == Errc::config_error);
  config.detector_name = "";
  CHECK(check(config).error().code == Errc::config_error);
}

TEST_CASE("a window is made shorter until time and bytes are within their limits", "[agent]") {
  const AgentConfig config;
  const FrameShape small{Dtype::u16, 512, 512}, large{Dtype::u32, 4362, 4148};
  CHECK(plan_windows(config.limits(), small, 1, 0.001, "")->window_frames == 16);
  CHECK(plan_windows(config.limits(), small, 1, 2.0, "")->window_frames == 5);
  CHECK(plan_windows(config.limits(), small, 1, 1000.0, "")->window_frames == 1);
  CHECK(plan_windows(config.limits(), large, 1, 0.01, "")->window_frames == 3);
  CHECK(plan_windows(config.limits(), large, 4, 0.01, "")->window_frames == 1);
  const auto pilatus = plan_windows(config.limits(), {Dtype::i32, 2527, 2463}, 1, 0.1, "PILATUS 6M");
  CHECK(pilatus->tile_rows == 212);
  CHECK(pilatus->tile_cols == 494);
  const auto tiny = plan_windows(config.limits(), {Dtype::u8, 1, 1}, 1, std::nullopt, "");
  CHECK(tiny->tile_rows == 1);
  CHECK(tiny->group_frames == 16);
  auto limits = config.limits();
  const auto eiger = plan_windows(limits, {Dtype::u16, 1065, 1030}, 1, 0.01, "EIGER2");
  CHECK(eiger->group_frames == 3);
  CHECK(eiger->group_frames_most == 14);
  limits.tile_rows = limits.tile_cols = 2000;
  CHECK(plan_windows(limits, large, 1, 0.01, "").error().code == Errc::out_of_range);
}

TEST_CASE("groups grow where blocks come out small, as far as memory.max and the operator's hand allow",
          "[agent]") {
  AgentConfig config;
  CHECK(config.limits().group_growth == 4);
  config.memory_max = memory_bound(config, 2).total();
  CHECK(config.limits().group_growth == 2);
  CHECK(check(config).ok());
  config = {};
  config.group_frames = 8;
  CHECK(config.limits().group_growth == 1);

  const WindowPlan plan{16, 4, 12, 0, 512, 512};
  CHECK(group_frames_for(plan, 0) == 4);  // nothing is known yet
  CHECK(group_frames_for(plan, 100) == 12);
  CHECK(group_frames_for(plan, 75'000) == 8);
  CHECK(group_frames_for(plan, 500'000) == 4);
}

TEST_CASE("a collector is given three heartbeats before another one is tried", "[agent]") {
  AgentConfig config;
  config.link_heartbeat = std::chrono::seconds(1);
  config.collector_timeout = std::chrono::milliseconds(2999);
  CHECK(check(config).error().message.find("heartbeat") != std::string::npos);
  config.collector_timeout = std::chrono::seconds(3);
  CHECK(check(config).ok());
}
