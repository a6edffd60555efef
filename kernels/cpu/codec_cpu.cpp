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

const ModelCoders& widest_path() noexcept {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vnni");
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
  const char* named = std::getenv("FF_CPU_PATH");
  const std::string_view limit = named == nullptr ? "avx512" : named;
  if (avx512 && avx2 && limit == "avx512") return avx512::kCoders;
  if (avx2 && limit != "generic") return avx2::kCoders;
#endif
  return generic::kCoders;
}

}  // namespace

const ModelCoders& coders() noexcept {
  static const ModelCoders& widest = widest_path();
  return widest;
}

}  // namespace ff::kernels::cpu
