// SPDX-License-Identifier: Apache-2.0
//
// Chooses the CPU path: the widest vectors that processor and build allow. FF_CPU_PATH in the environment
// (generic, avx2, avx512) narrows the choice, so that a test on one machine can run them all.
#include "kernels/cpu/codec_cpu.hpp"

#include <cstdlib>
#include <string_view>

#include "kernels/cpu/cpu_paths.hpp"

namespace ff::kernels::cpu {
namespace {

enum class Path { generic, avx2, avx512 };

Path widest_path() noexcept {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vnni");
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
  const char* named = std::getenv("FF_CPU_PATH");
  const std::string_view limit = named == nullptr ? "avx512" : named;
  if (avx512 && avx2 && limit == "avx512") return Path::avx512;
  if (avx2 && limit != "generic") return Path::avx2;
#endif
  return Path::generic;
}

Path path() noexcept {
  static const Path widest = widest_path();
  return widest;
}

}  // namespace

std::optional<std::vector<std::vector<std::uint16_t>>> encode_lanes(TileState::Body& body,
                                                                    const GroupCoding& coding,
                                                                    GroupFrames frames,
                                                                    std::size_t bytes_max) {
  switch (path()) {
#if defined(__x86_64__)
    case Path::avx512: return avx512::encode_lanes(body, coding, frames, bytes_max);
    case Path::avx2: return avx2::encode_lanes(body, coding, frames, bytes_max);
#endif
    default: return generic::encode_lanes(body, coding, frames, bytes_max);
  }
}

Status decode_lanes(TileState::Body& body, const PredictedPayload& payload, MutableGroupFrames frames) {
  switch (path()) {
#if defined(__x86_64__)
    case Path::avx512: return avx512::decode_lanes(body, payload, frames);
    case Path::avx2: return avx2::decode_lanes(body, payload, frames);
#endif
    default: return generic::decode_lanes(body, payload, frames);
  }
}

std::optional<std::vector<std::vector<std::uint16_t>>> encode_phases(TileState::Body& body,
                                                                     const GroupCoding& coding,
                                                                     GroupFrames frames,
                                                                     std::size_t bytes_max) {
  switch (path()) {
#if defined(__x86_64__)
    case Path::avx512: return avx512::encode_phases(body, coding, frames, bytes_max);
    case Path::avx2: return avx2::encode_phases(body, coding, frames, bytes_max);
#endif
    default: return generic::encode_phases(body, coding, frames, bytes_max);
  }
}

Status decode_phases(TileState::Body& body, const PredictedPayload& payload, MutableGroupFrames frames) {
  switch (path()) {
#if defined(__x86_64__)
    case Path::avx512: return avx512::decode_phases(body, payload, frames);
    case Path::avx2: return avx2::decode_phases(body, payload, frames);
#endif
    default: return generic::decode_phases(body, payload, frames);
  }
}

std::optional<std::vector<std::vector<std::uint16_t>>> encode_cells(TileState::Body& body,
                                                                    const GroupCoding& coding,
                                                                    GroupFrames frames,
                                                                    std::size_t bytes_max) {
  switch (path()) {
#if defined(__x86_64__)
    case Path::avx512: return avx512::encode_cells(body, coding, frames, bytes_max);
    case Path::avx2: return avx2::encode_cells(body, coding, frames, bytes_max);
#endif
    default: return generic::encode_cells(body, coding, frames, bytes_max);
  }
}

Status decode_cells(TileState::Body& body, const PredictedPayload& payload, MutableGroupFrames frames) {
  switch (path()) {
#if defined(__x86_64__)
    case Path::avx512: return avx512::decode_cells(body, payload, frames);
    case Path::avx2: return avx2::decode_cells(body, payload, frames);
#endif
    default: return generic::decode_cells(body, payload, frames);
  }
}

}  // namespace ff::kernels::cpu
