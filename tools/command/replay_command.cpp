// SPDX-License-Identifier: Apache-2.0
//
// `foreframe replay`: arguments, progress and summary of tools/replay.
#include <cstdio>

#include <CLI/CLI.hpp>

#include "common/base/units.hpp"
#include "tools/command/command_support.hpp"
#include "tools/command/commands.hpp"
#include "tools/recording/part_file.hpp"
#include "tools/replay/replay.hpp"

namespace ff::tools {

namespace {

struct ReplayArguments {
  std::string source, bind, connect, rate = "recording", format = "stream_v2", compression = "bslz4",
                                     report_path;
  std::string wait = "30 s", stall = "30 s", linger = "30 s", header_detail = "all";
  std::vector<std::string> faults;
  std::uint64_t fault_seed = 1;
  bool json = false, quiet = false;
  ReplayOptions replay;
};

constexpr const char* kReplayExamples =
    "examples:\n"
    "  foreframe replay lysozyme.h5:/entry/data/data --rate \"133 Hz\"\n"
    "  foreframe replay sim:jungfrau-4m,seed=7 --frames 2000 --rate max --preload\n"
    "  foreframe replay recording.json --fault drop=3,9,20-23 --fault corrupt=1% --fault-seed 42 --report "
    "faults.json\n"
    "  foreframe replay stack.tif --connect tcp://127.0.0.1:31001 --format plain --repeat 5\n"
    "faults:\n"
    "  missing-start  stray-images  unknown-keys  abort=N\n"
    "  drop double reorder truncate corrupt, each =LIST (3,9,20-23) or =SHARE (1% or 0.01)";

void declare(CLI::App& app, ReplayArguments& arguments) {
  ReplayOptions& replay = arguments.replay;
  app.add_option("SOURCE", arguments.source,
                 "NAME.json, NAME.raw[.zst], FILE.h5:/path, FILE.tif or sim:PRESET[,key=value...]")
      ->required();
  auto* bind = app.add_option("--bind", arguments.bind,
                              "endpoint to bind, as a detector does (default tcp://127.0.0.1:31001)");
  app.add_option("--connect,--to", arguments.connect, "endpoint to connect to, for a receiver that binds")
      ->excludes(bind);
  app.add_option("--rate", arguments.rate,
                 "\"133 Hz\", \"17.4 kHz\", a number of Hz, or max; default: the recording's own");
  app.add_option("--frames", replay.frames,
                 "images in a series; the recording begins again after its last frame");
  app.add_option("--repeat", replay.series_count, "number of series, one after another")
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--series-id", replay.first_series_id,
                 "of the first series; each further one is one higher");
  app.add_option("--format", arguments.format, "stream_v2 or plain")
      ->check(CLI::IsMember({"stream_v2", "plain"}));
  app.add_option("--compression", arguments.compression, "bslz4, lz4 or none")
      ->check(CLI::IsMember({"bslz4", "lz4", "none"}));
  app.add_option("--channels", replay.messages.channels,
                 "energy channels in each image; channel c of image f shows frame f + c");
  app.add_flag("--big-endian", replay.messages.payload.big_endian,
               "pixels with the most significant byte first");
  app.add_flag("--column-major", replay.messages.payload.column_major,
               "arrays in column-major order (tag 1040)");
  app.add_option("--header-detail", arguments.header_detail,
                 "all, or basic: no mask, flat field and count-rate table")
      ->check(CLI::IsMember({"all", "basic"}));
  app.add_option("--user-data", replay.messages.start_user_data_json,
                 "JSON that goes into the start message");
  app.add_flag("--image-user-data", replay.messages.image_user_data, "a small map with every image");
  app.add_option("--fault", arguments.faults, "what goes wrong; may be given several times");
  app.add_option("--fault-seed", arguments.fault_seed, "the same seed makes the same faults");
  app.add_option("--report", arguments.report_path,
                 "file for the whole report, with every affected frame, as JSON");
  app.add_option("--wait", arguments.wait, "how long to wait for the first receiver");
  app.add_option("--stall", arguments.stall, "how long the receiver may take nothing before replay gives up");
  app.add_option("--linger", arguments.linger, "how long to wait at the end until all is delivered");
  app.add_option("--send-queue", replay.socket.queue_messages, "messages that may wait inside ZeroMQ")
      ->check(CLI::Range(1, 100'000));
  app.add_flag("--drop-when-full", replay.drop_when_full,
               "lose images while the queue is full, as a detector would, and count them");
  app.add_flag("--preload", replay.preload, "read and compress all frames before the first is sent");
  app.add_flag("--json", arguments.json, "print the report as JSON on stdout");
  app.add_flag("--quiet", arguments.quiet, "no progress bar");
  app.footer(kReplayExamples);
}

Result<double> parse_rate(const std::string& text) {
  auto with_unit = parse_frequency_hz(text);
  if (with_unit.ok()) return with_unit;
  return parse_frequency_hz(text + " Hz");
}

Result<std::chrono::milliseconds> parse_wait(const char* option, const std::string& text) {
  const auto duration = parse_duration(text);
  if (duration.ok()) return std::chrono::duration_cast<std::chrono::milliseconds>(*duration);
  return fail(Errc::invalid_argument, std::string(option) + " " + text + ": takes a time, as in \"10 s\"");
}

Status interpret(ReplayArguments& arguments) {
  ReplayOptions& replay = arguments.replay;
  replay.socket.bind = arguments.connect.empty();
  replay.socket.endpoint = !arguments.connect.empty() ? arguments.connect
                           : !arguments.bind.empty()  ? arguments.bind
                                                      : "tcp://127.0.0.1:31001";
  replay.messages.format = arguments.format == "plain" ? WireFormat::plain : WireFormat::stream_v2;
  FF_ASSIGN(replay.messages.payload.compression, kernels::parse_detector_compression(arguments.compression));
  replay.messages.all_header_arrays = arguments.header_detail == "all";
  replay.as_fast_as_possible = arguments.rate == "max";
  if (arguments.rate != "max" && arguments.rate != "recording") {
    const auto rate = parse_rate(arguments.rate);
    if (!rate.ok() || !(*rate > 0)) {
      return fail(Errc::invalid_argument,
                  "--rate " + arguments.rate + ": takes \"133 Hz\", a number above 0, or max");
    }
    replay.rate_hz = *rate;
  }
  FF_ASSIGN(replay.wait, parse_wait("--wait", arguments.wait));
  FF_ASSIGN(replay.stall, parse_wait("--stall", arguments.stall));
  FF_ASSIGN(replay.socket.linger, parse_wait("--linger", arguments.linger));
  return {};
}

void print_summary(const ReplayReport& report, const RecordingInfo& info) {
  std::uint64_t images = 0, incidents = 0, not_sent = 0;
  for (const SeriesReport& series : report.series) {
    images += series.image_messages;
    incidents += series.incidents.size();
    not_sent += series.not_sent.size();
  }
  const double seconds = std::max(report.seconds, 1e-9);
  const double raw_bytes = static_cast<double>(images) * static_cast<double>(info.shape.bytes());
  std::printf("%llu series, %llu images of %u x %u %s in %.2f s: %.1f Hz, %s raw, %s on the wire\n",
              static_cast<unsigned long long>(report.series.size()), static_cast<unsigned long long>(images),
              info.shape.rows, info.shape.cols, std::string(dtype_name(info.shape.dtype)).c_str(),
              report.seconds, static_cast<double>(images) / seconds, human_rate(raw_bytes / seconds).c_str(),
              human_bytes(static_cast<double>(report.bytes)).c_str());
  if (report.late_frames > 0) {
    std::printf(
        "%llu images went out late, at most %.3f s: this machine or the receiver doesn't keep the rate\n",
        static_cast<unsigned long long>(report.late_frames), report.latest_s);
  }
  if (not_sent > 0)
    std::printf("%llu images could not be sent: the receiver was too slow\n",
                static_cast<unsigned long long>(not_sent));
  if (incidents > 0)
    std::printf("%llu frames were damaged on purpose (--report names them)\n",
                static_cast<unsigned long long>(incidents));
}

Status write_report(const std::string& path, const std::string& text) {
  FF_ASSIGN(PartFile file, PartFile::create(path, true));
  FF_TRY(file.write(as_bytes(text)));
  return file.commit();
}

int replay(ReplayArguments& arguments) {
  if (const Status understood = interpret(arguments); !understood.ok())
    return report_error("replay", understood.error());
  const auto faults = FaultPlan::parse(arguments.faults, arguments.fault_seed);
  if (!faults.ok()) return report_error("replay", faults.error());
  const auto reader = open_recording(arguments.source);
  if (!reader.ok()) return report_error("replay", reader.error());
  Result<ReplayReport> report = [&] {
    ProgressBar progress("replaying",
                         std::max<std::uint64_t>(1, arguments.replay.frames > 0 ? arguments.replay.frames
                                                                                : (*reader)->info().frames) *
                             arguments.replay.series_count,
                         !arguments.quiet);
    return run_replay(**reader, *faults, arguments.replay,
                      [&](std::uint64_t done, std::uint64_t) { progress.update(done); });
  }();
  if (!report.ok()) return report_error("replay", report.error());
  const std::string json = to_json(*report, (*reader)->info(), *faults, arguments.replay);
  if (!arguments.report_path.empty()) {
    if (const Status written = write_report(arguments.report_path, json); !written.ok())
      return report_no_output("replay", written.error());
  }
  if (arguments.json)
    std::fputs(json.c_str(), stdout);
  else
    print_summary(*report, (*reader)->info());
  return kExitDone;
}

}  // namespace

int replay_command(int argc, char** argv) {
  ReplayArguments arguments;
  CLI::App app{"Streams a recording or a simulated detector over ZeroMQ, as a DECTRIS detector does.",
               "foreframe replay"};
  declare(app, arguments);
  return parse_and_run(app, argc, argv, [&] { return replay(arguments); });
}

}  // namespace ff::tools
