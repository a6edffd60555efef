// SPDX-License-Identifier: Apache-2.0
//
// The memory bound as JSON.
#include "tools/command/memory_report.hpp"

#include <nlohmann/json.hpp>

namespace ff::tools {

nlohmann::ordered_json memory_json(const MemoryBound& bound) {
  return {{"total", bound.total()}, {"process", bound.process}, {"source", bound.source},
          {"frames", bound.frames}, {"coded", bound.coded},     {"states", bound.states},
          {"work", bound.work}};
}

}  // namespace ff::tools
