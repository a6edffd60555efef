// SPDX-License-Identifier: Apache-2.0
//
// Tables and CSV; JSON is in codec_bench_json.cpp.
#include "tools/bench/codec_bench_report.hpp"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <ctime>

namespace ff::tools {

namespace {

[[gnu::format(printf, 1, 2)]] std::string text(const char* format, ...) {
  char line[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  return line;
}

/// "1.09 (1.01-1.12)"
std::string with_spread(const Spread& speed) {
  if (speed.empty()) return "-";
  const int digits = speed.median() < 0.1 ? 4 : 2;
  if (speed.count() == 1) return text("%.*f", digits, speed.median());
  return text("%.*f (%.*f-%.*f)", digits, speed.median(), digits, speed.least(), digits, speed.most());
}

std::string result_line(const Measured& result, std::size_t pixel_bytes, std::uint64_t frames) {
  if (result.state != MeasureState::measured) {
    return text("  %-31s %s%s%s\n", result.label.c_str(), to_string(result.state),
                result.note.empty() ? "" : ": ", result.note.c_str());
  }
  std::string line =
      text("  %-31s %8.4f %8.2f  %-18s %-18s", result.label.c_str(), result.bits_per_pixel(pixel_bytes),
           result.ratio(), with_spread(result.encode_gb_s).c_str(), with_spread(result.decode_gb_s).c_str());
  if (!result.encode_planned_gb_s.empty())
    line += text(" known stream %s plan given %s", with_spread(result.encode_steady_gb_s).c_str(),
                 with_spread(result.encode_planned_gb_s).c_str());
  if (result.max_error) line += text(" largest error %.0f", *result.max_error);
  if (result.frames != frames)
    line += text(" on %llu frames", static_cast<unsigned long long>(result.frames));
  while (line.ends_with(' ')) line.pop_back();
  return line + "\n";
}

std::string csv_header(const CodecBenchReport& report) {
  std::string header = "recording,window_frames,raw_bytes";
  for (const auto profile : report.options.profiles)
    header += "," + std::string(kernels::to_string(profile)) + "_bytes";
  return header + "\n";
}

bool failed(const Measured& result) { return result.state == MeasureState::failed; }

bool any_failed_in(const std::vector<RecordingBench>& benches) {
  return std::ranges::any_of(benches, [](const RecordingBench& bench) {
    return std::ranges::any_of(bench.results, failed) ||
           std::ranges::any_of(bench.lossy, [](const LossyBench& lossy) {
             return std::ranges::any_of(lossy.results, failed);
           });
  });
}

}  // namespace

std::string bench_table(const RecordingBench& bench) {
  const FrameShape& shape = bench.info.shape;
  const std::size_t pixel_bytes = dtype_bytes(shape.dtype);
  std::string out =
      text("%s: %llu frames of %u x %u %s, mean %.4g, order-0 entropy %.4f bits/pixel", bench.name.c_str(),
           static_cast<unsigned long long>(bench.frames), shape.rows, shape.cols,
           std::string(dtype_name(shape.dtype)).c_str(), bench.mean, bench.order0_bits_per_pixel);
  if (bench.info.entropy_bits_per_pixel)
    out += text(", true entropy %.4f", *bench.info.entropy_bits_per_pixel);
  out += text("\n  %-31s %8s %8s  %-18s %-18s\n", "codec", "bits/px", "ratio", "encode GB/s", "decode GB/s");
  for (const Measured& result : bench.results) out += result_line(result, pixel_bytes, bench.frames);
  for (const LossyBench& lossy : bench.lossy) {
    out += "  within " + lossy.bound.text;
    if (lossy.absolute) out += text(", which is %d here", *lossy.absolute);
    out += "\n";
    for (const Measured& result : lossy.results) out += result_line(result, pixel_bytes, bench.frames);
  }
  return out;
}

std::string sizes_csv(const CodecBenchReport& report) {
  std::string csv = csv_header(report);
  for (const RecordingBench& bench : report.recordings) {
    csv += text("%s,%u,%llu", bench.name.c_str(), report.options.own.window_frames,
                static_cast<unsigned long long>(bench.raw_bytes));
    for (std::size_t i = 0; i < report.options.profiles.size(); ++i)
      csv += text(",%llu", static_cast<unsigned long long>(bench.results[i].bytes));
    csv += "\n";
  }
  return csv;
}

bool any_failed(const CodecBenchReport& report) {
  return any_failed_in(report.recordings) || any_failed_in(report.sweep) || any_failed_in(report.cores);
}

std::string today_utc() {
  const std::time_t now = std::time(nullptr);
  std::tm day{};
  gmtime_r(&now, &day);
  return text("%04d-%02d-%02d", day.tm_year + 1900, day.tm_mon + 1, day.tm_mday);
}

}  // namespace ff::tools
