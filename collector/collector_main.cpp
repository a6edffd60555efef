// SPDX-License-Identifier: Apache-2.0
//
// foreframe-collector: takes agents' records over the link and puts them into the log.
#include "collector/collector_config.hpp"
#include "collector/collector_pipeline.hpp"
#include "common/service/daemon.hpp"

int main(int argc, char** argv) {
  ff::collector::CollectorConfig config;
  ff::service::DaemonSpec spec;
  spec.program = "foreframe-collector";
  spec.metrics_name = "collector";
  spec.purpose = "Takes records from agents and puts them into the log; acknowledges what the log has.";
  spec.examples =
      "  foreframe-collector --config /etc/foreframe/collector.toml --check\n"
      "  foreframe-collector --set log.url=log:///data/log --set link.listen=tcp://10.0.0.2:5555";
  spec.describe = [&](ff::service::ConfigSchema& schema) { ff::collector::describe(schema, config); };
  spec.check = [&] { return ff::collector::check(config); };
  spec.run = [&](ff::service::DaemonContext& context) {
    return ff::collector::run_collector(config, context);
  };
  spec.default_config = "/etc/foreframe/collector.toml";
  spec.default_status_listen = "127.0.0.1:9465";
  return ff::service::run_daemon(argc, argv, spec);
}
