// SPDX-License-Identifier: Apache-2.0
//
// foreframe-agent: takes a detector's frames, codes them near the instrument and sends them on.
#include "agent/agent_config.hpp"
#include "agent/agent_pipeline.hpp"

int main(int argc, char** argv) {
  ff::agent::AgentConfig config;
  ff::service::DaemonSpec spec;
  spec.program = "foreframe-agent";
  spec.metrics_name = "agent";
  spec.purpose = "Takes a detector's frames, codes them near the instrument and sends them to a collector.";
  spec.examples =
      "  foreframe-agent --config /etc/foreframe/agent.toml --check\n"
      "  foreframe-agent --set source.address=tcp://10.0.0.5:31001 --set detector.name=eiger";
  spec.describe = [&](ff::service::ConfigSchema& schema) { ff::agent::describe(schema, config); };
  spec.check = [&] { return ff::agent::check(config); };
  spec.run = [&](ff::service::DaemonContext& context) { return ff::agent::run_agent(config, context); };
  spec.default_config = "/etc/foreframe/agent.toml";
  spec.default_status_listen = "127.0.0.1:9464";
  return ff::service::run_daemon(argc, argv, spec);
}
