// SPDX-License-Identifier: Apache-2.0
//
// LossBound: from text to integers and back; decimals are read digit by digit, so that nothing is rounded unseen.
#include "kernels/loss_bound.hpp"

#include <array>
#include <charconv>
#include <optional>
#include <vector>

#include "kernels/format/level_map.hpp"

namespace ff::kernels {
namespace {

constexpr std::uint32_t kLimitMax = 1u << 30;
constexpr std::uint32_t kShareMax = 10000;
constexpr std::uint32_t kFactorMax = 16 * 1024;
constexpr std::uint32_t kFactorMin32 = 128;  // 32-bit types: 1/8
constexpr std::uint32_t kGainMin = 1024, kGainMax = 1u << 30;
constexpr std::int64_t kMagnitudeMax = std::int64_t{1} << 33;  // of a declared number, before its unit

// A decimal as a multiple of 1/unit, rounded to the nearest; nothing where the text is not a number.
std::optional<std::int64_t> parse_decimal(std::string_view text, std::int64_t unit) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  const std::size_t point = text.find('.');
  const std::string_view whole = text.substr(0, point);
  const std::string_view digits = point == std::string_view::npos ? "" : text.substr(point + 1);
  if (whole.empty() || whole.size() > 10 || digits.size() > 8) return std::nullopt;
  if (point != std::string_view::npos && digits.empty()) return std::nullopt;
  std::int64_t value = 0, scale = 1;
  for (const std::string_view part : {whole, digits}) {
    for (const char digit : part) {
      if (digit < '0' || digit > '9') return std::nullopt;
      value = value * 10 + (digit - '0');
      if (part.data() == digits.data()) scale *= 10;
    }
  }
  if (value / scale >= kMagnitudeMax) return std::nullopt;
  const std::int64_t rest = value % scale;
  const std::int64_t scaled = value / scale * unit + (2 * rest * unit + scale) / (2 * scale);
  return negative ? -scaled : scaled;
}

// A multiple of 1/unit as the shortest decimal that parse_decimal reads as the same number.
std::string decimal(std::int64_t value, std::int64_t unit) {
  const auto bits = static_cast<std::uint64_t>(value);  // a block may say anything, the smallest number too
  const std::uint64_t magnitude = value < 0 ? 0 - bits : bits;
  const auto whole = magnitude / static_cast<std::uint64_t>(unit);
  const auto rest = static_cast<std::int64_t>(magnitude % static_cast<std::uint64_t>(unit));
  std::string text = (value < 0 ? "-" : "") + std::to_string(whole);
  if (rest == 0) return text;
  std::int64_t scale = 10;
  for (std::size_t digits = 1; digits <= 8; ++digits, scale *= 10) {
    const std::int64_t nearest = (2 * rest * scale + unit) / (2 * unit);
    if (nearest >= scale || (2 * nearest * unit + scale) / (2 * scale) != rest) continue;
    std::string fraction = std::to_string(nearest);
    return text + "." + std::string(digits - fraction.size(), '0') + fraction;
  }
  return text;
}

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  for (std::size_t end = text.find(at); end != std::string_view::npos; end = text.find(at)) {
    parts.push_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  parts.push_back(text);
  return parts;
}

bool parameters_good(const LossBound& bound) noexcept {
  const auto sane = [](std::int64_t value, std::int64_t unit) {
    return value > -kMagnitudeMax * unit && value < kMagnitudeMax * unit;
  };
  switch (bound.kind) {
    case LossBound::Kind::none: return true;
    case LossBound::Kind::absolute: return bound.limit >= 1 && bound.limit <= kLimitMax;
    case LossBound::Kind::relative:
      return bound.share >= 1 && bound.share <= kShareMax && sane(bound.low, 1) && sane(bound.high, 1) &&
             bound.low < bound.high && error_allowed(bound, 0) <= kLimitMax;
    case LossBound::Kind::root: return bound.factor >= 1 && bound.factor <= kFactorMax;
    case LossBound::Kind::photon:
      return bound.gain >= kGainMin && bound.gain <= kGainMax && sane(bound.pedestal, 1024);
  }
  return false;
}

// Fills `bound` from the parts after the colon; false where they are not numbers.
bool parse_parameters(std::string_view name, const std::vector<std::string_view>& parts, LossBound& bound) {
  std::array<std::optional<std::int64_t>, 3> numbers;
  const auto read = [&](std::size_t i, std::string_view text, std::int64_t unit) {
    numbers[i] = parse_decimal(text, unit);
    return numbers[i].has_value() && (unit != 1 || text.find('.') == std::string_view::npos);
  };
  const auto small = [&](std::size_t i) {  // what is too large becomes 0, which no parameter may be
    return *numbers[i] < 0 || *numbers[i] > kLimitMax ? 0u : static_cast<std::uint32_t>(*numbers[i]);
  };
  if (name == "abs" && parts.size() == 1 && read(0, parts[0], 1)) {
    bound.kind = LossBound::Kind::absolute;
    bound.limit = small(0);
  } else if (name == "rel" && parts.size() == 3 && parts[0].ends_with('%') &&
             read(0, parts[0].substr(0, parts[0].size() - 1), 100) && read(1, parts[1], 1) &&
             read(2, parts[2], 1)) {
    bound.kind = LossBound::Kind::relative;
    bound.share = small(0);
    bound.low = *numbers[1];
    bound.high = *numbers[2];
  } else if (name == "sqrt" && parts.size() == 1 && read(0, parts[0], 1024)) {
    bound.kind = LossBound::Kind::root;
    bound.factor = small(0);
  } else if (name == "photon" && parts.size() == 2 && read(0, parts[0], 1024) && read(1, parts[1], 1024)) {
    bound.kind = LossBound::Kind::photon;
    bound.gain = small(0);
    bound.pedestal = *numbers[1];
  } else {
    return false;
  }
  return true;
}

}  // namespace

