// SPDX-License-Identifier: Apache-2.0
//
// The drill: an agent and a detector in threads of this process, a relay in front of the collector, one fault.
#include "tools/drill/drill.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <optional>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "agent/agent_metrics.hpp"
#include "agent/agent_pipeline.hpp"
#include "common/base/clock.hpp"
#include "common/base/uuid.hpp"
#include "tools/drill/tcp_relay.hpp"
#include "tools/replay/replay.hpp"

namespace ff::tools {
namespace {

using std::chrono::nanoseconds;
using namespace std::chrono_literals;

constexpr auto kLook = 50ms;
constexpr auto kLinkPatience = 10s;
constexpr std::uint64_t kFullSpoolBytes = 16ull << 20;  // the least that an agent takes
constexpr const char* kDetector = "drill";

/// Faults that mean a frame is not where it should be. A blocked spool is what disk-full is for.
constexpr std::array kLosses{agent::Fault::message_unreadable, agent::Fault::frame_unreadable,
                             agent::Fault::frame_late,         agent::Fault::frame_missing,
                             agent::Fault::pool_full,          agent::Fault::encode_failed,
                             agent::Fault::record_refused};

class Drill {
 public:
  Drill(const DrillOptions& options, const std::function<void(const DrillEvent&)>& tell,
        const std::function<bool(const std::string&)>& ask)
      : options_(options), tell_(tell), ask_(ask) {}
  ~Drill();

  Result<DrillReport> run();

 private:
  Status set_up();
  void start_agent();
  Status wait_for_link();
  void start_detector();
  Status strike();
  Status restart_by(const char* what);
  void wait_for_receipts();
  void judge();

  [[nodiscard]] bool full_spool() const { return options_.kind == DrillKind::disk_full; }
  std::uint64_t spool_records();
  /// Waits, noting how many records pile up; false when `enough` came true.
  bool watch(
      nanoseconds time, const std::function<bool()>& enough = [] { return false; });
  void event(std::string what);

  const DrillOptions& options_;
  const std::function<void(const DrillEvent&)>& tell_;
  const std::function<bool(const std::string&)>& ask_;
  std::filesystem::path folder_;
  FrameReaderPtr frames_;
  std::unique_ptr<TcpRelay> relay_;

  agent::AgentConfig config_;
  service::StopSignal stop_;
  service::Metrics metrics_{"agent"};
  std::optional<agent::AgentMetrics> counts_;
  service::Health health_;
  std::unique_ptr<service::StatusServer> status_;
  std::optional<service::DaemonContext> context_;
  std::thread agent_, detector_;
  std::optional<Result<std::string>> agent_ended_;
  std::optional<Result<ReplayReport>> replayed_;
  std::atomic<bool> agent_over_{false}, detector_over_{false};

