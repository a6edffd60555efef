// SPDX-License-Identifier: Apache-2.0
//
// AgentPipeline: the agent's threads and queues, put together (agent_pipeline.cpp shows the path on one
// screen).
#pragma once

#include <string>

#include "agent/agent_config.hpp"
#include "common/base/result.hpp"
#include "common/service/daemon.hpp"

namespace ff::agent {

/// Runs until `context.stop` is requested, then drains: open series are closed, what is coded goes to the
/// spool, and collectors get stop.drain_timeout to take it. Returns what was done, for people. Errors:
/// refused (state or spool in use), io_error, disk_full, invalid_argument (an address).
[[nodiscard]] Result<std::string> run_agent(const AgentConfig& config, service::DaemonContext& context);

}  // namespace ff::agent
