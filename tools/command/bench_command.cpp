// SPDX-License-Identifier: Apache-2.0
//
// `foreframe bench codec`: sizes and speeds of the codec beside its peers, as table, JSON, document and plots.
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include <CLI/CLI.hpp>

#include "tools/bench/child_process.hpp"
#include "tools/bench/codec_bench_report.hpp"
#include "tools/bench/simulated_sets.hpp"
#include "tools/command/command_support.hpp"
#include "tools/command/commands.hpp"
#include "tools/recording/part_file.hpp"

namespace ff::tools {

namespace {

namespace fs = std::filesystem;

constexpr const char* kName = "bench codec";

struct BenchArguments {
  std::vector<std::string> sources, profiles, bounds;
  std::string peers, device, cpu_path, tile, from, save, write, plots, sizes;
  int threads = 1, repeat = 0;  ///< repeat and max_seconds: 0 where not given
  double max_seconds = 0;
  bool json = false, quick = false, quiet = false, sweep = false, cores = false;
  CodecBenchOptions bench;
};

constexpr const char* kDescription =
    R"(Codes recordings with Foreframe's profiles and with other codecs: same frames, same run, one core.

Every decoded pixel is compared. Speeds are raw bytes per second of processor time, in GB/s (10^9): the
median, and in brackets the slowest and the fastest repeat. "Encode" holds planning; "plan given" is
encoding alone. Peers code frame by frame, except FFV1, x265 and TEZip's back end, which see all frames.
A codec that isn't here is listed as not installed; tools/setup --bench installs them.
)";

constexpr const char* kBenchExamples =
    R"(PEERS  here: bitshuffle-lz4 bitshuffle-zstd zstd-1 zstd-3 terse (these five are `fast`)
       TEZip's back end: tezip-previous tezip-mean
       in Python: blosc2-lz4 blosc2-zstd jpeg-ls jpeg-xl-3 jpeg-xl-7 ffv1 x265; with --bound: zfp sz3

examples:
  foreframe bench codec lysozyme.h5:/entry/data/data --frames 100
  foreframe bench codec mine.json --peers jpeg-xl-7,bitshuffle-lz4 --max-seconds 60 --json
  foreframe bench codec sim:eiger2-16m,rows=512,cols=512,rate=0.5 --window 64 --bound abs:1
  foreframe bench codec --write docs/benchmarks/codec.md --plots docs/benchmarks
  foreframe bench codec --from docs/benchmarks/codec.json --write docs/benchmarks/codec.md
  foreframe bench codec --quick --peers none --profile fast,small,max,auto --sizes tests/bench/sizes.csv

Exit codes: 0 done; 65 a codec gave back other pixels or failed; 64, 66, 73, 74 as for every command.)";

void declare(CLI::App& app, BenchArguments& arguments) {
  CodecBenchOptions& bench = arguments.bench;
  app.add_option(
      "RECORDING", arguments.sources,
      "NAME.json, NAME.raw[.zst], FILE.h5:/path, FILE.tif, sim:PRESET[,key=value...], or a folder of "
      "NAME/NAME.json; default: the folder in FF_DATA_DIR");
  app.add_option("--profile", arguments.profiles, "profiles, separated by commas; default fast,small")
      ->delimiter(',');
  app.add_option("--peers", arguments.peers, "all (default), fast, none, or a list of PEERS");
  app.add_option("--window", bench.own.window_frames, "frames predicted from each other, 1 to 64; default 16")
      ->check(CLI::Range(1, 64));
  app.add_option("--group", bench.own.group_frames, "frames in a block; default: the window")
      ->check(CLI::Range(1, 64));
  app.add_option("--tile", arguments.tile, "rows x columns; default: the frame, or 512x512 above 1 Mpixel");
  app.add_option("--device", arguments.device, "reference or cpu; default: the fastest this build has");
  app.add_option(
         "--cpu-path", arguments.cpu_path,
         "widest instructions that codec and planner may use: generic, avx2 or avx512; default: all that the "
         "processor has")
      ->check(CLI::IsMember({"generic", "avx2", "avx512"}));
  app.add_option("--threads", arguments.threads, "figures are per core: 1")->check(CLI::Range(1, 1));
  app.add_option("--frames", bench.frames_max, "code the first N frames only");
  app.add_option("--repeat", arguments.repeat, "measure N times; default 3")->check(CLI::Range(1, 1000));
  app.add_option("--max-seconds", arguments.max_seconds,
                 "for a slow peer and recording; it then codes fewer frames, evenly spread; default 4")
      ->check(CLI::Range(0.01, 86400.0));
  app.add_option("--bound", arguments.bounds, "also lossy: abs:3, rel:3%, sqrt:0.5, separated by commas")
      ->delimiter(',');
  app.add_flag("--quick", arguments.quick,
               "a look: unless said otherwise one repeat, half a second a peer, peers fast");
  app.add_flag("--sweep", arguments.sweep, "also simulated static counts of 0.02 to 1000 photons a pixel");
  app.add_flag("--cores", arguments.cores, "also simulated frames of detectors whose rate is to be held");
  app.add_flag("--json", arguments.json, "print the report as JSON on stdout");
  app.add_option("--save", arguments.save, "write the report as JSON into this file");
  app.add_option("--from", arguments.from, "measure nothing: --write and --plots from this saved report");
  app.add_option(
      "--write", arguments.write,
      "write this document from DOC's template (DOC.template.md); with --sweep and --cores, and the report "
      "as .json beside it");
  app.add_option("--plots", arguments.plots, "write plots into this folder; with --write, --save or --from");
  app.add_option("--sizes", arguments.sizes, "write the exact sizes as CSV into this file");
  app.add_flag("--quiet", arguments.quiet, "no progress bar");
  app.footer(kBenchExamples);
}

