// SPDX-License-Identifier: Apache-2.0
//
// What the agent's keys come to together: the memory they may take, and what one key alone can't show.
#include <algorithm>
#include <charconv>
#include <set>
#include <sstream>

#include "agent/agent_config.hpp"
#include "agent/encode/tile_coder.hpp"
#include "agent/ingest/pool_keeper.hpp"
#include "agent/spool/back_pressure.hpp"
#include "agent/spool/receipt_book.hpp"
#include "common/base/frame_pool.hpp"
#include "common/base/units.hpp"
#include "kernels/codec.hpp"

namespace ff::agent {
namespace {

constexpr std::uint64_t kGroupGrowthMax = 4;
constexpr std::uint64_t kStateBytesMax = 10 * kernels::kTilePixelsMax;
constexpr int kHeartbeatsMissed = 3;

}  // namespace

MemoryBound memory_bound(const AgentConfig& config) { return memory_bound(config, config.group_growth()); }

std::uint64_t AgentConfig::group_growth() const {
  if (group_frames != 0 || pool_frames != 0) return 1;  // chosen by hand
  std::uint64_t growth = kGroupGrowthMax;
  while (growth > 1 && memory_bound(*this, growth).total() > memory_max) growth /= 2;
  return growth;
}

MemoryBound memory_bound(const AgentConfig& config, std::uint64_t growth) {
  // One byte a pixel and square: most state, and W as for any frame of that size.
  const FrameShape largest{Dtype::u8, 1, static_cast<std::uint32_t>(config.frame_bytes_max)};
  WindowLimits limits;
  limits.window_frames = config.window_frames;
  limits.window_bytes_max = config.window_bytes_max;
  limits.reorder_frames = config.reorder_frames;
  limits.tile_rows = limits.tile_cols = 512;
  const auto plan = plan_windows(limits, largest, 1, std::nullopt, "");
  MemoryBound bound;
  if (!plan.ok()) return bound;
  const std::uint64_t slots = config.pool_frames != 0 ? config.pool_frames : pool_slots_for(*plan, 1);
  bound.pool_bytes =
      FramePool::file_bytes(static_cast<std::uint32_t>(slots), config.frame_bytes_max + kUserDataRoomBytes);
  bound.state_bytes = 10 * config.frame_bytes_max;
  // Blocks of at most group_pixels_max pixels of 4 bytes (more where they grow): one being written and one being
  // handed over, per worker.
  // With dynamic windowing also a group's second attempt and its state.
  const std::uint64_t block_bytes =
      4 * std::max<std::uint64_t>(growth * config.group_pixels_max, kernels::kTilePixelsMax);
  const bool twice = config.group_windowing != "static";
  bound.group_bytes = config.encode_threads * (2 * block_bytes + (twice ? block_bytes + kStateBytesMax : 0));
  if (const auto loss = kernels::parse_loss_bound(config.encode_bound); loss.ok())
    bound.table_bytes = kernels::loss_table_bytes(*loss);
  if (const auto loss = kernels::parse_loss_bound(config.spool_degrade_bound); loss.ok())
    bound.table_bytes += kernels::loss_table_bytes(*loss);
  if (!config.passthrough_address.empty())
    bound.queue_bytes += (config.passthrough_queue + config.source_queue + 1) *
                         config.message_bytes_max;  // and between the threads
  if (config.spool_free_on == "stored") bound.receipt_bytes = kReceiptEntries * kReceiptEntryBytes;
  bound.queue_bytes += config.source_queue * config.message_bytes_max + kSpoolQueueRecords * block_bytes;
  return bound;
}

Result<double> parse_share(std::string_view text) {
  int percent = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), percent);
  const std::string_view rest(end, static_cast<std::size_t>(text.data() + text.size() - end));
  if (error != std::errc{} || (rest != "%" && rest != " %") || percent < 1 || percent > 90)
    return fail(Errc::invalid_argument, "\"" + std::string(text) + "\" is no share from \"1 %\" to \"90 %\"");
  return percent / 100.0;
}

