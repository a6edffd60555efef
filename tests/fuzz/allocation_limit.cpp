// SPDX-License-Identifier: Apache-2.0
//
// Counting operator new and delete. Memory still comes from malloc, so that a sanitizer sees it.
#include "tests/fuzz/allocation_limit.hpp"

#include <cstdio>
#include <cstdlib>
#include <malloc.h>
#include <new>

namespace {

thread_local bool counting = false;
thread_local std::size_t held = 0, peak_held = 0, held_max = 0;

void* counted(void* memory) {
  if (memory == nullptr) std::abort();
  if (!counting) return memory;
  held += malloc_usable_size(memory);
  if (held > peak_held && held < ~std::size_t{0} / 2)
    peak_held = held;  // frees of older memory may lead below zero
  if (peak_held > held_max) {
    std::fprintf(stderr, "fuzz: holds %zu bytes, the checked header allows %zu\n", peak_held, held_max);
    std::abort();
  }
  return memory;
}

void release(void* memory) noexcept {
  if (counting && memory != nullptr) held -= malloc_usable_size(memory);
  std::free(memory);
}

std::size_t whole(std::size_t size, std::size_t alignment) {
  return (size + alignment - 1) / alignment * alignment;
}

}  // namespace

// Every form is replaced: a sanitizer compares how memory was taken and given back.
void* operator new(std::size_t size) { return counted(std::malloc(size == 0 ? 1 : size)); }
void* operator new[](std::size_t size) { return operator new(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return operator new(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return operator new(size); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  const auto align = static_cast<std::size_t>(alignment);
  return counted(std::aligned_alloc(align, whole(size, align)));
}
void* operator new[](std::size_t size, std::align_val_t alignment) { return operator new(size, alignment); }
void operator delete(void* memory) noexcept { release(memory); }
void operator delete[](void* memory) noexcept { release(memory); }
void operator delete(void* memory, std::size_t) noexcept { release(memory); }
void operator delete[](void* memory, std::size_t) noexcept { release(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { release(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { release(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { release(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { release(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { release(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { release(memory); }

namespace ff::fuzz {

AllocationLimit::AllocationLimit(std::size_t bytes_max) noexcept {
  held = peak_held = 0;
  held_max = bytes_max;
  counting = true;
}
AllocationLimit::~AllocationLimit() { counting = false; }
std::size_t AllocationLimit::peak() const noexcept { return peak_held; }

}  // namespace ff::fuzz
