// SPDX-License-Identifier: Apache-2.0
//
// `foreframe inspect`: what an archive, a spool's segment or a bare block file holds. Decodes no pixel.
#include <cstdio>
#include <fstream>
#include <map>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "common/base/units.hpp"
#include "common/base/uuid.hpp"
#include "common/wire/envelope.hpp"
#include "kernels/codec.hpp"
#include "tools/archive/archive_file.hpp"
#include "tools/command/command_support.hpp"
#include "tools/command/commands.hpp"

namespace ff::tools {

namespace {

using nlohmann::ordered_json;
namespace pb = foreframe::wire;

constexpr std::uint64_t kBlockFileBytesMax = 1ull << 30;

struct InspectArguments {
  std::string source;
  bool json = false, blocks = false;
};

ordered_json block_json(ByteSpan block) {
  const auto info = kernels::inspect_block(block);
  if (!info.ok())
    return {{"error", std::string(to_string(info.error().code))}, {"message", info.error().message}};
  ordered_json header = ordered_json::parse(info->summary_json, nullptr, false);
  return header.is_discarded() ? ordered_json(info->summary_json) : header;
}

ordered_json geometry_json(const pb::StreamGeometry& geometry) {
  return {{"rows", geometry.rows()},
          {"cols", geometry.cols()},
          {"dtype", std::string(dtype_name(static_cast<Dtype>(geometry.dtype())))},
          {"tile_rows", geometry.tile_rows()},
          {"tile_cols", geometry.tile_cols()},
          {"sentinels", std::vector<std::int64_t>(geometry.sentinels().begin(), geometry.sentinels().end())}};
}

double bits_per_pixel(const pb::Window& window) {
  const auto bytes = dtype_bytes(static_cast<Dtype>(window.geometry().dtype()));
  return window.raw_bytes() == 0 ? 0
                                 : 8.0 * static_cast<double>(window.coded_bytes()) *
                                       static_cast<double>(bytes) / static_cast<double>(window.raw_bytes());
}

ordered_json window_json(const pb::Window& window) {
  return {{"window", window.window()},
          {"frames", window.frame_count()},
          {"groups", window.groups_per_tile_size() > 0 ? window.groups_per_tile(0) : 0},
          {"raw_bytes", window.raw_bytes()},
          {"coded_bytes", window.coded_bytes()},
          {"bits_per_pixel", bits_per_pixel(window)}};
}

void add_record(const ArchiveEntry& entry, ByteSpan bytes, bool with_blocks, ordered_json& out) {
  const auto envelope = wire::parse_envelope(bytes);
  if (!envelope.ok()) {
    out["errors"].push_back({{"position", entry.position},
                             {"error", std::string(to_string(envelope.error().code))},
                             {"message", envelope.error().message}});
    return;
  }
  const pb::EnvelopeHeader& header = envelope->header;
  if (!out.contains("series_uid")) {
    const auto uid = Uuid::from_bytes(as_bytes(header.series_uid()));
    out["series_uid"] = uid.ok() ? uid->to_string() : "";
    out["detector"] = header.detector();
    out["agent"] = header.agent();
    out["window_frames"] = header.window_frames();
  }
  if (header.has_series_start()) out["geometry"] = geometry_json(header.series_start().geometry());
  if (header.has_window()) out["windows"].push_back(window_json(header.window()));
  if (header.has_series_end()) out["frames"] = header.series_end().frames_expected();
  if (!header.has_block()) return;
  if (!out.contains("geometry")) out["geometry"] = geometry_json(header.block().geometry());
  const ordered_json block = block_json(envelope->payload);
  if (block.value("exact", true) == false) out["exact"] = false;
  if (block.value("bound", "none") != "none") out["bound"] = block["bound"];
  if (block.contains("error"))
    out["errors"].push_back(
        {{"position", entry.position}, {"error", block["error"]}, {"message", block["message"]}});
  if (!with_blocks) return;
  out["blocks"].push_back({{"window", entry.window},
                           {"group", entry.group},
                           {"tile", entry.tile},
                           {"bytes", envelope->payload.size()},
                           {"header", block}});
}

Result<ordered_json> inspect_archive(const std::string& path, bool with_blocks) {
  FF_ASSIGN(const ArchiveReader archive, ArchiveReader::open(path));
  ordered_json out = {{"file", path},
                      {"kind", "archive"},
                      {"file_bytes", archive.file_bytes()},
                      {"has_index", archive.has_index()},
                      {"records", archive.entries().size()},
                      {"exact", true},
                      {"bound", "none"},
                      {"windows", ordered_json::array()},
                      {"errors", ordered_json::array()}};
  for (const ArchiveEntry& entry : archive.entries()) {
    const auto bytes = archive.read(entry);
    if (bytes.ok())
      add_record(entry, *bytes, with_blocks, out);
    else
      out["errors"].push_back({{"position", entry.position},
                               {"error", std::string(to_string(bytes.error().code))},
                               {"message", bytes.error().message}});
  }
  return out;
}

Result<ordered_json> inspect_block_file(const std::string& path) {
  std::ifstream stream(path, std::ios::binary | std::ios::ate);
  if (!stream) return fail(Errc::not_found, path + ": can't be opened");
  const auto size = static_cast<std::uint64_t>(stream.tellg());
  if (size > kBlockFileBytesMax) return fail(Errc::too_large, path + ": above 1 GiB, no block");
  std::vector<char> bytes(size);
  stream.seekg(0);
  stream.read(bytes.data(), static_cast<std::streamsize>(size));
  FF_ASSIGN(const kernels::BlockInfo info, kernels::inspect_block(std::as_bytes(std::span(bytes))));
  return ordered_json{{"file", path},
                      {"kind", "block"},
                      {"file_bytes", size},
                      {"header", ordered_json::parse(info.summary_json, nullptr, false)}};
}

void print_archive(const ordered_json& out) {
  const ordered_json& geometry = out.value("geometry", ordered_json::object());
  std::printf(
      "%s: %llu records, %s\n", out["file"].get<std::string>().c_str(),
      static_cast<unsigned long long>(out["records"].get<std::uint64_t>()),
      out["has_index"].get<bool>() ? "with index" : "without index: a spool's segment, or not finished");
  if (out.contains("series_uid")) {
    std::printf("series %s of %s by %s\n", out["series_uid"].get<std::string>().c_str(),
                out["detector"].get<std::string>().c_str(), out["agent"].get<std::string>().c_str());
    std::printf("frames %s of %s x %s %s, tiles %s x %s, W = %s\n",
                out.value("frames", ordered_json("?")).dump().c_str(), geometry["rows"].dump().c_str(),
                geometry["cols"].dump().c_str(), geometry["dtype"].get<std::string>().c_str(),
                geometry["tile_rows"].dump().c_str(), geometry["tile_cols"].dump().c_str(),
                out["window_frames"].dump().c_str());
  }
  if (!out["exact"].get<bool>())
    std::printf("lossy, every pixel within its bound: %s\n", out["bound"].get<std::string>().c_str());
  std::printf("%8s %7s %7s %14s %14s %8s %8s\n", "window", "frames", "groups", "raw bytes", "coded bytes",
              "ratio", "bits/px");
  for (const ordered_json& window : out["windows"]) {
    const double raw = window["raw_bytes"].get<double>(),
                 coded = std::max(1.0, window["coded_bytes"].get<double>());
    std::printf("%8s %7s %7s %14.0f %14.0f %8.3f %8.4f\n", window["window"].dump().c_str(),
                window["frames"].dump().c_str(), window["groups"].dump().c_str(), raw, coded, raw / coded,
                window["bits_per_pixel"].get<double>());
  }
  for (const ordered_json& error : out["errors"]) {
    std::printf("byte %s: %s\n", error["position"].dump().c_str(),
                error["message"].get<std::string>().c_str());
  }
}

int inspect(const InspectArguments& arguments) {
  Result<ordered_json> found = inspect_archive(arguments.source, arguments.blocks);
  if (!found.ok() && found.error().code == Errc::bad_magic) found = inspect_block_file(arguments.source);
  if (!found.ok()) return report_error("inspect", found.error());
  const ordered_json& out = *found;
  if (arguments.json || out["kind"] == "block" || arguments.blocks)
    std::printf("%s\n", out.dump(1).c_str());
  else
    print_archive(out);
  return out.contains("errors") && !out["errors"].empty() ? kExitBadData : kExitDone;
}

}  // namespace

int inspect_command(int argc, char** argv) {
  InspectArguments arguments;
  CLI::App app{
      "Shows what an .ffs file or a block file holds; checks every checksum, decodes no pixel. Exit code 65 "
      "if something is damaged.",
      "foreframe inspect"};
  app.add_option("FILE", arguments.source, "an .ffs file, a segment of a spool or log, or a block file")
      ->required();
  app.add_flag("--blocks", arguments.blocks, "every block's header, as JSON");
  app.add_flag("--json", arguments.json, "as JSON");
  app.footer(
      "examples:\n  foreframe inspect lysozyme.ffs\n  foreframe inspect lysozyme.ffs --blocks | jq "
      "'.blocks[0]'");
  return parse_and_run(app, argc, argv, [&] { return inspect(arguments); });
}

}  // namespace ff::tools
