// SPDX-License-Identifier: Apache-2.0
//
// Bounds from words, and as whole numbers.
#include "tools/bench/lossy_bound.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace ff::tools {

namespace {

Error not_understood(const std::string& text) {
  return {Errc::invalid_argument,
          "--bound " + text + ": takes abs:N, rel:P% or sqrt:F, as in abs:3, rel:3%, sqrt:0.5"};
}

}  // namespace

Result<LossyBound> parse_lossy_bound(const std::string& text) {
  using Kind = LossyBound::Kind;
  const auto colon = text.find(':');
  if (colon == std::string::npos) return not_understood(text);
  const std::string word = text.substr(0, colon);
  std::string number = text.substr(colon + 1);
  if (word == "rel" && number.ends_with('%')) number.pop_back();
  LossyBound bound{Kind::absolute, 0, text};
  if (word == "rel") bound.kind = Kind::relative;
  if (word == "sqrt") bound.kind = Kind::square_root;
  if (word != "abs" && word != "rel" && word != "sqrt") return not_understood(text);
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), bound.value);
  const bool whole_number = word != "abs" || bound.value == std::floor(bound.value);
  const bool good = error == std::errc{} && end == number.data() + number.size() && whole_number;
  if (!good || !(bound.value > 0 && bound.value <= 1e9)) return not_understood(text);
  return bound;
}

ValueRange range_without_sentinels(const BenchFrames& frames) {
  ValueRange range;
  bool any = false;
  for (const std::int64_t value : pixel_values(frames)) {
    if (std::ranges::find(frames.info.sentinels, value) != frames.info.sentinels.end()) continue;
    range.least = any ? std::min(range.least, value) : value;
    range.largest = any ? std::max(range.largest, value) : value;
    any = true;
  }
  return range;
}

Result<kernels::LossBound> declared_bound(const LossyBound& bound, const ValueRange& range, Dtype dtype) {
  std::string text = bound.text;
  if (bound.kind == LossyBound::Kind::relative) {
    if (!text.ends_with('%')) text += '%';
    text +=
        "," + std::to_string(range.least) + "," + std::to_string(std::max(range.largest, range.least + 1));
  }
  FF_ASSIGN(const kernels::LossBound declared, kernels::parse_loss_bound(text));
  FF_TRY(kernels::check_loss_bound(declared, dtype));
  return declared;
}

std::optional<std::int32_t> absolute_bound(const LossyBound& bound, const ValueRange& range) {
  const auto width = static_cast<double>(range.largest - range.least);
  if (bound.kind == LossyBound::Kind::square_root) return std::nullopt;
  const double value = bound.kind == LossyBound::Kind::absolute ? bound.value : bound.value / 100 * width;
  if (value < 1) return std::nullopt;
  return static_cast<std::int32_t>(std::min(value, 1e9));
}

}  // namespace ff::tools
