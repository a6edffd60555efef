// SPDX-License-Identifier: Apache-2.0
//
// Which simulated frames, and with which peers.
#include "tools/bench/simulated_sets.hpp"

#include "common/base/check.hpp"
#include "tools/simulator/simulator.hpp"

namespace ff::tools {

namespace {

std::string short_number(double value) {
  std::string text = std::to_string(value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

SimulatedSet static_counts(double photons, const char* dtype, bool every_peer) {
  SimulatedSet set;
  set.source = "sim:eiger2-16m,rows=512,cols=512,frames=64,dtype=" + std::string(dtype) +
               ",rate=" + short_number(photons);
  set.photons_per_pixel = photons;
  set.window_frames = 64;
  set.every_peer = every_peer;
  return set;
}

double bytes_per_second(const std::string& preset) {
  const auto spec = parse_simulator_spec("sim:" + preset);
  FF_CHECK(spec.ok());
  return static_cast<double>(spec->shape.bytes()) / spec->frame_time_s;
}

SimulatedSet part_of(const std::string& preset, const std::string& keys) {
  SimulatedSet set;
  set.source = "sim:" + preset + keys;
  set.detector_bytes_per_s = bytes_per_second(preset);
  set.every_peer = false;
  return set;
}

}  // namespace

std::vector<SimulatedSet> photon_sweep() {
  std::vector<SimulatedSet> sets;
  for (const double photons : {0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 100.0, 300.0, 1000.0})
    sets.push_back(static_counts(photons, "u16", true));
  for (const double photons : {0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0})
    sets.push_back(static_counts(photons, "u8", false));
  return sets;
}

std::vector<SimulatedSet> detector_frames() {
  return {part_of("citius-module", ",frames=64"), part_of("citius-840k", ",frames=32"),
          part_of("jungfrau-4m", ",rows=1024,frames=32"),
          part_of("eiger2-16m", ",rows=1100,cols=2080,frames=32")};
}

CodecBenchOptions options_for(const SimulatedSet& set, CodecBenchOptions options) {
  options.own.window_frames = set.window_frames;
  options.own.group_frames = 0;
  options.frames_max = 0;
  if (set.photons_per_pixel == 0) options.bounds.clear();
  if (set.every_peer) return options;
  std::erase_if(options.peers, [&](const std::string& codec) {
    const bool kept = codec == "bitshuffle-lz4" || (set.photons_per_pixel > 0 && codec.starts_with("tezip"));
    return !kept;
  });
  return options;
}

Result<RecordingBench> bench_simulated(const SimulatedSet& set, CodecBenchOptions options,
                                       const std::function<void(const std::string&)>& on_step) {
  FF_ASSIGN(RecordingBench bench, bench_recording(set.source, options_for(set, std::move(options)), on_step));
  if (set.photons_per_pixel > 0) bench.photons_per_pixel = set.photons_per_pixel;
  if (set.detector_bytes_per_s > 0) bench.detector_bytes_per_s = set.detector_bytes_per_s;
  return bench;
}

}  // namespace ff::tools