  std::int64_t began_ns_ = 0, lifted_ns_ = 0;
  DrillReport report_;
};

void Drill::event(std::string what) {
  const std::int64_t now = monotonic_now_ns();
  report_.events.push_back(
      {began_ns_ == 0 ? 0 : 1e-9 * static_cast<double>(now - began_ns_), std::move(what)});
  tell_(report_.events.back());
}

std::uint64_t Drill::spool_records() {
  const auto records = static_cast<std::uint64_t>(counts_->spool_records.value());
  report_.spool_records_most = std::max(report_.spool_records_most, records);
  return records;
}

bool Drill::watch(nanoseconds time, const std::function<bool()>& enough) {
  const std::int64_t deadline = monotonic_now_ns() + time.count();
  while (monotonic_now_ns() < deadline) {
    spool_records();
    if (enough() || agent_over_) return false;
    std::this_thread::sleep_for(kLook);
  }
  return true;
}

Status Drill::set_up() {
  const auto base = options_.scratch.empty() ? std::filesystem::temp_directory_path() : options_.scratch;
  folder_ = base / ("foreframe-drill-" + Uuid::mint().to_string());
  std::error_code error;
  if (!std::filesystem::create_directories(folder_, error))
    return fail(Errc::io_error, folder_.string() + " can't be made: " + error.message());
  FF_ASSIGN(relay_, TcpRelay::open(options_.collector));
  FF_ASSIGN(frames_, open_recording(options_.source));
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  config_.name = (std::string("drill-") + host.data()).substr(0, 48) + "-" + std::to_string(::getpid());
  config_.state = (folder_ / "state").string();
  config_.detector_name = kDetector;
  config_.source_address = "ipc://" + (folder_ / "detector").string();
  config_.collectors = {relay_->address()};
  config_.spool_destinations = options_.destinations;
  config_.link_heartbeat = 500ms;
  config_.collector_timeout = 3s;
  config_.drain_timeout = 1s;
  if (full_spool()) {
    config_.spool_bytes_max = kFullSpoolBytes;
    config_.spool_segment_bytes = 1ull << 20;
  }
  FF_ASSIGN(status_, service::StatusServer::start("", metrics_, health_));
  counts_.emplace(metrics_);
  context_.emplace(service::DaemonContext{stop_, metrics_, health_, *status_});
  return {};
}

void Drill::start_agent() {
  agent_ = std::thread([this] {
    agent_ended_ = agent::run_agent(config_, *context_);
    agent_over_ = true;
  });
}

Status Drill::wait_for_link() {
  watch(kLinkPatience, [this] { return counts_->link_connected.value() > 0; });
  if (agent_over_ && !agent_ended_->ok()) return agent_ended_->error();
  if (counts_->link_connected.value() > 0) return {};
  return fail(Errc::disconnected,
              "no collector answers at " + options_.collector +
                  "; is foreframe-collector running, and is --collector its link.listen?");
}

void Drill::start_detector() {
  ReplayOptions replay;
  replay.socket.endpoint = config_.source_address;
  replay.rate_hz = options_.rate_hz;
  const double seconds =
      1e-9 * static_cast<double>((options_.before + options_.lasts + options_.after).count());
  replay.frames = static_cast<std::uint64_t>(std::max(1.0, options_.rate_hz * seconds));
  replay.stall = std::chrono::duration_cast<std::chrono::milliseconds>(options_.patience);
  report_.frames_sent = replay.frames;
  began_ns_ = monotonic_now_ns();
  detector_ = std::thread([this, replay] {
    replayed_ =
        run_replay(*frames_, FaultPlan::parse({}, 1).value(), replay, [](std::uint64_t, std::uint64_t) {});
    detector_over_ = true;
  });
}

Status Drill::restart_by(const char* what) {
  if (options_.command.empty()) {
    if (!ask_(std::string("Restart the ") + what + " now, and come back when it runs again."))
      return fail(Errc::stopped, "given up by the operator");
    return {};
  }
  event("running: " + options_.command);
  const int status = std::system(options_.command.c_str());  // NOLINT(cert-env33-c): the operator's own words
  if (status == -1 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
    return fail(Errc::refused, "the command failed: " + options_.command);
  return {};
}

Status Drill::strike() {
  switch (options_.kind) {
    case DrillKind::link_cut:
    case DrillKind::disk_full: {
      relay_->cut();
      event(full_spool() ? "link cut, spool limited to 16 MiB" : "link cut");
      const bool filled = !watch(
          options_.lasts, [this] { return full_spool() && counts_->count(agent::Fault::spool_blocked) > 0; });
      if (full_spool() && filled) event("spool full");
      if (full_spool() && !filled)
        return fail(Errc::out_of_range, "the spool was not full in time; give --lasts or --rate more");
      if (full_spool()) watch(2s);
      relay_->heal();
      event("link back");
      return {};
    }
    case DrillKind::broker_restart: return restart_by("broker");
    case DrillKind::sink_restart: return restart_by("sink");
  }
  return {};
}

void Drill::wait_for_receipts() {
  lifted_ns_ = monotonic_now_ns();
  const auto all_coded = [this] {
    return detector_over_ && counts_->series_ended.value() > 0 && spool_records() == 0;
  };
  watch(options_.patience, all_coded);
  std::this_thread::sleep_for(kLook);  // the last record may be on its way into the spool
  watch(options_.patience, all_coded);
  report_.recovery_s = 1e-9 * static_cast<double>(monotonic_now_ns() - lifted_ns_);
  event(spool_records() == 0 ? "spool empty: everything is receipted" : "patience is over");
}

void Drill::judge() {
  auto& failures = report_.failures;
  report_.frames_received = static_cast<std::uint64_t>(counts_->frames_received.value());
  if (const std::uint64_t left = spool_records(); left > 0)
    failures.push_back(std::to_string(left) + " records are still without a receipt");
  if (agent_over_ && agent_ended_ && !agent_ended_->ok())
    failures.push_back("the agent ended: " + agent_ended_->error().message);
  if (replayed_ && !replayed_->ok())
    failures.push_back("the detector gave up: " + replayed_->error().message);
  if (report_.frames_received != report_.frames_sent)
    failures.push_back(std::to_string(report_.frames_received) + " of " +
                       std::to_string(report_.frames_sent) + " frames reached the agent");
  for (const agent::Fault loss : kLosses)
    if (const std::uint64_t count = counts_->count(loss); count > 0)
      failures.push_back(std::string(agent::fault_word(loss)) + ": " + std::to_string(count));
  report_.passed = failures.empty();
}

Result<DrillReport> Drill::run() {
  FF_TRY(set_up());
  start_agent();
  FF_TRY(wait_for_link());
  start_detector();
  event("frames pass");
  watch(options_.before);
  FF_TRY(strike());
  wait_for_receipts();
  judge();
  return std::move(report_);
}

Drill::~Drill() {
  if (relay_) relay_->heal();
  if (detector_.joinable()) detector_.join();
  stop_.request();
  if (agent_.joinable()) agent_.join();
  std::error_code ignored;
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

}  // namespace

Result<DrillReport> run_drill(const DrillOptions& options, const std::function<void(const DrillEvent&)>& tell,
                              const std::function<bool(const std::string&)>& ask) {
  return Drill(options, tell, ask).run();
}

}  // namespace ff::tools
