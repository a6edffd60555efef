// SPDX-License-Identifier: Apache-2.0
//
// Scratch: memory that a thread keeps from one group to the next, because fresh pages cost more than what is written on them.
//
// Data path  window > plan > [encode] > envelope > ... > [decode] > store
// Not here   state of a tile (kernels/predictor_state.hpp).
#pragma once

#include <cstddef>
#include <memory>

#include "kernels/phase_state.hpp"

namespace ff::kernels::cpu {

/// Memory that is only written before it is read; grows, and is kept for the thread's next group. Starts on a cache
/// line.
template <typename T>
class Scratch {
 public:
  [[nodiscard]] T* get(std::size_t count) {
    if (count > capacity_) {
      memory_.reset(LineAllocator<T>().allocate(count));
      capacity_ = count;
    }
    return memory_.get();
  }

 private:
  struct Free {
    void operator()(T* memory) const noexcept { LineAllocator<T>().deallocate(memory, 0); }
  };
  std::unique_ptr<T, Free> memory_;
  std::size_t capacity_ = 0;
};

}  // namespace ff::kernels::cpu
