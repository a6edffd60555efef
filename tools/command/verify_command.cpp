// SPDX-License-Identifier: Apache-2.0
//
// `foreframe verify`: a coded file held against the recording it was made from, pixel by pixel.
#include <cstdio>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "common/base/units.hpp"
#include "common/wire/envelope.hpp"
#include "kernels/codec.hpp"
#include "tools/archive/archive_file.hpp"
#include "tools/command/command_support.hpp"
#include "tools/command/commands.hpp"
#include "tools/recording/frame_errors.hpp"
#include "tools/recording/recording.hpp"

namespace ff::tools {

namespace {

constexpr int kExitBroken = 1;

struct VerifyArguments {
  std::string original, file, bound, sentinels;
  bool json = false;
};

/// The bound that an archive's blocks carry; none where all are exact. Errors: malformed (two bounds).
Result<kernels::LossBound> bound_of_archive(const std::string& path) {
  FF_ASSIGN(const ArchiveReader archive, ArchiveReader::open(path));
  kernels::LossBound found;
  for (const ArchiveEntry& entry : archive.entries()) {
    FF_ASSIGN(const auto bytes, archive.read(entry));
    FF_ASSIGN(const auto envelope, wire::parse_envelope(bytes));
    if (!envelope.header.has_block()) continue;
    FF_ASSIGN(const kernels::BlockInfo info, kernels::inspect_block(envelope.payload));
    if (!info.bound) continue;
    if (found && !(found == info.bound))
      return fail(Errc::malformed, path + ": blocks of two bounds, " + to_string(found) + " and " +
                                       to_string(info.bound) +
                                       "; give --bound with the one to hold it against");
    found = info.bound;
  }
  return found;
}

bool is_archive(const std::string& path) { return path.ends_with(".ffs"); }

Status check_same_frames(const RecordingInfo& original, const RecordingInfo& coded) {
  if (original.shape == coded.shape && original.frames == coded.frames) return {};
  const auto words = [](const RecordingInfo& info) {
    return std::to_string(info.frames) + " frames of " + std::to_string(info.shape.rows) + " x " +
           std::to_string(info.shape.cols) + " " + std::string(dtype_name(info.shape.dtype));
  };
  return fail(Errc::shape_mismatch,
              "the original has " + words(original) + ", " + coded.source + " has " + words(coded));
}

struct Comparison {
  RecordingInfo info;
  kernels::LossBound bound;
  FrameErrors errors;
};

Result<Comparison> compare(const VerifyArguments& arguments) {
  FF_ASSIGN(const FrameReaderPtr original, open_recording(arguments.original));
  FF_ASSIGN(const FrameReaderPtr coded, open_recording(arguments.file));
  const RecordingInfo& info = original->info();
  FF_TRY(check_same_frames(info, coded->info()));
  kernels::LossBound bound;
  if (!arguments.bound.empty()) {
    FF_ASSIGN(bound, kernels::parse_loss_bound(arguments.bound));
  } else if (is_archive(arguments.file)) {
    FF_ASSIGN(bound, bound_of_archive(arguments.file));
  }
  ExactParts exact{is_archive(arguments.file) ? coded->info().sentinels : info.sentinels, info.pixel_mask};
  if (!arguments.sentinels.empty()) {
    FF_ASSIGN(exact.sentinels, parse_sentinels(arguments.sentinels));
  }
  Comparison comparison{info, bound, FrameErrors(info.shape, bound, std::move(exact))};
  std::vector<std::byte> before(info.shape.bytes()), after(info.shape.bytes());
  ProgressBar progress("verifying", info.frames, true);
  for (std::uint64_t i = 0; i < info.frames; ++i) {
    FF_TRY(original->read(i, before));
    FF_TRY(coded->read(i, after));
    comparison.errors.add(before, after);
    progress.update(i + 1);
  }
  return comparison;
}

nlohmann::ordered_json histogram_json(const FrameErrors& errors) {
  nlohmann::ordered_json out = nlohmann::ordered_json::object();
  constexpr auto kReach = FrameErrors::kHistogramReach;
  const auto put = [&](const std::string& key, std::uint64_t count) {
    if (count != 0) out[key] = count;
  };
  put("below", errors.histogram[2 * kReach + 1]);
  for (std::int64_t e = -kReach; e <= kReach; ++e)
    put(std::to_string(e), errors.histogram[static_cast<std::size_t>(e + kReach)]);
  put("above", errors.histogram[2 * kReach + 2]);
  return out;
}

void print_json(const Comparison& comparison, const VerifyArguments& arguments) {
  const FrameErrors& errors = comparison.errors;
  const nlohmann::ordered_json out = {{"original", arguments.original},
                                      {"file", arguments.file},
                                      {"frames", comparison.info.frames},
                                      {"pixels", errors.pixels},
                                      {"bound", to_string(comparison.bound)},
                                      {"promise_kept", errors.promise_kept()},
                                      {"pixels_changed", errors.changed},
                                      {"pixels_over_bound", errors.over_bound},
                                      {"masked_or_sentinels_changed", errors.exact_parts_changed},
                                      {"false_sentinels", errors.false_sentinels},
                                      {"error_max", errors.error_max},
                                      {"error_over_sqrt_max", errors.error_over_root_max},
                                      {"error_mean", errors.mean()},
                                      {"error_rms", errors.rms()},
                                      {"error_rms_over_sigma", errors.rms_over_sigma()},
                                      {"histogram", histogram_json(errors)}};
  std::printf("%s\n", out.dump(1).c_str());
}

void print_text(const Comparison& comparison, const VerifyArguments& arguments) {
  const FrameErrors& errors = comparison.errors;
  const double share =
      static_cast<double>(errors.changed) / static_cast<double>(std::max<std::uint64_t>(1, errors.pixels));
  std::printf("%s: %llu frames, bound %s\n", arguments.file.c_str(),
              static_cast<unsigned long long>(comparison.info.frames), to_string(comparison.bound).c_str());
  if (errors.changed == 0) {
    std::printf("every pixel is equal\n");
    return;
  }
  std::printf("changed pixels        %.2f %%\n", 100 * share);
  std::printf("largest error         %llu\n", static_cast<unsigned long long>(errors.error_max));
  std::printf("largest error/sqrt(x) %.4f\n", errors.error_over_root_max);
  std::printf("mean error (bias)     %+.5f\n", errors.mean());
  std::printf("rms error             %.4f; %.3f of the counting noise sqrt(x)\n", errors.rms(),
              errors.rms_over_sigma());
  std::printf("over the bound        %llu\n", static_cast<unsigned long long>(errors.over_bound));
  std::printf("masked or sentinels   %llu changed, %llu made\n",
              static_cast<unsigned long long>(errors.exact_parts_changed),
              static_cast<unsigned long long>(errors.false_sentinels));
}

int verify(const VerifyArguments& arguments) {
  const auto comparison = compare(arguments);
  if (!comparison.ok()) return report_error("verify", comparison.error());
  if (arguments.json)
    print_json(*comparison, arguments);
  else
    print_text(*comparison, arguments);
  if (comparison->errors.promise_kept()) return kExitDone;
  std::fprintf(stderr, "foreframe verify: %s breaks its promise (%s)\n", arguments.file.c_str(),
               comparison->bound ? to_string(comparison->bound).c_str() : "exact; --bound names another");
  return kExitBroken;
}

}  // namespace

int verify_command(int argc, char** argv) {
  VerifyArguments arguments;
  CLI::App app{
      "Decodes a file and holds every pixel against the recording it was made from: exact, or within the "
      "declared "
      "bound, masked pixels and sentinels exact always. Exit code 1 if one is not.",
      "foreframe verify"};
  app.add_option(
         "ORIGINAL", arguments.original,
         "the recording: NAME.json, NAME.raw[.zst], FILE.h5:/path, FILE.tif or sim:PRESET[,key=value...]")
      ->required();
  app.add_option("FILE", arguments.file,
                 "an .ffs file, or a recording such as a sink's FILE.h5:/entry/data/data")
      ->required();
  app.add_option("--bound", arguments.bound,
                 "abs:N, rel:P%,LOW,HIGH, sqrt:F or photon:GAIN,PEDESTAL; default: what an .ffs file "
                 "carries, else exact");
  app.add_option(
      "--sentinels", arguments.sentinels,
      "values that must be exact (65535 or -1,-2), or none; default: those of the .ffs file or the original");
  app.add_flag("--json", arguments.json, "as JSON, with a histogram of the errors");
  app.footer(
      "examples:\n"
      "  foreframe verify lysozyme.h5:/entry/data/data lysozyme.ffs\n"
      "  foreframe verify lysozyme.json series_master.h5:/entry/data/data --bound sqrt:0.5 --json");
  return parse_and_run(app, argc, argv, [&] { return verify(arguments); });
}

}  // namespace ff::tools
