// SPDX-License-Identifier: Apache-2.0
//
// `foreframe encode`: a recording into an archive.
#include <cstdio>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "common/base/units.hpp"
#include "tools/archive/archive_encode.hpp"
#include "tools/command/command_support.hpp"
#include "tools/command/commands.hpp"
#include "tools/command/memory_report.hpp"

namespace ff::tools {

namespace {

struct EncodeArguments {
  std::string source, target, profile = "fast", device, tile, sentinels, windowing = "static", bound = "none";
  ThreadsAndMemory limits;
  bool json = false;
  ArchiveEncodeOptions encode;
};

Status read_tile(const std::string& text, ArchiveEncodeOptions& options) {
  if (text.empty()) return {};
  char rest = 0;
  if (std::sscanf(text.c_str(), "%ux%u%c", &options.tile_rows, &options.tile_cols, &rest) == 2 &&
      options.tile_rows > 0 && options.tile_cols > 0)
    return {};
  return fail(Errc::invalid_argument, "--tile " + text + ": takes rows x columns, as in 512x1024");
}

Status interpret(EncodeArguments& arguments) {
  FF_ASSIGN(arguments.encode.profile, kernels::parse_profile(arguments.profile));
  FF_ASSIGN(arguments.encode.windowing, agent::parse_windowing(arguments.windowing));
  FF_ASSIGN(arguments.encode.bound, kernels::parse_loss_bound(arguments.bound));
  FF_TRY(arguments.limits.read());
  arguments.encode.threads = arguments.limits.threads;
  arguments.encode.memory_max = arguments.limits.memory_max;
  const bool cpu = kernels::device_available(kernels::Device::cpu);
  arguments.encode.device = cpu ? kernels::Device::cpu : kernels::Device::reference;
  if (!arguments.device.empty()) {
    FF_ASSIGN(arguments.encode.device, kernels::parse_device(arguments.device));
    if (!kernels::device_available(arguments.encode.device)) {
      return fail(
          Errc::invalid_argument,
          "--device " + arguments.device + ": this build or machine doesn't have it; reference always works");
    }
  }
  return read_tile(arguments.tile, arguments.encode);
}

double bits_per_pixel(std::uint64_t coded_bytes, std::uint64_t raw_bytes, Dtype dtype) {
  const double pixels = static_cast<double>(raw_bytes) / static_cast<double>(dtype_bytes(dtype));
  return 8 * static_cast<double>(coded_bytes) / std::max(pixels, 1.0);
}

void print_json(const ArchiveEncodeReport& report, const EncodeArguments& arguments,
                const RecordingInfo& info) {
  nlohmann::ordered_json out = {
      {"source", arguments.source},
      {"target", arguments.target},
      {"frames", report.frames},
      {"rows", info.shape.rows},
      {"cols", info.shape.cols},
      {"dtype", std::string(dtype_name(info.shape.dtype))},
      {"bound", to_string(arguments.encode.bound)},
      {"raw_bytes", report.raw_bytes},
      {"block_bytes", report.coded_bytes},
      {"file_bytes", report.file_bytes},
      {"bits_per_pixel", bits_per_pixel(report.coded_bytes, report.raw_bytes, info.shape.dtype)},
      {"blocks", report.blocks},
      {"key_blocks", report.key_blocks},
      {"groups", report.groups},
      {"reference_blocks", report.reference_blocks},
      {"encode_seconds", report.encode_seconds},
      {"seconds", report.seconds},
      {"threads", report.threads},
      {"memory_bound_bytes", memory_json(report.memory)}};
  if (info.entropy_bits_per_pixel) out["true_entropy_bits_per_pixel"] = *info.entropy_bits_per_pixel;
  std::printf("%s\n", out.dump(1).c_str());
}

void print_text(const ArchiveEncodeReport& report, const EncodeArguments& arguments,
                const RecordingInfo& info) {
  const double raw = static_cast<double>(report.raw_bytes);
  std::printf("%s: %llu frames, %s to %s, %.3f times smaller, %.4f bits/pixel\n", arguments.target.c_str(),
              static_cast<unsigned long long>(report.frames), human_bytes(raw).c_str(),
              human_bytes(static_cast<double>(report.file_bytes)).c_str(),
              raw / static_cast<double>(std::max<std::uint64_t>(1, report.file_bytes)),
              bits_per_pixel(report.coded_bytes, report.raw_bytes, info.shape.dtype));
  if (info.entropy_bits_per_pixel)
    std::printf("true entropy of the source: %.4f bits/pixel\n", *info.entropy_bits_per_pixel);
  std::printf("%llu blocks in %.2f s, coding alone %s a thread, %u thread%s, at most %s of memory\n",
              static_cast<unsigned long long>(report.blocks), report.seconds,
              human_rate(raw / std::max(report.encode_seconds, 1e-9)).c_str(), report.threads,
              report.threads == 1 ? "" : "s",
              human_bytes(static_cast<double>(report.memory.total())).c_str());
  if (report.key_blocks > 0)
    std::printf("%llu blocks became key groups inside their window\n",
                static_cast<unsigned long long>(report.key_blocks));
}

/// A recording whose sentinels the user has declared anew.
class Redeclared final : public FrameReader {
 public:
  Redeclared(FrameReader& inner, std::vector<std::int64_t> sentinels)
      : FrameReader(inner.info()), inner_(inner) {
    info_.sentinels = std::move(sentinels);
  }
  Status read(std::uint64_t index, MutableByteSpan pixels) override { return inner_.read(index, pixels); }
  bool reads_side_by_side() const noexcept override { return inner_.reads_side_by_side(); }
  std::uint64_t memory_bytes() const noexcept override {
    return inner_.memory_bytes() + info_.pixel_mask.size() * sizeof(std::uint32_t);
  }

