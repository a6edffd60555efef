// SPDX-License-Identifier: Apache-2.0
//
// What each stage of the agent is told: the configuration in its own words.
//
// Of a configuration that check() has passed: texts that it has read are taken as good here.
// Not here   the keys (agent_config.hpp), the stages' wiring (agent_pipeline.cpp).
#pragma once

#include "agent/agent_config.hpp"
#include "agent/encode/encode_stage.hpp"
#include "agent/ingest/pass_through.hpp"
#include "agent/ingest/series_ingest.hpp"
#include "agent/spool/back_pressure.hpp"
#include "agent/spool/send_stage.hpp"
#include "agent/window/window_stage.hpp"
#include "common/transport/link.hpp"
#include "common/transport/segment_log.hpp"

namespace ff::agent {

[[nodiscard]] ZmqPullOptions pull_options(const AgentConfig& config);
[[nodiscard]] PassThroughOptions pass_through_options(const AgentConfig& config);
[[nodiscard]] SeriesIngestOptions ingest_options(const AgentConfig& config);
[[nodiscard]] WindowStageOptions window_options(const AgentConfig& config, std::uint64_t epoch);
[[nodiscard]] EncodeOptions encode_options(const AgentConfig& config);
[[nodiscard]] BackPressureOptions pressure_options(const AgentConfig& config);
[[nodiscard]] transport::SegmentLogOptions spool_options(const AgentConfig& config);
[[nodiscard]] transport::LinkSenderOptions link_options(const AgentConfig& config);
[[nodiscard]] SendStageOptions send_options(const AgentConfig& config);

}  // namespace ff::agent
