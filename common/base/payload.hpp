// SPDX-License-Identifier: Apache-2.0
//
// Payload: read-only bytes with a shared owner. Passing one on never copies the bytes; the owner (a buffer,
// a ZeroMQ message, a mapped segment) lives until the last Payload that points into it is gone.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "common/base/bytes.hpp"

namespace ff {

class Payload {
 public:
  Payload() = default;
  Payload(std::shared_ptr<const void> owner, ByteSpan bytes) noexcept
      : owner_(std::move(owner)), bytes_(bytes) {}

  /// Takes the vector over.
  [[nodiscard]] static Payload own(std::vector<std::byte> bytes) {
    auto owner = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
    const ByteSpan view(*owner);
    return {std::move(owner), view};
  }
  [[nodiscard]] static Payload copy(ByteSpan bytes) { return own({bytes.begin(), bytes.end()}); }

  [[nodiscard]] ByteSpan bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }
  [[nodiscard]] bool empty() const noexcept { return bytes_.empty(); }
  [[nodiscard]] const std::shared_ptr<const void>& owner() const noexcept { return owner_; }

  /// Part of this payload, with the same owner.
  [[nodiscard]] Payload part(std::size_t offset, std::size_t count) const {
    return {owner_, bytes_.subspan(offset, count)};
  }

 private:
  std::shared_ptr<const void> owner_;
  ByteSpan bytes_;
};

}  // namespace ff
