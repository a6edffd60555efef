// SPDX-License-Identifier: Apache-2.0
//
// `foreframe convert`: copies any recording, also a simulated one, into raw + JSON or into HDF5 of any layout.
#include <cstdio>
#include <optional>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "common/base/task_pool.hpp"
#include "tools/command/command_support.hpp"
#include "tools/command/commands.hpp"
#include "tools/command/memory_report.hpp"
#include "tools/convert/hdf5_conversion.hpp"
#include "tools/recording/recording_writer.hpp"

namespace ff::tools {

namespace {

struct ConvertOptions {
  std::string source, target;
  std::uint64_t frames = 0;
  std::string layout = "compatible", compression, profile, tile;
  ChunkCodingOptions coding;
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

bool is_hdf5(const std::string& target) {
  const std::string path = target.substr(0, target.find(":/"));
  return path.ends_with(".h5") || path.ends_with(".hdf5") || path.ends_with(".nxs");
}

Status read_tile(const std::string& text, ChunkCodingOptions& coding) {
  if (text.empty()) return {};
  int end = 0;
  if (std::sscanf(text.c_str(), "%ux%u%n", &coding.tile_rows, &coding.tile_cols, &end) == 2 &&
      static_cast<std::size_t>(end) == text.size() && coding.tile_rows > 0 && coding.tile_cols > 0)
    return {};
  return fail(Errc::invalid_argument, "--tile '" + text + "': expected ROWSxCOLS, as in 512x512");
}

// What was said about the layout, in its type; options of the other layout are mistakes.
Status read_coding(ConvertOptions& options) {
  ChunkCodingOptions& coding = options.coding;
  coding.compact = options.layout == "compact";
  const bool compact_only = !options.profile.empty() || !options.tile.empty() || coding.window_frames > 0;
  if (!is_hdf5(options.target) && (coding.compact || compact_only || !options.compression.empty()))
    return fail(Errc::invalid_argument, options.target + ": only HDF5 outputs have a layout");
  if (coding.compact && !options.compression.empty())
    return fail(Errc::invalid_argument, "--compression is of the compatible layout; compact has --profile");
  if (!coding.compact && compact_only)
    return fail(Errc::invalid_argument, "--profile, --window and --tile are of --layout compact");
  if (!options.compression.empty()) {
    FF_ASSIGN(coding.compression, sink::parse_compression(options.compression));
  }
  if (!options.profile.empty()) {
    FF_ASSIGN(coding.profile, kernels::parse_profile(options.profile));
  }
  if (coding.profile == kernels::Profile::raw)
    return fail(Errc::invalid_argument, "--profile raw: known are auto, fast, small, max");
  return read_tile(options.tile, coding);
}

int report_done(const ConvertOptions& options, const RecordingInfo& info, const MemoryBound& memory,
                const nlohmann::ordered_json& more) {
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
    report.update(more);
    std::printf("%s\n", report.dump().c_str());
    return kExitDone;
  }
  std::printf("%s: %llu frames of %u x %u %s\n", options.target.c_str(),
              static_cast<unsigned long long>(info.frames), info.shape.rows, info.shape.cols,
              std::string(dtype_name(info.shape.dtype)).c_str());
  if (info.entropy_bits_per_pixel)
    std::printf("true entropy: %.4f bits/pixel\n", *info.entropy_bits_per_pixel);
  return kExitDone;
}

/// The bound: reader, one frame between, and what the writer keeps.
Status check_limits(const ConvertOptions& options, const FrameReader& reader, std::uint64_t writer_bytes,
                    MemoryBound& memory) {
  memory = program_memory(options.limits.threads);
  memory.source = reader.memory_bytes();
  memory.frames = std::uint64_t{reader.info().shape.bytes()} + writer_bytes;
  return check_memory(memory, options.limits.memory_max, "lower --threads");
}

int convert_to_raw(const ConvertOptions& options, FrameReader& reader, const RecordingInfo& info) {
  MemoryBound memory;
  const std::uint64_t writer_bytes = frames_in_writer(1) * std::uint64_t{info.shape.bytes()};
  if (const Status fits = check_limits(options, reader, writer_bytes, memory); !fits.ok())
    return report_error("convert", fits.error());
  auto writer = create_recording(options.target, info, options.force);
  if (!writer.ok()) return report_no_output("convert", writer.error());
  if (const Status copied = copy_frames(reader, **writer, info); !copied.ok())
    return report_error("convert", copied.error());
  return report_done(options, info, memory, {});
}

// One bar for each of the two passes.
class TwoBars {
 public:
  void update(std::string_view what, std::uint64_t done, std::uint64_t total) {
    if (what != what_) bar_.emplace(what_ = what, total, true);
    bar_->update(done);
  }

