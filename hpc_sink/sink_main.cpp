// SPDX-License-Identifier: Apache-2.0
//
// foreframe-sink: fetches records from the log, decodes them, stores them as HDF5.
#include <csignal>

#include "common/service/daemon.hpp"
#include "hpc_sink/sink_pipeline.hpp"

namespace {

using namespace ff;

std::unique_ptr<transport::LogReader> open_log(const sink::SinkConfig& config, Error& why) {
  const auto options = config.log_options();
  if (!options.ok()) {
    why = options.error();
    return nullptr;
  }
  auto reader = transport::open_log_reader(*options, config.log_group,
                                           {transport::Topic::blocks, transport::Topic::series});
  if (reader.ok()) return std::move(*reader);
  why = reader.error();
  return nullptr;
}

// The partitions of the ledger topic are shared among the sinks of a group as those of the blocks are: who reads one
// seals its detectors.
std::unique_ptr<transport::LogReader> open_ledger_reader(const sink::SinkConfig& config, Error& why) {
  const auto options = config.log_options();
  auto reader = options.ok() ? transport::open_log_reader(*options, config.log_group + ".ledger",
                                                          {transport::Topic::ledger})
                             : Result<std::unique_ptr<transport::LogReader>>(options.error());
  if (reader.ok()) return std::move(*reader);
  why = reader.error();
  return nullptr;
}

std::unique_ptr<transport::LogReader> open_series_follower(const sink::SinkConfig& config, Error& why) {
  const auto options = config.log_options();
  auto reader = options.ok()
                    ? transport::open_log_follower(*options, config.log_group + "-" + config.sink_name,
                                                   {transport::Topic::series})
                    : Result<std::unique_ptr<transport::LogReader>>(options.error());
  if (reader.ok()) return std::move(*reader);
  why = reader.error();
  return nullptr;
}

std::unique_ptr<transport::LogWriter> open_ledger(const sink::SinkConfig& config, Error& why) {
  const auto options = config.log_options();
  auto writer = options.ok() ? transport::open_log_writer(*options, {transport::Topic::ledger})
                             : Result<std::unique_ptr<transport::LogWriter>>(options.error());
  if (writer.ok()) return std::move(*writer);
  why = writer.error();
  return nullptr;
}

std::unique_ptr<transport::LogWriter> open_receipts(const sink::SinkConfig& config, Error& why) {
  const auto options = config.log_options();
  auto writer = options.ok() ? transport::open_log_writer(
                                   *options, {transport::Topic::receipts, transport::Topic::dead})
                             : Result<std::unique_ptr<transport::LogWriter>>(options.error());
  if (writer.ok()) return std::move(*writer);
  why = writer.error();
  return nullptr;
}

Result<std::string> run(const sink::SinkConfig& config, service::DaemonContext& context) {
  std::signal(SIGXFSZ, SIG_IGN);  // a file size limit is a full disk: an error of write(), not the end
  return sink::run_sink(
      config, {.stop = context.stop,
               .metrics = context.metrics,
               .health = context.health,
               .open_log = [&](Error& why) { return open_log(config, why); },
               .open_ledger = [&](Error& why) { return open_ledger(config, why); },
               .open_ledger_reader = [&](Error& why) { return open_ledger_reader(config, why); },
               .open_series_follower = [&](Error& why) { return open_series_follower(config, why); },
               .open_receipts = [&](Error& why) { return open_receipts(config, why); },
               .progress = [&] { context.progress(); },
               .ready = [&] { context.ready("storing to " + config.store_path); }});
}

}  // namespace

int main(int argc, char** argv) {
  sink::SinkConfig config;
  service::DaemonSpec spec;
  spec.program = "foreframe-sink";
  spec.metrics_name = "sink";
  spec.purpose = "Fetches records from the log, decodes them and stores frames as NeXus/HDF5.";
  spec.examples =
      "  foreframe-sink --config /etc/foreframe/sink.toml\n"
      "  foreframe-sink --set log.url=log:///data/log --set store.path=/data/store --set "
      "consume.exit_when_closed=true\n";
  spec.describe = [&](service::ConfigSchema& schema) { sink::describe(schema, config); };
  spec.check = [&] { return sink::check(config); };
  spec.run = [&](service::DaemonContext& context) { return run(config, context); };
  spec.default_config = "/etc/foreframe/sink.toml";
  spec.default_status_listen = "127.0.0.1:9466";
  return service::run_daemon(argc, argv, spec);
}
