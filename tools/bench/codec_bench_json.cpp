// SPDX-License-Identifier: Apache-2.0
//
// A benchmark's report as JSON, and the machine it was made on.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <thread>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "tools/bench/codec_bench_report.hpp"

namespace ff::tools {

namespace {

using Json = nlohmann::ordered_json;

/// Six digits: more is noise.
double rounded(double value) {
  char digits[32];
  std::snprintf(digits, sizeof digits, "%.6g", value);
  return std::strtod(digits, nullptr);
}

Json spread_json(const Spread& spread) {
  if (spread.empty()) return nullptr;
  return {{"median", rounded(spread.median())},
          {"min", rounded(spread.least())},
          {"max", rounded(spread.most())},
          {"repeats", spread.count()}};
}

Json result_json(const Measured& result, std::size_t pixel_bytes) {
  Json out = {{"codec", result.codec}, {"label", result.label}, {"state", to_string(result.state)}};
  if (!result.note.empty()) out["note"] = result.note;
  if (result.state != MeasureState::measured) return out;
  out["frames"] = result.frames;
  out["raw_bytes"] = result.raw_bytes;
  out["bytes"] = result.bytes;
  out["bits_per_pixel"] = rounded(result.bits_per_pixel(pixel_bytes));
  out["ratio"] = rounded(result.ratio());
  out["encode_gb_s"] = spread_json(result.encode_gb_s);
  out["decode_gb_s"] = spread_json(result.decode_gb_s);
  if (!result.encode_planned_gb_s.empty())
    out["encode_planned_gb_s"] = spread_json(result.encode_planned_gb_s);
  if (!result.encode_steady_gb_s.empty()) out["encode_steady_gb_s"] = spread_json(result.encode_steady_gb_s);
  if (result.max_error) out["max_error"] = *result.max_error;
  return out;
}

Json results_json(const std::vector<Measured>& results, std::size_t pixel_bytes) {
  Json out = Json::array();
  for (const Measured& result : results) out.push_back(result_json(result, pixel_bytes));
  return out;
}

Json lossy_json(const LossyBench& lossy, std::size_t pixel_bytes) {
  Json out = {{"bound", lossy.bound.text}};
  if (lossy.absolute) out["absolute"] = *lossy.absolute;
  out["results"] = results_json(lossy.results, pixel_bytes);
  return out;
}

Json recording_json(const RecordingBench& bench) {
  const FrameShape& shape = bench.info.shape;
  const std::size_t pixel_bytes = dtype_bytes(shape.dtype);
  Json out = {{"name", bench.name},
              {"kind", bench.kind},
              {"dtype", std::string(dtype_name(shape.dtype))},
              {"frames", bench.frames},
              {"rows", shape.rows},
              {"cols", shape.cols},
              {"raw_bytes", bench.raw_bytes},
              {"mean", rounded(bench.mean)},
              {"zeros", rounded(bench.zeros)},
              {"order0_bits_per_pixel", rounded(bench.order0_bits_per_pixel)}};
  if (bench.info.entropy_bits_per_pixel)
    out["entropy_bits_per_pixel"] = rounded(*bench.info.entropy_bits_per_pixel);
  if (bench.photons_per_pixel) out["photons_per_pixel"] = *bench.photons_per_pixel;
  if (bench.detector_bytes_per_s) out["detector_bytes_per_s"] = rounded(*bench.detector_bytes_per_s);
  out["results"] = results_json(bench.results, pixel_bytes);
  if (!bench.lossy.empty()) {
    out["lossy"] = Json::array();
    for (const LossyBench& lossy : bench.lossy) out["lossy"].push_back(lossy_json(lossy, pixel_bytes));
  }
  return out;
}

std::string processor_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

const char* vector_instructions() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512bw") != 0) return "AVX-512";
  if (__builtin_cpu_supports("avx2") != 0) return "AVX2";
  return "none that the codec uses";
#else
  return "those of this architecture";
#endif
}

Json machine_json() {
  const auto memory =
      static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  return {{"processor", processor_name()},
          {"vector_instructions", vector_instructions()},
          {"cores", std::thread::hardware_concurrency()},
          {"memory_gib", std::llround(memory / (1 << 30))},
          {"compiler", "g++ " __VERSION__},
          {"build",
#ifdef NDEBUG
           "release"
#else
           "debug"
#endif
          }};
}

Json settings_json(const CodecBenchOptions& options) {
  return {{"device", std::string(kernels::to_string(options.own.device))},
          {"window_frames", options.own.window_frames},
          {"group_frames", options.own.group_frames},
          {"repeat", options.own.repeat},
          {"max_seconds", options.max_seconds},
          {"frames_max", options.frames_max}};
}

Json list_json(const std::vector<RecordingBench>& benches) {
  Json out = Json::array();
  for (const RecordingBench& bench : benches) out.push_back(recording_json(bench));
  return out;
}

/// Objects that hold no object or list are one line; all others are broken up.
void print(const Json& value, std::string& out, std::size_t depth) {
  const auto is_leaf = [](const Json& json) {
    return std::none_of(json.begin(), json.end(), [](const Json& inner) {
      return inner.is_array() || (inner.is_object() && !inner.contains("median"));
    });
  };
  if (!value.is_structured() || value.empty() || is_leaf(value)) {
    out += value.dump();
    return;
  }
  const std::string indent(depth + 1, ' ');
  out += value.is_array() ? "[" : "{";
  bool first = true;
  for (const auto& [key, inner] : value.items()) {
    out += (first ? "\n" : ",\n") + indent;
    if (value.is_object()) out += Json(key).dump() + ": ";
    print(inner, out, depth + 1);
    first = false;
  }
  out += "\n" + std::string(depth, ' ') + (value.is_array() ? "]" : "}");
}

}  // namespace

std::string bench_json(const CodecBenchReport& report) {
  const Json whole = {{"format", "foreframe-bench-codec"},
                      {"version", 1},
                      {"foreframe", FF_VERSION},
                      {"date", report.date},
                      {"command", report.command},
                      {"machine", machine_json()},
                      {"settings", settings_json(report.options)},
                      {"recordings", list_json(report.recordings)},
                      {"sweep", list_json(report.sweep)},
                      {"cores", list_json(report.cores)}};
  std::string out;
  print(whole, out, 0);
  return out + "\n";
}

}  // namespace ff::tools
