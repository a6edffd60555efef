// SPDX-License-Identifier: Apache-2.0
//
// plan_loops.inl compiled for any processor; and the choice of a path.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string_view>

#include "kernels/reference/plan_loops.hpp"

namespace ff::kernels::reference {
namespace generic_loops {
#include "kernels/reference/plan_loops.inl"
#include "kernels/reference/plan_row_loops.inl"
}  // namespace generic_loops

#if defined(__x86_64__)
const PlanLoops& avx2_plan_loops() noexcept;
const PlanLoops& avx512_plan_loops() noexcept;
#endif

const PlanLoops& plan_loops(LoopPath path) noexcept {
#if defined(__x86_64__)
  if (path == LoopPath::avx512) return avx512_plan_loops();
  if (path == LoopPath::avx2) return avx2_plan_loops();
#else
  (void)path;
#endif
  return generic_loops::kLoops;
}

namespace {

LoopPath widest_path() noexcept {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  const bool avx2 = __builtin_cpu_supports("avx2");
  const char* named = std::getenv("FF_CPU_PATH");
  const std::string_view limit = named == nullptr ? "avx512" : named;
  if (avx512 && avx2 && limit == "avx512") return LoopPath::avx512;
  if (avx2 && limit != "generic") return LoopPath::avx2;
#endif
  return LoopPath::generic;
}

}  // namespace

const PlanLoops& plan_loops() noexcept {
  static const PlanLoops& widest = plan_loops(widest_path());
  return widest;
}

}  // namespace ff::kernels::reference