Result<std::vector<std::string>> all_sources(const std::vector<std::string>& named) {
  std::error_code none;
  std::vector<std::string> sources;
  if (named.empty()) sources = recordings_at_hand();
  for (const std::string& source : named) {
    if (!fs::is_directory(source, none)) {
      sources.push_back(source);
      continue;
    }
    for (std::string& inside : recordings_in(source)) sources.push_back(std::move(inside));
  }
  if (sources.empty()) {
    return fail(Errc::not_found,
                "no recordings: name some, or set FF_DATA_DIR to a folder of NAME/NAME.json; "
                "sim:eiger2-16m,rows=512,cols=512 needs no file");
  }
  return sources;
}

Status read_tile(const std::string& text, OwnCodecOptions& own) {
  if (text.empty()) return {};
  char rest = 0;
  if (std::sscanf(text.c_str(), "%ux%u%c", &own.tile_rows, &own.tile_cols, &rest) == 2 && own.tile_rows > 0 &&
      own.tile_cols > 0)
    return {};
  return fail(Errc::invalid_argument, "--tile " + text + ": takes rows x columns, as in 512x1024");
}

Status read_device(const std::string& text, kernels::Device& device) {
  const bool cpu = kernels::device_available(kernels::Device::cpu);
  device = cpu ? kernels::Device::cpu : kernels::Device::reference;
  if (text.empty()) return {};
  FF_ASSIGN(device, kernels::parse_device(text));
  if (kernels::device_available(device)) return {};
  return fail(Errc::invalid_argument, "--device " + text + ": this build or machine doesn't have it");
}

Status interpret(BenchArguments& arguments) {
  CodecBenchOptions& bench = arguments.bench;
  bench.own.repeat = arguments.repeat > 0 ? arguments.repeat : arguments.quick ? 1 : 3;
  bench.max_seconds = arguments.max_seconds > 0 ? arguments.max_seconds : arguments.quick ? 0.5 : 4;
  if (arguments.profiles.empty()) arguments.profiles = {"fast", "small"};
  for (const std::string& name : arguments.profiles) {
    FF_ASSIGN(const kernels::Profile profile, kernels::parse_profile(name));
    bench.profiles.push_back(profile);
  }
  for (const std::string& text : arguments.bounds) {
    FF_ASSIGN(LossyBound bound, parse_lossy_bound(text));
    bench.bounds.push_back(std::move(bound));
  }
  if (arguments.peers.empty()) arguments.peers = arguments.quick ? "fast" : "all";
  FF_ASSIGN(bench.peers, parse_bench_peers(arguments.peers));
  FF_TRY(read_device(arguments.device, bench.own.device));
  // Read once, before the first group is coded.
  if (!arguments.cpu_path.empty()) ::setenv("FF_CPU_PATH", arguments.cpu_path.c_str(), 1);
  FF_TRY(read_tile(arguments.tile, bench.own));
  if (!arguments.write.empty()) {
    const std::string form = fs::path(arguments.write).replace_extension(".template.md").string();
    std::error_code none;
    if (!fs::is_regular_file(form, none))  // before the long run, not after it
      return fail(Errc::not_found, "--write " + arguments.write + ": there is no " + form + " to fill in");
    arguments.sweep = arguments.cores = true;
    if (arguments.save.empty())
      arguments.save = fs::path(arguments.write).replace_extension(".json").string();
  }
  if (!arguments.plots.empty() && arguments.save.empty() && arguments.from.empty())
    return fail(Errc::invalid_argument, "--plots: needs the report in a file; add --write, --save or --from");
  if (!arguments.from.empty() && arguments.write.empty() && arguments.plots.empty())
    return fail(Errc::invalid_argument, "--from: says nothing to do; add --write or --plots");
  return {};
}

Status write_text(const std::string& path, const std::string& text) {
  FF_ASSIGN(PartFile file, PartFile::create(path, true));
  FF_TRY(file.write(as_bytes(text)));
  return file.commit();
}

