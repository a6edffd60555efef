// SPDX-License-Identifier: Apache-2.0
//
// Detector simulator: seeded frames with known statistics, for tests, demos and commissioning.
//
//     sim:eiger2-16m,rows=1024,cols=1024,frames=500,rate=0.4,seed=7,kind=rotation
//
// Presets    citius-module  728 × 384 u16, 17.4 kHz, integrating      citius-840k  3 modules, 2184 × 384
//            jungfrau-4m  8 modules of 512 × 1024, u16, 2 kHz, integrating
//            eiger2-16m     4362 × 4148 u16, 133 Hz, counting, gaps   pilatus-6m   2527 × 2463 i32, 25 Hz,
//            counting, gaps
// Kinds      static       Poisson counts of one rate map (powder rings on a background): entropy exactly
// known
//            rotation     the same, with Bragg spots that come, move and go
//            speckle      intensities that lose their memory over `tau` frames, as in XPCS
//            integrating  pedestal, read noise and three gain stages (two top bits of the pixel), as JUNGFRAU
//            raw data
// In all     module gaps, masked dead pixels, unmasked dead and hot pixels.
//
// The same spec gives the same pixels on every machine: own random numbers, integers per pixel, and only
// exactly rounded operations when tables are built. About 100-300 Mpx/s on one core.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tools/recording/recording.hpp"

namespace ff::tools {

enum class SimulatedKind { statics, rotation, speckle, integrating };

/// Modules on a grid with gaps between them; a frame cropped below one module has no gap.
struct ModuleLayout {
  std::uint32_t module_rows = 0, module_cols = 0;
  std::uint32_t gap_rows = 0, gap_cols = 0;
};

struct SimulatorSpec {
  std::string preset;
  SimulatedKind kind = SimulatedKind::statics;
  FrameShape shape;
  ModuleLayout modules;
  std::uint64_t frames = 100;
  double frame_time_s = 0.01;
  double photons_per_pixel = 0.5;  ///< mean over good pixels and a frame; 0.0001 ... 50000
  double tau_frames = 20;  ///< speckle: frames until the field's correlation is down to 1/e; 1 ... 2000
  std::uint64_t seed = 1;
};

/// Parses "sim:PRESET[,key=value ...]" with keys frames, rows, cols, rate, seed, kind, tau, dtype.
/// Errors: invalid_argument (names the key and what it takes), not_found (preset).
[[nodiscard]] Result<SimulatorSpec> parse_simulator_spec(const std::string& source);

/// What a simulated recording keeps at most: levels, mask (twice), electronics and the tables of the counts.
[[nodiscard]] inline std::uint64_t simulator_memory_bytes(const FrameShape& shape) noexcept {
  return 36 * std::uint64_t{shape.pixels()} + (std::uint64_t{32} << 20);
}

/// Opens a simulated recording. Frames of speckle depend on the frames before them: reading backwards starts
/// again.
[[nodiscard]] Result<FrameReaderPtr> open_simulated_recording(const std::string& source);

}  // namespace ff::tools
