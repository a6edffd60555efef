// SPDX-License-Identifier: Apache-2.0
//
// SinkConfig: the table of keys, and the checks over several of them.
#include "hpc_sink/sink_config.hpp"

#include <algorithm>
#include <filesystem>

#include "common/base/units.hpp"

namespace ff::sink {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

kernels::Device device_of(const std::string& name) {
  if (name == "auto")
    return kernels::device_available(kernels::Device::cpu) ? kernels::Device::cpu
                                                           : kernels::Device::reference;
  const auto device = kernels::parse_device(name);
  return device.ok() ? *device : kernels::Device::reference;
}

void describe_log(service::ConfigSchema& schema, SinkConfig& c) {
  schema.section("log", "Where the collector puts records and this sink fetches them.");
  schema.text("log.url", &c.log_url, "kafka://host:port[,host:port] or log:///path.");
  schema.text("log.topic_prefix", &c.log_topic_prefix,
              "Facility and beamline in front of the topics' names.");
  schema.text("log.group", &c.log_group, "Consumer group. Its committed offsets outlive this process.");
  schema.size("log.record_max_size", &c.log_record_bytes_max, 10'000, 1ull << 30,
              "Largest record of the log; larger envelopes come as chunk sets.");
  schema.text_list("log.kafka", &c.log_kafka, "Further librdkafka settings, each \"key=value\".");
}

void describe_store(service::ConfigSchema& schema, SinkConfig& c) {
  schema.section("store", "The folder with data files, master files and catalogue.");
  schema.text(
      "store.path", &c.store_path,
      "A local or cluster file system. Sinks of one group may share it, each with a catalogue of its own "
      "(catalogue.<sink.name>.sqlite).");
  schema.choice("store.compression", &c.store_compression, {"bslz4", "deflate", "none"},
                "bslz4: bitshuffle+LZ4 as in DECTRIS files (readers need hdf5plugin or the like); deflate: "
                "no plug-in needed.");
  schema.duration("store.window_timeout", &c.window_timeout, milliseconds(100), hours(24),
                  "An incomplete window is closed after this time without a record; counted while the log is "
                  "read to its end.");
  schema.duration("store.grace", &c.grace, milliseconds(0), hours(24),
                  "After the series' end, how long windows that miss something are waited for.");
  schema.duration("store.grace_max", &c.grace_max, milliseconds(0), hours(24),
                  "Longest time after the series' end that it is kept open for records which were asked for "
                  "again; what comes later opens it anew.");
  schema.duration("store.retry_max", &c.retry_max, milliseconds(10), hours(1),
                  "Longest pause between two tries when the disk is full or the log is away.");
  schema.section("replay", "Records that are missing are asked for again, from the agent that sent them.");
  schema.duration(
      "replay.timeout", &c.replay_timeout, milliseconds(0), hours(24),
      "So long after the latest record of an ended series that misses something, beyond store.grace, "
      "it is closed.");
  schema.duration("replay.pause", &c.replay_pause, milliseconds(10), hours(1),
                  "The same window is asked for again after this time, then after twice that, and so on.");
  schema.duration("replay.pause_max", &c.replay_pause_max, milliseconds(10), hours(24),
                  "Longest pause between two requests for the same window.");
  schema.section("file", "When a data file is closed and becomes durable.");
  schema.size("file.max_size", &c.file_max_bytes, 1 << 16, 1ull << 40, "Compressed pixels in one file.");
  schema.duration("file.max_time", &c.file_max_time, milliseconds(10), hours(24),
                  "Longest time that a file stays open.");
  schema.section("series", "When a series is over.");
  schema.duration("series.idle_timeout", &c.series_idle_timeout, milliseconds(100), hours(24 * 7),
                  "A series whose end never came is closed after this time without a record.");
}

}  // namespace

