// SPDX-License-Identifier: Apache-2.0
#include "common/base/check.hpp"

#include <cstdio>
#include <cstdlib>

namespace ff {

void check_failed(const char* condition, const char* file, int line) noexcept {
  std::fprintf(stderr, "foreframe: broken invariant `%s` at %s:%d; stopping, please report this\n", condition,
               file, line);
  std::abort();
}

}  // namespace ff
