// SPDX-License-Identifier: Apache-2.0
//
// `foreframe convert`: copies any recording, also a simulated one, into raw + JSON or HDF5.
#include <cstdio>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "common/base/task_pool.hpp"
#include "tools/command/command_support.hpp"
#include "tools/command/commands.hpp"
#include "tools/command/memory_report.hpp"
#include "tools/recording/recording_writer.hpp"

namespace ff::tools {

namespace {

struct ConvertOptions {
  std::string source, target;
  std::uint64_t frames = 0;
  ThreadsAndMemory limits;
  bool force = false, json = false;
};

Status copy_frames(FrameReader& reader, RecordingWriter& writer, const RecordingInfo& info) {
  std::vector<std::byte> frame(info.shape.bytes());
  ProgressBar progress("converting", info.frames, true);
  for (std::uint64_t i = 0; i < info.frames; ++i) {
    FF_TRY(reader.read(i, frame));
    FF_TRY(writer.write(frame));
    progress.update(i + 1);
  }
  return writer.finish();
}

/// The bound: reader, one frame between, and the frames that the writer compresses beside each other.
Status check_limits(ConvertOptions& options, const FrameReader& reader, MemoryBound& memory) {
  FF_TRY(options.limits.read());
  if (options.limits.threads == 0) options.limits.threads = static_cast<std::uint32_t>(usable_cores());
  memory = program_memory(options.limits.threads);
  memory.source = reader.memory_bytes();
  memory.frames = (1 + frames_in_writer(options.limits.threads)) * std::uint64_t{reader.info().shape.bytes()};
  return check_memory(memory, options.limits.memory_max, "lower --threads");
}

int convert(ConvertOptions& options) {
  auto reader = open_recording(options.source);
  if (!reader.ok()) return report_error("convert", reader.error());
  RecordingInfo info = (*reader)->info();
  if (options.frames > 0) info.frames = std::min(info.frames, options.frames);
  MemoryBound memory;
  if (const Status fits = check_limits(options, **reader, memory); !fits.ok())
    return report_error("convert", fits.error());
  TaskPool pool(options.limits.threads);
  auto writer = create_recording(options.target, info, options.force, &pool);
  if (!writer.ok()) return report_no_output("convert", writer.error());
  if (const Status copied = copy_frames(**reader, **writer, info); !copied.ok())
    return report_error("convert", copied.error());
  if (options.json) {
    nlohmann::ordered_json report = {{"source", options.source},
                                     {"target", options.target},
                                     {"frames", info.frames},
                                     {"rows", info.shape.rows},
                                     {"cols", info.shape.cols},
                                     {"dtype", dtype_name(info.shape.dtype)},
                                     {"threads", options.limits.threads},
                                     {"memory_bound_bytes", memory_json(memory)}};
    if (info.entropy_bits_per_pixel) report["entropy_bits_per_pixel"] = *info.entropy_bits_per_pixel;
    std::printf("%s\n", report.dump().c_str());
  } else {
    std::printf("%s: %llu frames of %u x %u %s\n", options.target.c_str(),
                static_cast<unsigned long long>(info.frames), info.shape.rows, info.shape.cols,
                std::string(dtype_name(info.shape.dtype)).c_str());
    if (info.entropy_bits_per_pixel)
      std::printf("true entropy: %.4f bits/pixel\n", *info.entropy_bits_per_pixel);
  }
  return kExitDone;
}

}  // namespace

int convert_command(int argc, char** argv) {
  ConvertOptions options;
  CLI::App app{"Copies a recording, also a simulated one, into another format.", "foreframe convert"};
  app.add_option("SOURCE", options.source,
                 "NAME.json, NAME.raw[.zst], FILE.h5:/path, FILE.tif, FILE.ffs or sim:PRESET[,key=value...]")
      ->required();
  app.add_option("-o,--output", options.target, "NAME.json, NAME.raw, NAME.raw.zst or NAME.h5[:/path]")
      ->required();
  app.add_option("--frames", options.frames, "only the first N frames");
  options.limits.add_to(app);
  app.add_flag("--force", options.force, "overwrite the output");
  app.add_flag("--json", options.json, "report as JSON");
  app.footer(
      "memory: the source's own, and four frames for each thread; --json prints the bound. Threads compress "
      "the frames\n"
      "  of an HDF5 output beside each other; reading, and other outputs, take one.\n"
      "examples:\n"
      "  foreframe convert sim:pilatus-6m,rows=512,cols=512,frames=50,seed=3 -o simulated.json\n"
      "  foreframe convert stack.tif -o stack.h5");
  return parse_and_run(app, argc, argv, [&] { return convert(options); });
}

}  // namespace ff::tools
