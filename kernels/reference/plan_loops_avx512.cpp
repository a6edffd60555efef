// SPDX-License-Identifier: Apache-2.0
//
// plan_loops.inl compiled for AVX-512.
#include "kernels/reference/plan_loops.hpp"

#if defined(__x86_64__)
#include <algorithm>
#include <cmath>

// From here on this file's own functions are compiled for it; what the headers above define is not.
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,prefer-vector-width=512")
namespace ff::kernels::reference {
namespace avx512_loops {
#include "kernels/reference/plan_loops.inl"
#include "kernels/reference/plan_row_loops.inl"
}  // namespace avx512_loops

const PlanLoops& avx512_plan_loops() noexcept;
const PlanLoops& avx512_plan_loops() noexcept { return avx512_loops::kLoops; }

}  // namespace ff::kernels::reference
#pragma GCC pop_options
#endif
