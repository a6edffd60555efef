// SPDX-License-Identifier: Apache-2.0
//
// Stands in for the vector code where the compiler has none for this processor family.
#include "common/base/check.hpp"
#include "kernels/cpu/codec_cpu.hpp"

namespace ff::kernels::cpu {

bool available() noexcept { return false; }
bool supports(const PredictorSetup&) noexcept { return false; }

std::optional<std::vector<std::vector<std::uint16_t>>> encode_lanes(TileState::Body&, const GroupSetup&,
                                                                    GroupFrames, std::size_t) {
  FF_CHECK(!"no vector code in this build; ask available() first");
  return std::nullopt;
}

Status decode_lanes(TileState::Body&, const PredictedPayload&, MutableGroupFrames) {
  FF_CHECK(!"no vector code in this build; ask available() first");
  return {};
}

}  // namespace ff::kernels::cpu
