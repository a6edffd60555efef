// SPDX-License-Identifier: Apache-2.0
//
// Presets of the simulator and the words of "sim:PRESET,key=value".
#include <charconv>

#include "tools/simulator/poisson_levels.hpp"
#include "tools/simulator/simulator.hpp"

namespace ff::tools {

namespace {

const SimulatorSpec kPresets[] = {
    {"citius-module",
     SimulatedKind::integrating,
     {Dtype::u16, 728, 384},
     {728, 384, 0, 0},
     1000,
     1 / 17400.0,
     0.2,
     20,
     1},
    {"citius-840k",
     SimulatedKind::integrating,
     {Dtype::u16, 2184, 384},
     {728, 384, 0, 0},
     1000,
     1 / 17400.0,
     0.2,
     20,
     1},
    {"jungfrau-4m",
     SimulatedKind::integrating,
     {Dtype::u16, 4096, 1024},
     {512, 1024, 0, 0},
     200,
     1 / 2000.0,
     0.5,
     20,
     1},
    {"eiger2-16m",
     SimulatedKind::statics,
     {Dtype::u16, 4362, 4148},
     {512, 1028, 38, 12},
     100,
     1 / 133.0,
     0.5,
     20,
     1},
    {"pilatus-6m",
     SimulatedKind::statics,
     {Dtype::i32, 2527, 2463},
     {195, 487, 17, 7},
     100,
     1 / 25.0,
     5,
     20,
     1},
};

template <typename Number>
Status read_number(std::string_view key, std::string_view text, Number lowest, Number highest,
                   Number& value) {
  Number parsed{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parsed);
  if (error != std::errc{} || end != text.data() + text.size() || !(parsed >= lowest && parsed <= highest)) {
    return fail(Errc::invalid_argument, "sim: " + std::string(key) + "=" + std::string(text) +
                                            ": takes a number from " + std::to_string(lowest) + " to " +
                                            std::to_string(highest));
  }
  value = parsed;
  return {};
}

Status read_kind(std::string_view text, SimulatedKind& kind) {
  if (text == "static")
    kind = SimulatedKind::statics;
  else if (text == "rotation")
    kind = SimulatedKind::rotation;
  else if (text == "speckle")
    kind = SimulatedKind::speckle;
  else if (text == "integrating")
    kind = SimulatedKind::integrating;
  else
    return fail(Errc::invalid_argument,
                "sim: kind=" + std::string(text) + ": takes static, rotation, speckle or integrating");
  return {};
}

Status read_dtype(std::string_view text, Dtype& dtype) {
  const auto parsed = parse_dtype(text);
  if (!parsed || dtype_is_float(*parsed) || *parsed == Dtype::i8) {
    return fail(Errc::invalid_argument,
                "sim: dtype=" + std::string(text) + ": takes u8, u16, u32, i16 or i32");
  }
  dtype = *parsed;
  return {};
}

Status read_option(std::string_view key, std::string_view value, SimulatorSpec& spec) {
  if (key == "frames") return read_number<std::uint64_t>(key, value, 1, 1ull << 40, spec.frames);
  if (key == "rows") return read_number<std::uint32_t>(key, value, 1, 16384, spec.shape.rows);
  if (key == "cols") return read_number<std::uint32_t>(key, value, 1, 16384, spec.shape.cols);
  if (key == "rate")
    return read_number(key, value, PoissonLevels::kRateMin, PoissonLevels::kRateMax, spec.photons_per_pixel);
  if (key == "seed") return read_number<std::uint64_t>(key, value, 0, UINT64_MAX, spec.seed);
  if (key == "tau") return read_number(key, value, 1.0, 2000.0, spec.tau_frames);
  if (key == "kind") return read_kind(value, spec.kind);
  if (key == "dtype") return read_dtype(value, spec.shape.dtype);
  return fail(Errc::invalid_argument, "sim: there is no '" + std::string(key) +
                                          "'; known are frames, rows, cols, rate, seed, kind, tau, dtype");
}

Result<SimulatorSpec> preset_named(std::string_view name) {
  for (const SimulatorSpec& preset : kPresets) {
    if (preset.preset == name) return preset;
  }
  std::string known;
  for (const SimulatorSpec& preset : kPresets) known += (known.empty() ? "" : ", ") + preset.preset;
  return fail(Errc::not_found, "sim: there is no preset '" + std::string(name) + "'; known are " + known);
}

}  // namespace

Result<SimulatorSpec> parse_simulator_spec(const std::string& source) {
  std::string_view rest = std::string_view(source).substr(4);  // behind "sim:"
  const auto take_word = [&rest] {
    const std::string_view word = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), word.size() + 1));
    return word;
  };
  FF_ASSIGN(SimulatorSpec spec, preset_named(take_word()));
  while (!rest.empty()) {
    const std::string_view word = take_word();
    const auto equals = word.find('=');
    if (equals == std::string_view::npos) {
      return fail(Errc::invalid_argument, "sim: '" + std::string(word) + "' is no key=value");
    }
    FF_TRY(read_option(word.substr(0, equals), word.substr(equals + 1), spec));
  }
  if (spec.kind == SimulatedKind::integrating && spec.shape.dtype != Dtype::u16) {
    return fail(Errc::invalid_argument,
                "sim: an integrating detector keeps its gain in the top bits of 16; leave dtype away");
  }
  return spec;
}

}  // namespace ff::tools
