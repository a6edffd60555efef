// SPDX-License-Identifier: Apache-2.0
//
// `foreframe decode`: an archive back into a recording.
#include <cstdio>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "common/base/clock.hpp"
#include "common/base/units.hpp"
#include "tools/archive/archive_decode.hpp"
#include "tools/command/command_support.hpp"
#include "tools/command/commands.hpp"
#include "tools/recording/recording_writer.hpp"

namespace ff::tools {

namespace {

struct DecodeArguments {
  std::string source, target, device;
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

Status copy_frames(FrameReader& reader, RecordingWriter& writer) {
  const RecordingInfo& info = reader.info();
  std::vector<std::byte> frame(info.shape.bytes());
  ProgressBar progress("decoding", info.frames, true);
  for (std::uint64_t i = 0; i < info.frames; ++i) {
    FF_TRY(reader.read(i, frame));
    FF_TRY(writer.write(frame));
    progress.update(i + 1);
  }
  return writer.finish();
}

int decode(const DecodeArguments& arguments) {
  const auto device = choose_device(arguments.device);
  if (!device.ok()) return report_error("decode", device.error());
  const std::int64_t begin_ns = monotonic_now_ns();
  const auto archive = ArchiveRecording::open(arguments.source, *device);
  if (!archive.ok()) return report_error("decode", archive.error());
  const RecordingInfo& info = (*archive)->info();
  const auto writer = create_recording(arguments.target, info, arguments.force);
  if (!writer.ok()) return report_no_output("decode", writer.error());
  if (const Status copied = copy_frames(**archive, **writer); !copied.ok())
    return report_error("decode", copied.error());
  const double seconds = static_cast<double>(monotonic_now_ns() - begin_ns) * 1e-9;
  const std::uint64_t raw_bytes = info.frames * info.shape.bytes();
  if (arguments.json) {
    const nlohmann::ordered_json out = {
        {"source", arguments.source}, {"target", arguments.target},
        {"frames", info.frames},      {"rows", info.shape.rows},
        {"cols", info.shape.cols},    {"dtype", std::string(dtype_name(info.shape.dtype))},
        {"raw_bytes", raw_bytes},     {"seconds", seconds}};
    std::printf("%s\n", out.dump(1).c_str());
  } else {
    std::printf("%s: %llu frames of %u x %u %s, every block's checksums right, %s\n",
                arguments.target.c_str(), static_cast<unsigned long long>(info.frames), info.shape.rows,
                info.shape.cols, std::string(dtype_name(info.shape.dtype)).c_str(),
                human_rate(static_cast<double>(raw_bytes) / std::max(seconds, 1e-9)).c_str());
  }
  return kExitDone;
}

}  // namespace

int decode_command(int argc, char** argv) {
  DecodeArguments arguments;
  CLI::App app{"Turns an .ffs file back into a recording.", "foreframe decode"};
  app.add_option("SOURCE", arguments.source, "the .ffs file")->required();
  app.add_option("-o,--output", arguments.target, "NAME.json, NAME.raw, NAME.raw.zst or NAME.h5[:/path]")
      ->required();
  app.add_option("--device", arguments.device, "reference or cpu; default: the fastest this build has");
  app.add_flag("--force", arguments.force, "overwrite the output");
  app.add_flag("--json", arguments.json, "report as JSON");
  app.footer(
      "examples:\n"
      "  foreframe decode lysozyme.ffs -o lysozyme.h5\n"
      "  foreframe decode lysozyme.ffs -o lysozyme.json --device reference");
  return parse_and_run(app, argc, argv, [&] { return decode(arguments); });
}

}  // namespace ff::tools
