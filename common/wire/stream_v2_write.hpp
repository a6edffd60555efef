// SPDX-License-Identifier: Apache-2.0
//
// Stream V2, the writing side: values of stream_v2.hpp into the messages a DECTRIS detector would send.
//
// For replay and tests, and for passing decoded frames on to software that listens to detectors. What is
// written, stream_v2::parse() reads back as the same values.
// Format     docs/formats/stream_v2.md. Every message begins with the CBOR signature (tag 55799), as the
//            detector's do; `type` is the first key, numbers and ids come before pixels.
#pragma once

#include <cstddef>
#include <vector>

#include "common/base/result.hpp"
#include "common/wire/stream_v2.hpp"

namespace ff::wire::stream_v2 {

struct WriteOptions {
  /// Adds keys no reader knows, with nested values: a reader must skip them.
  bool unknown_keys = false;
};

struct WrittenImage {
  std::vector<std::byte> message;
  /// Where the first channel's array bytes begin in `message`.
  std::size_t first_array_offset = 0;
};

[[nodiscard]] std::vector<std::byte> write(const Start& start, const WriteOptions& options = {});
[[nodiscard]] std::vector<std::byte> write(const End& end, const WriteOptions& options = {});

/// Copies the pixels once. Precondition: every entry of `image.data` holds an array, not an error.
[[nodiscard]] WrittenImage write(const Image& image, const WriteOptions& options = {});

}  // namespace ff::wire::stream_v2