namespace {

/// What the action of spool.on_full needs must be there before the spool is full.
Status check_on_full(const AgentConfig& config) {
  FF_ASSIGN(const OnFull action, parse_on_full(config.spool_on_full));
  const auto wrong = [](const std::string& what) { return fail(Errc::config_error, what); };
  if (action == OnFull::spool &&
      (config.spool_overflow.empty() || config.spool_overflow == config.spool_folder()))
    return wrong("spool.on_full = \"spool\" needs spool.overflow, a folder on another disk");
  if (action == OnFull::stop && config.spool_stop_hook.empty())
    return wrong("spool.on_full = \"stop\" needs spool.stop_hook, the program to run");
  const auto bound = kernels::parse_loss_bound(config.spool_degrade_bound);
  if (!bound.ok()) return wrong("spool.degrade_bound: " + bound.error().message);
  if (action == OnFull::degrade && !*bound)
    return wrong(
        "spool.on_full = \"degrade\" needs spool.degrade_bound, how far pixels may lie from the detector's");
  if (const auto keep = parse_keep_rule(config.spool_veto_keep); !keep.ok())
    return wrong("spool.veto_keep: " + keep.error().message);
  return {};
}

Status check_freeing(const AgentConfig& config) {
  const auto& destinations = config.spool_destinations;
  const std::set<std::string> different(destinations.begin(), destinations.end());
  if (destinations.empty() || destinations.size() > 32 || different.size() != destinations.size() ||
      std::ranges::any_of(destinations, [](const auto& name) { return name.empty() || name.size() > 64; }))
    return fail(Errc::config_error,
                "spool.destinations: 1 to 32 different names of 1 to 64 characters are needed");
  FF_TRY(check_on_full(config));
  if (const auto share = parse_share(config.resend_share); !share.ok())
    return fail(Errc::config_error, "resend.share: " + share.error().message);
  if (config.spool_free_on != "replicated") return {};
  if (config.log_replication < 3)
    return fail(Errc::config_error,
                "spool.free_on = \"replicated\" frees what the log has: that is safe with "
                "link.log_replication of 3 or "
                "more, and " +
                    std::to_string(config.log_replication) + " is declared");
  if (config.log_retention <= config.sink_outage_max)
    return fail(Errc::config_error,
                "spool.free_on = \"replicated\": link.log_retention must be longer than "
                "spool.sink_outage_max, or the log "
                "forgets records before a sink that was away has read them");
  return {};
}

}  // namespace

Result<std::string> check(const AgentConfig& config) {
  for (const std::string* name : {&config.name, &config.detector_name})
    if (name->empty() || name->size() > 64)
      return fail(Errc::config_error, "agent.name and detector.name have 1 to 64 characters");
  if (config.collector_timeout < kHeartbeatsMissed * config.link_heartbeat)
    return fail(Errc::config_error,
                "link.collector_timeout must be three heartbeats (link.heartbeat) or more, or a collector "
                "that is merely "
                "busy is taken for dead");
  if (config.sentinels.size() > 8) return fail(Errc::config_error, "detector.sentinels: at most 8 values");
  if (config.collectors.empty()) return fail(Errc::config_error, "link.collectors: at least one address");
  if (const auto windowing = parse_windowing(config.group_windowing); !windowing.ok())
    return fail(Errc::config_error, "group.windowing: " + windowing.error().message);
  if (const auto bound = kernels::parse_loss_bound(config.encode_bound); !bound.ok())
    return fail(Errc::config_error, "encode.bound: " + bound.error().message);
  if (config.spool_segment_bytes * 2 > config.spool_bytes_max)
    return fail(Errc::config_error, "spool.max must hold two segments of spool.segment at least");
  FF_TRY(check_freeing(config));
  const MemoryBound bound = memory_bound(config);
  std::ostringstream text;
  text << "memory bound for frames of up to " << human_bytes(static_cast<double>(config.frame_bytes_max))
       << ":\n"
       << "  frame pool        " << human_bytes(static_cast<double>(bound.pool_bytes)) << "\n"
       << "  predictor state   " << human_bytes(static_cast<double>(bound.state_bytes)) << "\n"
       << "  groups in coding  " << human_bytes(static_cast<double>(bound.group_bytes)) << "\n"
       << "  level tables      " << human_bytes(static_cast<double>(bound.table_bytes)) << "\n"
       << "  waiting receipts  " << human_bytes(static_cast<double>(bound.receipt_bytes)) << "\n"
       << "  queues            " << human_bytes(static_cast<double>(bound.queue_bytes)) << "\n"
       << "  sum               " << human_bytes(static_cast<double>(bound.total())) << " of memory.max "
       << human_bytes(static_cast<double>(config.memory_max));
  if (bound.total() > config.memory_max)
    return fail(
        Errc::config_error,
        text.str() + "\nlower detector.frame_max, source.queue or window.frames, or raise memory.max");
  return text.str();
}

}  // namespace ff::agent