Result<LossBound> parse_loss_bound(std::string_view text) {
  LossBound bound;
  if (text == "none") return bound;
  const std::size_t colon = text.find(':');
  const bool read = colon != std::string_view::npos &&
                    parse_parameters(text.substr(0, colon), split(text.substr(colon + 1), ','), bound);
  if (read && parameters_good(bound)) return bound;
  return fail(
      Errc::invalid_argument,
      "bound '" + std::string(text) +
          "'; known are none, abs:N (1 ... 2^30), rel:P%,LOW,HIGH (P 0.01 ... 100 of the declared range), "
          "sqrt:F (1/1024 ... 16), photon:GAIN,PEDESTAL (GAIN 1 ... 1048576)");
}

std::string to_string(const LossBound& bound) {
  switch (bound.kind) {
    case LossBound::Kind::none: break;
    case LossBound::Kind::absolute: return "abs:" + std::to_string(bound.limit);
    case LossBound::Kind::relative:
      return "rel:" + decimal(bound.share, 100) + "%," + std::to_string(bound.low) + "," +
             std::to_string(bound.high);
    case LossBound::Kind::root: return "sqrt:" + decimal(bound.factor, 1024);
    case LossBound::Kind::photon:
      return "photon:" + decimal(bound.gain, 1024) + "," + decimal(bound.pedestal, 1024);
  }
  return "none";
}

Status check_loss_bound(const LossBound& bound, Dtype dtype) {
  const auto refuse = [&](std::string_view why) {
    return fail(Errc::out_of_range, "bound " + to_string(bound) + ": " + std::string(why) + " (pixels are " +
                                        std::string(dtype_name(dtype)) + ")");
  };
  if (!bound) return {};
  if (!parameters_good(bound)) return refuse("a parameter is out of its range");
  if (dtype_is_float(dtype)) return refuse("bounds are for integer pixels");
  const ValueRange range = value_range(dtype);
  if (bound.kind == LossBound::Kind::root && dtype_bytes(dtype) == 4 && bound.factor < kFactorMin32)
    return refuse("32-bit pixels need sqrt:0.125 or more");
  if (bound.kind == LossBound::Kind::photon &&
      (bound.pedestal < range.low * 1024 || bound.pedestal > range.high * 1024))
    return refuse("the pedestal is no value of the pixel type");
  return {};
}

std::uint64_t error_allowed(const LossBound& bound, std::int64_t value) noexcept {
  switch (bound.kind) {
    case LossBound::Kind::none: return 0;
    case LossBound::Kind::absolute: return bound.limit;
    case LossBound::Kind::relative:
      return static_cast<std::uint64_t>(bound.high - bound.low) * bound.share / kShareMax;
    case LossBound::Kind::root: {
      if (value <= 0) return 0;
      // e^2 * 2^20 <= F^2 * x; below 2^28 * 2^32.
      const std::uint64_t square =
          (std::uint64_t{bound.factor} * bound.factor * static_cast<std::uint64_t>(value)) >> 20;
      std::uint64_t root = 0;
      for (std::uint64_t bit = std::uint64_t{1} << 20; bit != 0; bit >>= 1) {
        if ((root | bit) * (root | bit) <= square) root |= bit;
      }
      return root;
    }
    case LossBound::Kind::photon: return (std::uint64_t{bound.gain} + 1024) / 2048;
  }
  return 0;
}

bool within_bound(const LossBound& bound, std::int64_t value, std::int64_t decoded) noexcept {
  const auto error = static_cast<std::uint64_t>(value < decoded ? decoded - value : value - decoded);
  if (bound.kind != LossBound::Kind::root) return error <= error_allowed(bound, value);
  if (value <= 0 || error >= (std::uint64_t{1} << 21)) return error == 0;
  return (error * error) << 20 <=
         std::uint64_t{bound.factor} * bound.factor * static_cast<std::uint64_t>(value);
}

}  // namespace ff::kernels
