// SPDX-License-Identifier: Apache-2.0
//
// The order of measurements for one recording.
#include "tools/bench/codec_bench.hpp"

#include <algorithm>
#include <sstream>

#include "tools/bench/frame_peers.hpp"
#include "tools/bench/python_peers.hpp"
#include "tools/bench/tezip_peer.hpp"

namespace ff::tools {

namespace {

using Step = std::function<void(const std::string&)>;

bool asked(const CodecBenchOptions& options, const std::string& codec) {
  return std::ranges::find(options.peers, codec) != options.peers.end();
}

std::vector<std::string> asked_of_python(const CodecBenchOptions& options, bool lossy) {
  std::vector<std::string> codecs;
  for (const PythonPeer& peer : python_peers()) {
    if (peer.lossy == lossy && asked(options, peer.codec)) codecs.emplace_back(peer.codec);
  }
  return codecs;
}

Measured tezip(const BenchFrames& frames, const CodecBenchOptions& options, TezipPredictor predictor,
               std::int32_t bound) {
  return measure_tezip(
      frames, {predictor, options.own.window_frames, bound, options.own.repeat, options.max_seconds});
}

void add_python(const BenchFrames& frames, const CodecBenchOptions& options, bool lossy, std::int32_t bound,
                std::vector<Measured>& results, const Step& on_step) {
  const PythonPeerOptions python{asked_of_python(options, lossy), options.own.repeat, options.max_seconds,
                                 options.own.window_frames, bound};
  if (python.codecs.empty()) return;
  for (Measured& result : measure_python_peers(frames, python, [&] { on_step("peers in Python"); }))
    results.push_back(std::move(result));
}

void add_tezip(const BenchFrames& frames, const CodecBenchOptions& options, std::int32_t bound,
               std::vector<Measured>& results, const Step& on_step) {
  for (const auto predictor : {TezipPredictor::previous, TezipPredictor::mean}) {
    if (!asked(options, predictor == TezipPredictor::mean ? "tezip-mean" : "tezip-previous")) continue;
    results.push_back(tezip(frames, options, predictor, bound));
    on_step("TEZip's back end");
  }
}

void measure_lossless(const BenchFrames& frames, const CodecBenchOptions& options, RecordingBench& bench,
                      const Step& on_step) {
  for (const kernels::Profile profile : options.profiles) {
    bench.results.push_back(measure_own_codec(frames, profile, options.own));
    on_step(bench.results.back().label);
  }
  for (const FramePeer& peer : frame_peers()) {
    if (!asked(options, peer.codec)) continue;
    bench.results.push_back(measure_frame_peer(frames, peer.codec, options.own.repeat));
    on_step(peer.label);
  }
  add_python(frames, options, false, 1, bench.results, on_step);
  add_tezip(frames, options, 0, bench.results, on_step);
}

void add_own(const BenchFrames& frames, const CodecBenchOptions& options, const LossyBound& bound,
             const ValueRange& range, std::vector<Measured>& results, const Step& on_step) {
  const auto declared = declared_bound(bound, range, frames.info.shape.dtype);
  OwnCodecOptions own = options.own;
  if (declared.ok()) own.bound = *declared;
  for (const kernels::Profile profile : options.profiles) {
    const std::string name(kernels::to_string(profile));
    results.push_back(declared.ok() ? measure_own_codec(frames, profile, own)
                                    : not_measured(name, "Foreframe " + name, MeasureState::not_possible,
                                                   declared.error().message));
    on_step(results.back().label);
  }
}

void measure_lossy(const BenchFrames& frames, const CodecBenchOptions& options, RecordingBench& bench,
                   const Step& on_step) {
  if (options.bounds.empty()) return;
  const ValueRange range = range_without_sentinels(frames);
  for (const LossyBound& bound : options.bounds) {
    LossyBench lossy{bound, absolute_bound(bound, range), {}};
    add_own(frames, options, bound, range, lossy.results, on_step);
    if (lossy.absolute) {
      add_python(frames, options, true, *lossy.absolute, lossy.results, on_step);
      add_tezip(frames, options, *lossy.absolute, lossy.results, on_step);
    }
    bench.lossy.push_back(std::move(lossy));
  }
}

void describe(const BenchFrames& frames, RecordingBench& bench) {
  std::uint64_t zeros = 0, good = 0;
  double sum = 0;
  const std::vector<std::int64_t> values = pixel_values(frames);
  for (const std::int64_t value : values) {
    zeros += value == 0 ? 1 : 0;
    if (std::ranges::find(frames.info.sentinels, value) != frames.info.sentinels.end()) continue;
    sum += static_cast<double>(value);
    ++good;
  }
  bench.zeros = static_cast<double>(zeros) / static_cast<double>(std::max<std::size_t>(1, values.size()));
  bench.mean = sum / static_cast<double>(std::max<std::uint64_t>(1, good));
  bench.order0_bits_per_pixel = order0_bits_per_pixel(frames);
}

std::vector<BenchPeer> make_bench_peers() {
  std::vector<BenchPeer> peers;
  for (const FramePeer& peer : frame_peers()) peers.push_back({peer.codec, peer.label, false, false});
  for (const PythonPeer& peer : python_peers()) peers.push_back({peer.codec, peer.label, peer.lossy, true});
  peers.push_back({"tezip-previous", "TEZip back end, previous frame", false, false});
  peers.push_back({"tezip-mean", "TEZip back end, running mean", false, false});
  return peers;
}

}  // namespace

const std::vector<BenchPeer>& bench_peers() {
  static const std::vector<BenchPeer> peers = make_bench_peers();
  return peers;
}

Result<std::vector<std::string>> parse_bench_peers(const std::string& text) {
  std::vector<std::string> codecs;
  std::string known;
  for (const BenchPeer& peer : bench_peers()) {
    if (text == "all" || (text == "fast" && !peer.in_python && !peer.codec.starts_with("tezip")))
      codecs.push_back(peer.codec);
    known += (known.empty() ? "" : ", ") + peer.codec;
  }
  if (text == "all" || text == "fast" || text == "none") return codecs;
  std::istringstream words(text);
  for (std::string word; std::getline(words, word, ',');) {
    if (std::ranges::find(bench_peers(), word, &BenchPeer::codec) == bench_peers().end())
      return fail(Errc::invalid_argument, "--peers " + word + ": known are all, fast, none and " + known);
    codecs.push_back(word);
  }
  return codecs;
}

std::size_t bench_steps(const CodecBenchOptions& options) {
  std::size_t lossless = options.profiles.size(), lossy = 0;
  for (const BenchPeer& peer : bench_peers()) {
    if (!asked(options, peer.codec)) continue;
    lossless += peer.lossy ? 0 : 1;
    lossy += peer.lossy || peer.codec.starts_with("tezip") ? 1 : 0;
  }
  const auto absolute = std::ranges::count_if(
      options.bounds, [](const LossyBound& bound) { return bound.kind != LossyBound::Kind::square_root; });
  return lossless + options.bounds.size() * options.profiles.size() +
         lossy * static_cast<std::size_t>(absolute);
}

Result<RecordingBench> bench_recording(const std::string& source, const CodecBenchOptions& options,
                                       const Step& on_step) {
  FF_ASSIGN(const BenchFrames frames, load_bench_frames(source, options.frames_max));
  RecordingBench bench;
  bench.name = frames.name;
  bench.source = source;
  bench.info = frames.info;
  bench.info.pixel_mask.clear();
  bench.kind = frames.info.detector_mode;
  bench.frames = frames.frames;
  bench.raw_bytes = frames.pixels.size();
  describe(frames, bench);
  measure_lossless(frames, options, bench, on_step);
  measure_lossy(frames, options, bench, on_step);
  return bench;
}

}  // namespace ff::tools
