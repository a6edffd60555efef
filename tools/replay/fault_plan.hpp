// SPDX-License-Identifier: Apache-2.0
//
// FaultPlan: what goes wrong in a replayed series, seeded, so that a test can compare the ledger with it.
//
//     missing-start   no start message              stray-images   images of an older series in between
//     drop=WHICH      the image is never sent       double=WHICH   the image is sent twice
//     reorder=WHICH   sent after the next image     truncate=WHICH the message is cut short
//     corrupt=WHICH   bytes overwritten, so that message or pixels can't be read
//     abort=N         after N images nothing more comes, no end message
//     unknown-keys    keys that no reader knows, in every message
//
// WHICH is a list of frames ("3,9,20-23") or a share of them ("1%" or "0.01"). A frame has at most one of
// these five faults, the first in the order drop, truncate, corrupt, double, reorder.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/result.hpp"

namespace ff::tools {

enum class FrameFault { none, drop, truncate, corrupt, twice, reorder };

/// Word in reports: "dropped", "truncated", "corrupted", "doubled", "reordered".
[[nodiscard]] const char* to_string(FrameFault fault) noexcept;

class FaultPlan {
 public:
  /// `faults` as given to --fault, one fault each. Errors: invalid_argument (names the fault and what it
  /// takes).
  [[nodiscard]] static Result<FaultPlan> parse(const std::vector<std::string>& faults, std::uint64_t seed);

  /// The same answer for the same seed, series (0, 1 ... of this replay) and frame.
  [[nodiscard]] FrameFault fault_of(std::uint64_t series, std::uint64_t frame) const noexcept;
  /// A number that belongs to this frame's fault: where to cut, what to overwrite.
  [[nodiscard]] std::uint64_t detail_of(std::uint64_t series, std::uint64_t frame) const noexcept;

  [[nodiscard]] bool missing_start() const noexcept { return missing_start_; }
  [[nodiscard]] bool stray_images() const noexcept { return stray_images_; }
  [[nodiscard]] bool unknown_keys() const noexcept { return unknown_keys_; }
  [[nodiscard]] std::optional<std::uint64_t> abort_after() const noexcept { return abort_after_; }
  [[nodiscard]] std::uint64_t seed() const noexcept { return seed_; }

 private:
  struct Selection {
    double share = 0;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;  ///< first and last frame
  };
  [[nodiscard]] Status add(const std::string& word);
  [[nodiscard]] static Result<Selection> parse_selection(const std::string& name, const std::string& text);
  [[nodiscard]] bool selected(FrameFault fault, std::uint64_t series, std::uint64_t frame) const noexcept;

  std::vector<std::pair<FrameFault, Selection>> selections_;
  std::optional<std::uint64_t> abort_after_;
  bool missing_start_ = false, stray_images_ = false, unknown_keys_ = false;
  std::uint64_t seed_ = 1;
};

}  // namespace ff::tools