 private:
  FrameReader& inner_;
};

int encode(EncodeArguments& arguments) {
  if (const Status understood = interpret(arguments); !understood.ok())
    return report_error("encode", understood.error());
  const auto source = open_recording(arguments.source);
  if (!source.ok()) return report_error("encode", source.error());
  FrameReader* reader = source->get();
  std::unique_ptr<Redeclared> redeclared;
  if (!arguments.sentinels.empty()) {
    auto sentinels = parse_sentinels(arguments.sentinels);
    if (!sentinels.ok()) return report_error("encode", sentinels.error());
    redeclared = std::make_unique<Redeclared>(*reader, std::move(*sentinels));
    reader = redeclared.get();
  }
  const Result<ArchiveEncodeReport> report = [&] {
    ProgressBar progress("encoding", reader->info().frames, true);
    return encode_archive(*reader, arguments.target, arguments.encode,
                          [&](std::uint64_t done) { progress.update(done); });
  }();
  if (!report.ok()) return report_error("encode", report.error());
  if (arguments.json)
    print_json(*report, arguments, reader->info());
  else
    print_text(*report, arguments, reader->info());
  return kExitDone;
}

}  // namespace

int encode_command(int argc, char** argv) {
  EncodeArguments arguments;
  CLI::App app{"Compresses a recording into one .ffs file, without losing a bit unless --bound allows it.",
               "foreframe encode"};
  app.add_option("SOURCE", arguments.source,
                 "NAME.json, NAME.raw[.zst], FILE.h5:/path, FILE.tif, FILE.ffs or sim:PRESET[,key=value...]")
      ->required();
  app.add_option("-o,--output", arguments.target, "the .ffs file")->required();
  app.add_option("--profile", arguments.profile,
                 "fast; small, smaller at half the speed; max, slow; auto, the fewest bits of fast and "
                 "small; raw (bitshuffle + zstd); default fast");
  app.add_option("--window", arguments.encode.window_frames,
                 "frames that are predicted from each other, 1 to 64; default 16")
      ->check(CLI::Range(1, 64));
  app.add_option(
         "--group", arguments.encode.group_frames,
         "frames in a block; default: at first as many as make 4 MiB raw, then more where blocks are small")
      ->check(CLI::Range(1, 64));
  app.add_option(
      "--windowing", arguments.windowing,
      "static: windows of fixed length. dynamic:FACTOR (1.01 to 100): also a key group where a tile's "
      "bytes per frame jump above FACTOR times their mean, if that is smaller; default static");
  app.add_option("--tile", arguments.tile, "rows x columns of a tile; default 512x512");
  app.add_option("--device", arguments.device, "reference or cpu; default: the fastest this build has");
  app.add_option(
      "--bound", arguments.bound,
      "lossy, with a promise kept at every pixel: abs:N, rel:P%,LOW,HIGH, sqrt:F (|error| <= F*sqrt(x)) or "
      "photon:GAIN,PEDESTAL; default none: exact");
  app.add_option("--sentinels", arguments.sentinels,
                 "values that are no intensities (65535 or -1,-2), or none; default: the recording's");
  arguments.limits.add_to(app);
  app.add_flag("--force", arguments.encode.force, "overwrite the output");
  app.add_flag("--json", arguments.json, "report as JSON");
  app.footer(
      "memory: (windows at once x window + group) x frame, twice (raw and coded), 10 bytes of state a pixel, "
      "and\n"
      "  about 12 bytes a pixel of a block for each thread; one thread holds one group. --json prints the "
      "bound,\n"
      "  and --memory takes shorter groups, or refuses a run above it and says what would fit.\n"
      "examples:\n"
      "  foreframe encode lysozyme.h5:/entry/data/data -o lysozyme.ffs\n"
      "  foreframe encode sim:pilatus-6m,rows=512,cols=512,seed=3 -o simulated.ffs --window 64 --json\n"
      "  foreframe encode run7.h5 -o run7.ffs --threads 8 --memory 2GiB --windowing dynamic:1.5\n"
      "  foreframe encode run7.h5 -o run7.ffs --bound sqrt:0.5 && foreframe verify run7.h5 run7.ffs");
  return parse_and_run(app, argc, argv, [&] { return encode(arguments); });
}

}  // namespace ff::tools
