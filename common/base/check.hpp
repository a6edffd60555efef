// SPDX-License-Identifier: Apache-2.0
//
// FF_CHECK: our own mistake. Prints the broken condition and stops the program, in every build type:
// going on with a broken invariant could lose frames in silence.
#pragma once

namespace ff {

[[noreturn]] void check_failed(const char* condition, const char* file, int line) noexcept;

}  // namespace ff

#define FF_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::ff::check_failed(#condition, __FILE__, __LINE__))
