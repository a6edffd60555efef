// SPDX-License-Identifier: Apache-2.0
//
// `foreframe decode`: an archive back into a recording.
#include <cstdio>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "common/base/clock.hpp"
#include "common/base/task_pool.hpp"
#include "common/base/units.hpp"
#include "tools/archive/archive_decode.hpp"
#include "tools/command/command_support.hpp"
#include "tools/command/commands.hpp"
#include "tools/command/memory_report.hpp"
#include "tools/recording/recording_writer.hpp"

namespace ff::tools {

namespace {

struct DecodeArguments {
  std::string source, target, device, frames, windows, tile, region;
  ThreadsAndMemory limits;
  bool force = false, json = false;
};

Result<kernels::Device> choose_device(const std::string& name) {
  if (name.empty())
    return kernels::device_available(kernels::Device::cpu) ? kernels::Device::cpu
                                                           : kernels::Device::reference;
  FF_ASSIGN(const kernels::Device device, kernels::parse_device(name));
  if (kernels::device_available(device)) return device;
  return fail(Errc::invalid_argument,
              "--device " + name + ": this build or machine doesn't have it; reference always works");
}

/// Into a file where every frame has its place, the threads that decode also write; into others, this thread.
Status copy_frames(ArchiveRecording& archive, RecordingWriter& writer) {
  const RecordingInfo& info = archive.info();
  ProgressBar progress("decoding", info.frames, true);
  if (writer.has_places()) {
    FF_TRY(archive.write_to([&](std::uint64_t i, ByteSpan frames) { return writer.write_at(i, frames); },
                            [&](std::uint64_t done) { progress.update(done); }));
    return writer.finish();
  }
  std::vector<std::byte> frame(info.shape.bytes());
  for (std::uint64_t i = 0; i < info.frames; ++i) {
    FF_TRY(archive.read(i, frame));
    FF_TRY(writer.write(frame));
    progress.update(i + 1);
  }
  return writer.finish();
}

Result<ArchiveDecodeOptions> interpret(DecodeArguments& arguments) {
  ArchiveDecodeOptions options;
  FF_ASSIGN(options.device, choose_device(arguments.device));
  FF_ASSIGN(options.selection,
            parse_selection(arguments.frames, arguments.windows, arguments.tile, arguments.region));
  FF_TRY(arguments.limits.read());
  options.threads =
      arguments.limits.threads > 0 ? arguments.limits.threads : static_cast<std::uint32_t>(usable_cores());
  options.memory_max = arguments.limits.memory_max;
  options.frames_beside = 1 + frames_in_writer(options.threads);
  return options;
}

void print_json(const DecodeArguments& arguments, const ArchiveRecording& archive, double seconds) {
  const RecordingInfo& info = archive.info();
  const SelectedPart& part = archive.part();
  const nlohmann::ordered_json out = {{"source", arguments.source},
                                      {"target", arguments.target},
                                      {"frames", info.frames},
                                      {"rows", info.shape.rows},
                                      {"cols", info.shape.cols},
                                      {"dtype", std::string(dtype_name(info.shape.dtype))},
                                      {"first_frame", part.first_frame},
                                      {"first_row", part.region.row},
                                      {"first_col", part.region.col},
                                      {"blocks_read", archive.blocks_read()},
                                      {"blocks_in_file", archive.blocks_in_file()},
                                      {"tile_frames_decoded", archive.tile_frames_decoded()},
                                      {"raw_bytes", info.frames * info.shape.bytes()},
                                      {"seconds", seconds},
                                      {"threads", archive.threads()},
                                      {"memory_bound_bytes", memory_json(archive.memory())}};
  std::printf("%s\n", out.dump(1).c_str());
}

int decode(DecodeArguments& arguments) {
  const auto options = interpret(arguments);
  if (!options.ok()) return report_error("decode", options.error());
  const std::int64_t begin_ns = monotonic_now_ns();
  const auto archive = ArchiveRecording::open(arguments.source, *options);
  if (!archive.ok()) return report_error("decode", archive.error());
  const RecordingInfo& info = (*archive)->info();
  const auto writer = create_recording(arguments.target, info, arguments.force, &(*archive)->pool());
  if (!writer.ok()) return report_no_output("decode", writer.error());
  if (const Status copied = copy_frames(**archive, **writer); !copied.ok())
    return report_error("decode", copied.error());
  const double seconds = static_cast<double>(monotonic_now_ns() - begin_ns) * 1e-9;
  if (arguments.json) {
    print_json(arguments, **archive, seconds);
    return kExitDone;
  }
  const double raw_bytes = static_cast<double>(info.frames) * static_cast<double>(info.shape.bytes());
  std::printf("%s: %llu frames of %u x %u %s, %llu of %llu blocks read and their checksums right, %s\n",
              arguments.target.c_str(), static_cast<unsigned long long>(info.frames), info.shape.rows,
              info.shape.cols, std::string(dtype_name(info.shape.dtype)).c_str(),
              static_cast<unsigned long long>((*archive)->blocks_read()),
              static_cast<unsigned long long>((*archive)->blocks_in_file()),
              human_rate(raw_bytes / std::max(seconds, 1e-9)).c_str());
  return kExitDone;
}

}  // namespace

int decode_command(int argc, char** argv) {
  DecodeArguments arguments;
  CLI::App app{
      "Turns an .ffs file, or a part of it, back into a recording. Only the blocks that the part needs are "
      "read.",
      "foreframe decode"};
  app.add_option("SOURCE", arguments.source, "the .ffs file")->required();
  app.add_option("-o,--output", arguments.target, "NAME.json, NAME.raw, NAME.raw.zst or NAME.h5[:/path]")
      ->required();
  app.add_option("--device", arguments.device, "reference or cpu; default: the fastest this build has");
  app.add_option("--frames", arguments.frames,
                 "frames A:B, half-open, from 0 (10:20, 10:, :20); default: all");
  app.add_option("--windows", arguments.windows, "windows A:B, in place of --frames");
  app.add_option("--region", arguments.region, "rows and columns of each frame, as in 0:512,1024:2048");
  app.add_option("--tile", arguments.tile,
                 "one tile by its row and column in the grid, as in 1,0; in place of --region");
  arguments.limits.add_to(app);
  app.add_flag("--force", arguments.force, "overwrite the output");
  app.add_flag("--json", arguments.json, "report as JSON");
  app.footer(
      "memory: (windows at once x window + group) x frame (of the region), 10 bytes of state a pixel,\n"
      "  about 12 bytes a pixel of a block and, into HDF5, four frames for each thread; one thread holds one "
      "group.\n"
      "  --json prints the bound, and --memory refuses a run above it.\n"
      "examples:\n"
      "  foreframe decode lysozyme.ffs -o lysozyme.h5\n"
      "  foreframe decode lysozyme.ffs -o lysozyme.json --device reference\n"
      "  foreframe decode run7.ffs -o spot.h5 --frames 1000:1100 --region 512:768,1024:1280 --threads 4");
  return parse_and_run(app, argc, argv, [&] { return decode(arguments); });
}

}  // namespace ff::tools
