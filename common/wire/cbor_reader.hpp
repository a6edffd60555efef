// SPDX-License-Identifier: Apache-2.0
//
// CborReader: pulls one item after the other out of a hostile CBOR message (RFC 8949).
//
// Data path  detector > [Stream V2 message] > ingest
// libcbor's stateless decoder reads each head; this class adds what hostile bytes need: a depth limit, no
// recursion, no allocation at all. Strings are spans into the message.
// Not here   what the keys mean (stream_v2.hpp).
#pragma once

#include <cstdint>
#include <string_view>

#include "common/base/bytes.hpp"
#include "common/base/result.hpp"

namespace ff::wire {

enum class CborKind : std::uint8_t {
  unsigned_integer,
  negative_integer,  ///< the value is -1 - number
  byte_string,
  text_string,
  chunked_string,  ///< head of a string of unknown length; its chunks and a break follow
  array,
  map,
  tag,
  boolean,
  null,  ///< null or undefined
  floating,
  end_mark,  ///< "break": closes a container or string of unknown length
};

struct CborItem {
  CborKind kind = CborKind::null;
  std::uint64_t number = 0;  ///< integer, tag, boolean (0 or 1), entries of an array, pairs of a map
  double floating = 0;
  ByteSpan bytes = {};      ///< content of a string
  bool open_ended = false;  ///< container of unknown length: entries until end_mark
};

class CborReader {
 public:
  explicit CborReader(ByteSpan message, std::uint32_t depth_max = 32) noexcept
      : rest_(message), depth_max_(depth_max) {}

  [[nodiscard]] bool at_end() const noexcept { return rest_.empty(); }
  [[nodiscard]] ByteSpan rest() const noexcept { return rest_; }

  /// Reads one head, with its content if it is a string. Errors: truncated, malformed.
  [[nodiscard]] Result<CborItem> next();
  /// The same without moving on.
  [[nodiscard]] Result<CborItem> peek() const;

  /// Passes over one whole item, containers and tags with all they hold. Errors: truncated, malformed,
  /// too_deep.
  [[nodiscard]] Status skip();
  /// The bytes of one whole item, passed over. Errors: as skip().
  [[nodiscard]] Result<ByteSpan> take_raw();

  /// Entries still to come of a container that was entered.
  struct Container {
    std::uint64_t left = 0;
    bool open_ended = false;
  };
  /// Errors: malformed (the next item is something else), truncated.
  [[nodiscard]] Result<Container> enter_map();
  [[nodiscard]] Result<Container> enter_array();
  /// True when another entry (pair) follows; takes the end mark of an open-ended container.
  [[nodiscard]] Result<bool> more(Container& container);

  /// Typed reads; tags in front are passed over where harmless. Errors: malformed (another kind), truncated.
  [[nodiscard]] Result<std::uint64_t> read_unsigned();
  [[nodiscard]] Result<double> read_number();  ///< integer or floating point
  [[nodiscard]] Result<bool> read_boolean();
  [[nodiscard]] Result<std::string_view> read_text(std::size_t bytes_max);

 private:
  [[nodiscard]] Result<CborItem> next_untagged();
  [[nodiscard]] Result<Container> enter(CborKind kind, const char* what);

  ByteSpan rest_;
  std::uint32_t depth_max_;
};

}  // namespace ff::wire
