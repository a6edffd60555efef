// SPDX-License-Identifier: Apache-2.0
//
// FrameHandle: a frame in its pool slot, shared by the tiles that are coded from it. The slot goes back when
// the last handle is gone; the pool outlives its frames.
#pragma once

#include <memory>

#include "common/base/frame_pool.hpp"

namespace ff::agent {

struct HeldFrame {
  std::shared_ptr<FramePool> pool;  ///< before `frame`: destroyed after it
  PooledFrame frame;
};

using FrameHandle = std::shared_ptr<const HeldFrame>;

}  // namespace ff::agent
