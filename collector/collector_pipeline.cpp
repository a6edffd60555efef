// SPDX-License-Identifier: Apache-2.0
//
// THE COLLECTOR'S PATH ON ONE SCREEN: turn() and take().
#include "collector/collector_pipeline.hpp"

#include <algorithm>
#include <sstream>
#include <thread>
#include <utility>

#include <nlohmann/json.hpp>

#include "common/base/clock.hpp"
#include "common/base/units.hpp"
#include "common/service/logging.hpp"

namespace ff::collector {
namespace {

namespace proto = foreframe::wire;
using std::chrono::nanoseconds;

constexpr int kEnvelopesPerTurn = 64;  ///< then the log gets its turn
constexpr nanoseconds kBlockedPause = std::chrono::milliseconds(10);
constexpr nanoseconds kReportDelay = std::chrono::milliseconds(5);  ///< while delivery reports are awaited
constexpr nanoseconds kIdleTurn = std::chrono::milliseconds(100);
constexpr nanoseconds kLogRetry = std::chrono::seconds(1);
constexpr std::int64_t kStreamsReportNs = 1'000'000'000;
constexpr std::int64_t kAskingNs = 1'000'000'000;
constexpr nanoseconds kNewsDelay = std::chrono::milliseconds(20);  ///< while agents watch for receipts

}  // namespace

void CollectorPipeline::turn(nanoseconds timeout) {
  publisher_.poll(nanoseconds(0));  // delivery reports: acknowledgements to agents
  desk_.turn();                     // receipts: news to agents
  if (desk_.has_more()) timeout = nanoseconds(0);
  if (desk_.has_watchers()) timeout = std::min(timeout, kNewsDelay);
  if (publisher_.blocked()) {  // the log takes nothing: neither do we; credit holds the agents
    link_->keep_alive();
    std::this_thread::sleep_for(kBlockedPause);
    return;
  }
  for (int i = 0; i < kEnvelopesPerTurn && !publisher_.blocked(); ++i) {
    const bool waits = i == 0;
    const nanoseconds patience = publisher_.outstanding() > 0 ? std::min(timeout, kReportDelay) : timeout;
    auto received = link_->poll(waits ? patience : nanoseconds(0));
    if (!received) break;
    take(std::move(*received));
  }
  if (monotonic_now_ns() >= next_asking_ns_) ask_for_missing();
  if (monotonic_now_ns() >= next_report_ns_) report_streams();
}

void CollectorPipeline::ask_for_missing() {
  const std::int64_t now_ns = monotonic_now_ns();
  next_asking_ns_ = now_ns + std::min(kAskingNs, gap_timeout_ns_);
  for (const auto& [agent, missing] : admission_.overdue(now_ns, gap_timeout_ns_)) {
    const auto peer = roster_.peer_of(agent);
    if (!peer || !link_->send_missing(*peer, missing)) continue;
    std::uint64_t records = 0;
    for (const proto::SequenceRange& range : missing.records()) records += range.count();
    metrics_.gap_records_asked.add(static_cast<double>(records));
    service::log_warning("missing records are asked for", {{"agent", agent}, {"records", records}});
  }
}

std::string CollectorPipeline::receipts_trouble() const {
  if (desk_.is_complete()) return follower_.trouble();
  const std::string why = follower_.trouble();
  return "the receipts topic is not read to its end yet" + (why.empty() ? "" : ": " + why);
}

void CollectorPipeline::take(transport::ReceivedEnvelope received) {
  metrics_.received_records.add();
  metrics_.received_bytes.add(static_cast<double>(received.envelope.size()));
  auto admitted = admission_.admit(roster_.agent_of(received.peer), received.id, received.envelope);
  if (!admitted.ok()) return refuse(received, admitted.error());
  publisher_.publish(std::move(admitted).value(), std::move(received));
}

void CollectorPipeline::refuse(const transport::ReceivedEnvelope& received, const Error& why) {
  metrics_.refused(std::string(to_string(why.code)));
  service::log_warning("record refused", {{"agent", roster_.agent_of(received.peer)},
                                          {"sequence", received.id.sequence()},
                                          {"reason", why.message}});
  link_->refuse(received.peer, received.id, why);
}

void CollectorPipeline::connect_stages() {
  link_->on_hello = [this](const transport::PeerId& peer, const proto::Hello& hello) {
    roster_.join(peer, hello.agent());
    desk_.forget(peer);  // the same connection, a new agent: nothing of before counts
    admission_.greet(hello);
    metrics_.hellos.add();
    metrics_.agents.set(static_cast<double>(roster_.size()));
    service::log_info("agent connected", {{"agent", hello.agent()}, {"software", hello.software()}});
  };
  link_->on_gone = [this](const transport::PeerId& peer, const std::string& reason) {
    service::log_info("agent gone", {{"agent", roster_.agent_of(peer)}, {"reason", reason}});
    roster_.leave(peer);
    desk_.forget(peer);
    metrics_.agents_gone.add();
    metrics_.agents.set(static_cast<double>(roster_.size()));
  };
  link_->on_malformed = [this](const transport::PeerId&, const Error& why) {
    metrics_.malformed(std::string(to_string(why.code)));
    service::log_warning("broken link message", {{"reason", why.message}});
  };
  link_->on_watch = [this](const transport::PeerId& peer, const proto::Watch& watch) {
    desk_.watch(peer, watch);
  };
  publisher_.on_published = [this](const transport::PeerId& peer, const proto::RecordId& id) {
    link_->acknowledge(peer, id);
  };
  publisher_.on_refused = [this](const transport::PeerId& peer, const proto::RecordId& id, const Error& why) {
    link_->refuse(peer, id, why);
  };
}

CollectorPipeline::CollectorPipeline(const CollectorConfig& config, std::unique_ptr<transport::LogWriter> log,
                                     std::unique_ptr<transport::LogReader> receipts,
                                     std::unique_ptr<transport::LinkReceiver> link,
                                     PartitionCounts partitions, service::Metrics& metrics)
    : metrics_(metrics),
      log_(std::move(log)),
      link_(std::move(link)),
      admission_(partitions, metrics_),
      publisher_(*log_, metrics_),
      follower_(std::move(receipts), metrics_),
      desk_(*link_, follower_, config.receipts_table_bytes, metrics_),
      gap_timeout_ns_(config.link_gap_timeout.count()) {
  link_->set_partition_count(partitions.blocks);
  connect_stages();
}

Result<std::unique_ptr<CollectorPipeline>> CollectorPipeline::open(const CollectorConfig& config,
                                                                   std::unique_ptr<transport::LogWriter> log,
                                                                   service::Metrics& metrics) {
  FF_ASSIGN(const std::uint32_t blocks, log->partition_count(transport::Topic::blocks));
  FF_ASSIGN(const std::uint32_t series, log->partition_count(transport::Topic::series));
  FF_ASSIGN(const transport::LogOptions options, config.log_options());
  FF_ASSIGN(auto receipts, transport::open_log_follower(options, config.name, {transport::Topic::receipts}));
  FF_ASSIGN(auto link, transport::LinkReceiver::open(config.link_options()));
  return std::unique_ptr<CollectorPipeline>(new CollectorPipeline(config, std::move(log), std::move(receipts),
                                                                  std::move(link),
                                                                  PartitionCounts{blocks, series}, metrics));
}

Status CollectorPipeline::drain(nanoseconds timeout) {
  Status drained = publisher_.drain(timeout);
  link_->keep_alive();  // the last acknowledgements
  return drained;
}

std::string CollectorPipeline::summary() const {
  std::ostringstream text;
  text << "received " << static_cast<std::uint64_t>(metrics_.received_records.value()) << " records ("
       << human_bytes(metrics_.received_bytes.value()) << "), published "
       << static_cast<std::uint64_t>(metrics_.published_records.value()) << " ("
       << human_bytes(metrics_.published_bytes.value()) << "), without a delivery report "
       << publisher_.outstanding() << "; agents keep what was not acknowledged";
  return text.str();
}

void CollectorPipeline::report_streams() {
  next_report_ns_ = monotonic_now_ns() + kStreamsReportNs;
  nlohmann::json streams = nlohmann::json::array();
  for (const auto& [key, tracker] : admission_.streams())
    streams.push_back({{"agent", key.agent},
                       {"detector", key.detector},
                       {"stream", key.stream},
                       {"epoch", key.epoch},
                       {"next_sequence", tracker.next()},
                       {"missing", tracker.missing()}});
  std::string text = nlohmann::json{{"streams", streams}, {"agents", roster_.size()}}.dump(
      -1, ' ', false, nlohmann::json::error_handler_t::replace);
  const std::lock_guard lock(report_mutex_);
  report_ = std::move(text);
}

std::string CollectorPipeline::streams_json() const {
  const std::lock_guard lock(report_mutex_);
  return report_;
}

namespace {

/// A broker that isn't up yet is waited for and shown as trouble; every other error ends the program.
Result<std::unique_ptr<transport::LogWriter>> open_log(const CollectorConfig& config,
                                                       service::DaemonContext& context) {
  FF_ASSIGN(const transport::LogOptions options, config.log_options());
  for (;;) {
    context.progress();
    auto log = transport::open_log_writer(options, {transport::Topic::blocks, transport::Topic::series});
    if (log.ok() || log.error().code != Errc::timed_out) return log;
    if (context.stop.requested()) return fail(Errc::stopped, "stopped while waiting for the log");
    context.health.set_trouble("log", log.error().message);
    service::log_warning("waiting for the log", {{"reason", log.error().message}});
    std::this_thread::sleep_for(kLogRetry);
  }
}

}  // namespace

Result<std::string> run_collector(const CollectorConfig& config, service::DaemonContext& context) {
  auto log = open_log(config, context);
  if (!log.ok() && log.error().code == Errc::stopped) return std::move(log).error().message;
  FF_TRY(log.ok() ? Status{} : Status(log.error()));
  FF_ASSIGN(auto opened, CollectorPipeline::open(config, std::move(log).value(), context.metrics));
  const std::shared_ptr<CollectorPipeline> pipeline(std::move(opened));
  context.status.page("/api/streams", [pipeline] { return pipeline->streams_json(); });  // outlives run()
  context.health.set_trouble("log", "");
  context.health.set_trouble("receipts", pipeline->receipts_trouble());
  context.ready("listening on " + pipeline->link_address() + ", writing to " + config.log_url);
  service::log_info("collector ready", {{"listen", pipeline->link_address()}, {"log", config.log_url}});
  while (!context.stop.requested()) {
    pipeline->turn(kIdleTurn);
    context.health.set_trouble("log", pipeline->trouble());
    context.health.set_trouble("receipts", pipeline->receipts_trouble());
    context.progress();
  }
  const Status drained = pipeline->drain(config.stop_drain_timeout);
  if (!drained.ok())
    service::log_warning("stopped before the log had all", {{"reason", drained.error().message}});
  return pipeline->summary();
}

}  // namespace ff::collector