 private:
  std::string what_;
  std::optional<ProgressBar> bar_;
};

int convert_to_hdf5(const ConvertOptions& options, FrameReader& reader, const RecordingInfo& info) {
  auto coding = ChunkCoding::make(info, options.coding);
  if (!coding.ok()) return report_error("convert", coding.error());
  TaskPool pool(options.limits.threads);
  Hdf5Conversion conversion(reader, info, options.target, *coding, pool);
  MemoryBound memory;
  if (const Status fits = check_limits(options, reader, conversion.memory_bytes(), memory); !fits.ok())
    return report_error("convert", fits.error());
  Result<ConversionReport> done = fail(Errc::stopped, "");
  {
    TwoBars bars;
    done = conversion.run(options.force, [&bars](const char* what, std::uint64_t frames,
                                                 std::uint64_t total) { bars.update(what, frames, total); });
  }
  if (!done.ok()) {
    const Errc code = done.error().code;
    return code == Errc::already_exists || code == Errc::not_found ? report_no_output("convert", done.error())
                                                                   : report_error("convert", done.error());
  }
  if (!options.json && done->resumed_frames > 0)
    std::printf("went on after frame %llu\n", static_cast<unsigned long long>(done->resumed_frames));
  const sink::ChunkShape& chunk = coding->chunk();
  return report_done(options, info, memory,
                     {{"layout", options.layout},
                      {"compression", coding->name()},
                      {"chunk", {chunk.frames, chunk.frame.rows, chunk.frame.cols}},
                      {"resumed_frames", done->resumed_frames},
                      {"verified_frames", done->verified_frames},
                      {"companions", done->companions},
                      {"target_bytes", done->target_bytes},
                      {"raw_bytes", info.frames * info.shape.bytes()}});
}

int convert(ConvertOptions& options) {
  if (const Status read = options.limits.read(); !read.ok()) return report_error("convert", read.error());
  if (const Status read = read_coding(options); !read.ok()) return report_error("convert", read.error());
  if (options.limits.threads == 0) options.limits.threads = static_cast<std::uint32_t>(usable_cores());
  auto reader = open_recording(options.source);
  if (!reader.ok()) return report_error("convert", reader.error());
  RecordingInfo info = (*reader)->info();
  if (options.frames > 0) info.frames = std::min(info.frames, options.frames);
  return is_hdf5(options.target) ? convert_to_hdf5(options, **reader, info)
                                 : convert_to_raw(options, **reader, info);
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
  app.add_option(
         "--layout", options.layout,
         "of an HDF5 output: compatible (default; a chunk is a frame) or compact (a chunk is a window of a "
         "tile, under Foreframe's filter)")
      ->check(CLI::IsMember({"compatible", "compact"}));
  app.add_option("--compression", options.compression, "compatible: bslz4 (default), deflate or none");
  app.add_option("--profile", options.profile, "compact: auto (default), fast, small or max");
  app.add_option("--window", options.coding.window_frames, "compact: frames of a chunk, 1 to 64; default 16")
      ->check(CLI::Range(1, 64));
  app.add_option("--tile", options.tile,
                 "compact: ROWSxCOLS of a chunk; default: the frame where it has at most 2^20 pixels, else "
                 "about 512x512");
  options.limits.add_to(app);
  app.add_flag("--force", options.force, "overwrite the output");
  app.add_flag("--json", options.json, "report as JSON");
  app.footer(
      "An HDF5 output is read back and compared before it appears. A conversion that was stopped or killed "
      "goes on "
      "with\n"
      "  what NAME.part holds, when the same command is given again. From HDF5 to HDF5 everything beside the "
      "frames "
      "comes\n"
      "  along, unless --frames leaves some out or the output's path is another.\n"
      "memory: the source's own, and for each thread a frame (compact: a window of frames) and what coding "
      "it takes; "
      "--json\n"
      "  prints the bound.\n"
      "exit codes: 0 done, 64 wrong arguments, 65 damaged source or output, 66 no source, 73 the output "
      "exists, 74 "
      "I/O\n"
      "examples:\n"
      "  foreframe convert sim:pilatus-6m,rows=512,cols=512,frames=50,seed=3 -o simulated.json\n"
      "  foreframe convert run7_master.h5 -o run7_compact.h5 --layout compact --profile small\n"
      "  foreframe convert run7_compact.h5 -o run7_plain.h5 --compression deflate");
  return parse_and_run(app, argc, argv, [&] { return convert(options); });
}

}  // namespace ff::tools
