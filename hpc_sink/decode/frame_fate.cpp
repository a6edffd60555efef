// SPDX-License-Identifier: Apache-2.0
//
// FrameFate: order and words of states and stages.
#include "hpc_sink/decode/frame_fate.hpp"

#include <array>

namespace ff::sink {
namespace {

// Indexed by FrameState: the higher, the better we know and have the frame.
constexpr std::array<int, 9> kStateRank{0, 1, 8, 7, 6, 5, 4, 3, 2};
constexpr std::array<std::string_view, 9> kStateWords{"unknown",        "sent",       "stored_exact",
                                                      "stored_bounded", "summarised", "vetoed",
                                                      "damaged",        "lost",       "not_acquired"};
constexpr std::array<std::string_view, 10> kStageWords{"none", "receive", "ingest",    "encode", "spool",
                                                       "link", "log",     "retention", "decode", "store"};

int rank(FrameFate fate) noexcept { return fate.state < kStateRank.size() ? kStateRank[fate.state] : 0; }

}  // namespace

FrameFate better_fate(FrameFate first, FrameFate second) noexcept {
  return rank(second) > rank(first) ? second : first;
}

std::string_view state_word(std::uint8_t state) noexcept {
  return state < kStateWords.size() ? kStateWords[state] : "invalid";
}

std::string_view stage_word(std::uint8_t stage) noexcept {
  return stage < kStageWords.size() ? kStageWords[stage] : "invalid";
}

}  // namespace ff::sink