void describe(service::ConfigSchema& schema, SinkConfig& c) {
  schema.section("sink", "This sink among others.");
  schema.text(
      "sink.name", &c.sink_name,
      "Part of the names of unfinished files, and its name in the consumer group; unique among sinks of a "
      "store or a group.");
  describe_log(schema, c);
  schema.section("consume", "Reading.");
  schema.flag(
      "consume.exit_when_closed", &c.exit_when_closed,
      "Exit with 0 once every series seen is closed and the log is read to its end, or when nothing came for "
      "series.idle_timeout (batch jobs).");
  schema.section("decode", "From blocks to frames.");
  schema.integer("decode.threads", &c.decode_threads, 1, 256, "Threads that decode and compress.");
  schema.choice("decode.device", &c.decode_device, {"auto", "reference", "cpu"},
                "All devices give the same pixels.");
  schema.section("memory", "Bounds.");
  schema.size("memory.max", &c.memory_max_bytes, 1 << 20, 1ull << 50,
              "For windows in flight: twice their raw frames, and the predictors' state.");
  describe_store(schema, c);
  schema.section("seal", "The signature under each series' ledger.");
  schema.text(
      "seal.key_file", &c.seal_key_file,
      "Ed25519 private key (PEM), made at the first start with mode 0600. Empty: keys/<sink.name>.pem in the "
      "store. `foreframe ledger key` prints the public key.");
  schema.section("nexus", "What the detector can't know, for the NeXus master files.");
  schema.text("nexus.instrument", &c.nexus_instrument, "Name of the beamline.");
  schema.text("nexus.source", &c.nexus_source, "Name of the facility.");
  schema.text("nexus.sample", &c.nexus_sample, "Name of the sample.");
}

DecodeOptions SinkConfig::decode_options() const {
  return {.device = device_of(decode_device), .window_timeout = window_timeout, .grace = grace};
}

std::filesystem::path SinkConfig::seal_key_path() const {
  if (!seal_key_file.empty()) return seal_key_file;
  return std::filesystem::path(store_path) / "keys" / (sink_name + ".pem");
}

StoreOptions SinkConfig::store_options() const {
  StoreOptions options;
  options.folder = store_path;
  options.sink = sink_name;
  options.destination = log_group;
  options.seal_key_file = seal_key_path();
  options.compression = parse_compression(store_compression).value();
  options.file_bytes_max = file_max_bytes;
  options.file_max_time = file_max_time;
  // Shards close their windows after the same grace: give what they hand over time to arrive.
  options.grace = 2 * grace;
  options.replay_timeout = replay_timeout;
  options.grace_max = grace_max;
  options.note_bytes_max = std::min<std::uint64_t>(options.note_bytes_max, log_record_bytes_max / 4);
  options.replay = {replay_pause, replay_pause_max};
  options.idle_timeout = series_idle_timeout;
  options.master = {nexus_instrument, nexus_source, nexus_sample};
  return options;
}

Result<transport::LogOptions> SinkConfig::log_options() const {
  transport::LogOptions options;
  options.url = log_url;
  options.topic_prefix = log_topic_prefix;
  options.record_bytes_max = log_record_bytes_max;
  options.member =
      log_topic_prefix + "." + sink_name;  // beamlines may share a broker and leave the names as they are
  for (const std::string& entry : log_kafka) {
    const std::size_t equals = entry.find('=');
    if (equals == std::string::npos || equals == 0)
      return fail(Errc::config_error, "log.kafka: \"" + entry + "\" is not of the form \"key=value\"");
    options.kafka[entry.substr(0, equals)] = entry.substr(equals + 1);
  }
  return options;
}

Result<std::string> check(const SinkConfig& config) {
  FF_TRY(config.log_options());
  if (!config.log_url.starts_with("kafka://") && !config.log_url.starts_with("log://"))
    return fail(Errc::config_error,
                "log.url: \"" + config.log_url + "\" begins neither with kafka:// nor with log://");
  if (config.grace_max < 2 * config.grace)
    return fail(Errc::config_error, "store.grace_max: must be at least twice store.grace");
  if (config.store_path.empty()) return fail(Errc::config_error, "store.path is empty");
  if (config.sink_name.empty() || config.sink_name.find_first_of("/ ") != std::string::npos)
    return fail(Errc::config_error,
                "sink.name: must be a word without '/' and spaces, it becomes part of file names");
  return "memory: windows in flight take at most " + format_size(config.memory_max_bytes) +
         " (memory.max)\n" + "store: " + config.store_path + ", " + config.store_compression +
         ", files up to " + format_size(config.file_max_bytes) + " or " +
         format_duration(config.file_max_time) + "\n";
}

}  // namespace ff::sink
