// SPDX-License-Identifier: Apache-2.0
//
// Faults of a replay, from words and a seed.
#include "tools/replay/fault_plan.hpp"

#include <algorithm>
#include <charconv>

#include "tools/simulator/seeded_random.hpp"

namespace ff::tools {

namespace {

constexpr std::pair<const char*, FrameFault> kFrameFaults[] = {{"drop", FrameFault::drop},
                                                               {"truncate", FrameFault::truncate},
                                                               {"corrupt", FrameFault::corrupt},
                                                               {"double", FrameFault::twice},
                                                               {"reorder", FrameFault::reorder}};

std::uint64_t draw(std::uint64_t seed, FrameFault fault, std::uint64_t series, std::uint64_t frame) noexcept {
  SeededRandom random(seed + (static_cast<std::uint64_t>(fault) << 56), (series << 40) + frame);
  return random.next();
}

template <typename Number>
bool parse_whole(std::string_view text, Number& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

Error unknown_fault(const std::string& word) {
  return fail(
      Errc::invalid_argument,
      "--fault " + word +
          ": known are missing-start, stray-images, unknown-keys, abort=N, and drop, double, reorder, "
          "truncate, corrupt with =LIST (3,9,20-23) or =SHARE (1% or 0.01)");
}

}  // namespace

const char* to_string(FrameFault fault) noexcept {
  switch (fault) {
    case FrameFault::none: return "none";
    case FrameFault::drop: return "dropped";
    case FrameFault::truncate: return "truncated";
    case FrameFault::corrupt: return "corrupted";
    case FrameFault::twice: return "doubled";
    case FrameFault::reorder: return "reordered";
  }
  return "none";
}

Result<FaultPlan> FaultPlan::parse(const std::vector<std::string>& faults, std::uint64_t seed) {
  FaultPlan plan;
  plan.seed_ = seed;
  for (const std::string& word : faults) FF_TRY(plan.add(word));
  // The declared order of precedence, whatever the order of the arguments.
  std::stable_sort(plan.selections_.begin(), plan.selections_.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  return plan;
}

Status FaultPlan::add(const std::string& word) {
  if (word == "missing-start") return missing_start_ = true, Status{};
  if (word == "stray-images") return stray_images_ = true, Status{};
  if (word == "unknown-keys") return unknown_keys_ = true, Status{};
  const auto equals = word.find('=');
  if (equals == std::string::npos) return unknown_fault(word);
  const std::string name = word.substr(0, equals), value = word.substr(equals + 1);
  if (name == "abort") {
    std::uint64_t images = 0;
    if (!parse_whole(value, images)) return unknown_fault(word);
    abort_after_ = images;
    return {};
  }
  for (const auto& [known, fault] : kFrameFaults) {
    if (name != known) continue;
    FF_ASSIGN(Selection selection, parse_selection(word, value));
    selections_.emplace_back(fault, std::move(selection));
    return {};
  }
  return unknown_fault(word);
}

Result<FaultPlan::Selection> FaultPlan::parse_selection(const std::string& word, const std::string& text) {
  Selection selection;
  const bool percent = text.ends_with('%');
  if (percent || text.find('.') != std::string::npos) {
    double share = 0;
    if (!parse_whole(std::string_view(text).substr(0, text.size() - (percent ? 1 : 0)), share))
      return unknown_fault(word);
    selection.share = percent ? share / 100 : share;
    if (!(selection.share >= 0 && selection.share <= 1)) return unknown_fault(word);
    return selection;
  }
  std::string_view rest = text;
  do {
    const std::string_view entry = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), entry.size() + 1));
    const auto dash = entry.find('-');
    std::uint64_t first = 0, last = 0;
    if (!parse_whole(entry.substr(0, dash), first)) return unknown_fault(word);
    last = first;
    if (dash != std::string_view::npos && !parse_whole(entry.substr(dash + 1), last))
      return unknown_fault(word);
    if (last < first) return unknown_fault(word);
    selection.ranges.emplace_back(first, last);
  } while (!rest.empty());
  return selection;
}

bool FaultPlan::selected(FrameFault fault, std::uint64_t series, std::uint64_t frame) const noexcept {
  const double luck = static_cast<double>(draw(seed_, fault, series, frame) >> 11) * 0x1.0p-53;
  return std::any_of(selections_.begin(), selections_.end(), [&](const auto& entry) {
    const auto& [kind, selection] = entry;
    if (kind != fault) return false;
    const auto inside = [&](const auto& range) { return frame >= range.first && frame <= range.second; };
    return luck < selection.share || std::any_of(selection.ranges.begin(), selection.ranges.end(), inside);
  });
}

FrameFault FaultPlan::fault_of(std::uint64_t series, std::uint64_t frame) const noexcept {
  for (const auto& [fault, selection] : selections_) {
    if (selected(fault, series, frame)) return fault;
  }
  return FrameFault::none;
}

std::uint64_t FaultPlan::detail_of(std::uint64_t series, std::uint64_t frame) const noexcept {
  return draw(seed_, FrameFault::none, series, frame);
}

}  // namespace ff::tools
