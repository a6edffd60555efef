// SPDX-License-Identifier: Apache-2.0
//
// The smallest daemon: waits to be stopped, or fails as its configuration says. Used by daemon_test.cpp.
#include <chrono>
#include <stdexcept>
#include <thread>

#include "common/service/daemon.hpp"
#include "common/service/logging.hpp"

namespace {

struct TestConfig {
  std::string fail_with = "nothing";
  std::uint64_t slots = 4;
};

ff::Result<std::string> run(const TestConfig& config, ff::service::DaemonContext& context) {
  if (config.fail_with == "exception") throw std::logic_error("thrown by the test daemon");
  if (config.fail_with == "disk") return ff::fail(ff::Errc::disk_full, "the test disk is full");
  if (config.fail_with == "peer") return ff::fail(ff::Errc::disconnected, "nobody answers");
  context.ready("waiting at " + context.status.address());
  while (!context.stop.requested()) {
    if (config.fail_with != "stuck") context.progress();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  while (config.fail_with == "stuck") std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return std::string("slots=") + std::to_string(config.slots);
}

}  // namespace

int main(int argc, char** argv) {
  TestConfig config;
  ff::service::DaemonSpec spec;
  spec.program = "foreframe-test";
  spec.metrics_name = "test";
  spec.purpose = "Waits to be stopped.";
  spec.default_config = "no-such-folder/test.toml";
  spec.default_status_listen = "127.0.0.1:0";
  spec.describe = [&](ff::service::ConfigSchema& schema) {
    schema.section("test", "What the test daemon does.");
    schema.choice("test.fail_with", &config.fail_with, {"nothing", "exception", "disk", "peer", "stuck"},
                  "How to end.");
    schema.integer("test.slots", &config.slots, 1, 64, "A number.");
  };
  spec.check = [&]() -> ff::Result<std::string> {
    if (config.slots == 13) return ff::fail(ff::Errc::config_error, "test.slots: thirteen slots never fit");
    return "needs " + std::to_string(config.slots) + " slots";
  };
  spec.run = [&](ff::service::DaemonContext& context) { return run(config, context); };
  return ff::service::run_daemon(argc, argv, spec);
}