/// Measures everything that was asked for; prints each recording's table as soon as it is there, and saves the
/// report so far, so that a long run that is stopped has not run for nothing.
class Measurement {
 public:
  Measurement(const BenchArguments& arguments, std::vector<std::string> sources)
      : arguments_(arguments), sources_(std::move(sources)) {
    if (arguments.sweep) sweep_ = photon_sweep();
    if (arguments.cores) detectors_ = detector_frames();
    total_ = sources_.size() * bench_steps(arguments.bench);
    for (const auto* sets : {&sweep_, &detectors_}) {
      for (const SimulatedSet& set : *sets) total_ += bench_steps(options_for(set, arguments.bench));
    }
  }

  Status run(CodecBenchReport& report) {
    for (const std::string& source : sources_) {
      FF_TRY(keep(report, report.recordings,
                  [&](const auto& step) { return bench_recording(source, arguments_.bench, step); }));
    }
    FF_TRY(run_sets(report, sweep_, report.sweep));
    return run_sets(report, detectors_, report.cores);
  }

 private:
  Status run_sets(CodecBenchReport& report, const std::vector<SimulatedSet>& sets,
                  std::vector<RecordingBench>& benches) {
    for (const SimulatedSet& set : sets) {
      FF_TRY(keep(report, benches,
                  [&](const auto& step) { return bench_simulated(set, arguments_.bench, step); }));
    }
    return {};
  }

  template <typename Work>
  Status keep(const CodecBenchReport& report, std::vector<RecordingBench>& benches, const Work& work) {
    Result<RecordingBench> bench = [&] {
      ProgressBar progress("measuring", total_, !arguments_.quiet);
      progress.update(done_);
      return work([&](const std::string& what) { progress.update(++done_, what); });
    }();
    if (!bench.ok()) return bench.error();
    if (!arguments_.json) {
      std::fputs((bench_table(*bench) + "\n").c_str(), stdout);
      std::fflush(stdout);
    }
    benches.push_back(std::move(*bench));
    return arguments_.save.empty() ? Status{} : write_text(arguments_.save, bench_json(report));
  }

  const BenchArguments& arguments_;
  std::vector<std::string> sources_;
  std::vector<SimulatedSet> sweep_, detectors_;
  std::uint64_t total_ = 0, done_ = 0;
};

Status write_documents(const BenchArguments& arguments) {
  const std::string report = arguments.from.empty() ? arguments.save : arguments.from;
  const auto print = [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); };
  FF_ASSIGN(const PythonPlaces places, find_python());
  if (!arguments.write.empty())
    FF_TRY(run_lines({places.python, places.scripts + "/codec_document.py", report, arguments.write}, print));
  if (!arguments.plots.empty())
    FF_TRY(run_lines({places.python, places.scripts + "/codec_plots.py", report, arguments.plots}, print));
  return {};
}

int measure(const BenchArguments& arguments, const std::string& command) {
  auto sources = all_sources(arguments.sources);
  if (!sources.ok()) return report_error(kName, sources.error());
  CodecBenchReport report{command, today_utc(), arguments.bench, {}, {}, {}};
  Measurement measurement(arguments, std::move(*sources));
  if (const Status measured = measurement.run(report); !measured.ok())
    return report_error(kName, measured.error());
  if (arguments.json) std::fputs(bench_json(report).c_str(), stdout);
  Status written;
  if (!arguments.sizes.empty()) written = write_text(arguments.sizes, sizes_csv(report));
  if (!written.ok()) return report_no_output(kName, written.error());
  if (!any_failed(report)) return kExitDone;
  return report_error(kName,
                      {Errc::crc_mismatch, "a codec failed or gave back other pixels: see \"failed\" above"});
}

int bench_codec(BenchArguments& arguments, const std::string& command) {
  if (const Status understood = interpret(arguments); !understood.ok())
    return report_error(kName, understood.error());
  const int measured = arguments.from.empty() ? measure(arguments, command) : kExitDone;
  if (measured != kExitDone || (arguments.write.empty() && arguments.plots.empty())) return measured;
  const Status written = write_documents(arguments);
  return written.ok() ? kExitDone : report_no_output(kName, written.error());
}

/// As documents show it: of absolute paths, which mean nothing elsewhere, the last part.
std::string command_line(int argc, char** argv) {
  std::string line = "foreframe";
  for (int i = 0; i < argc; ++i) {
    const fs::path word = argv[i];
    line += " " + (word.is_absolute() ? word.filename().string() : word.string());
  }
  return line;
}

}  // namespace

int bench_command(int argc, char** argv) {
  BenchArguments arguments;
  CLI::App app{"Measures what Foreframe is made of.", "foreframe bench"};
  app.require_subcommand(1);
  CLI::App& codec = *app.add_subcommand("codec", kDescription);
  declare(codec, arguments);
  app.footer("`foreframe bench codec --help` explains it.");
  return parse_and_run(app, argc, argv, [&] { return bench_codec(arguments, command_line(argc, argv)); });
}

}  // namespace ff::tools
