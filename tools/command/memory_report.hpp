// SPDX-License-Identifier: Apache-2.0
//
// The memory bound as the commands' --json prints it.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "tools/archive/archive_layout.hpp"

namespace ff::tools {

/// {"total": ..., "frames": ..., ...}, bytes.
[[nodiscard]] nlohmann::ordered_json memory_json(const MemoryBound& bound);

}  // namespace ff::tools
