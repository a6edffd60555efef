// SPDX-License-Identifier: Apache-2.0
#include "common/service/config_field.hpp"

#include <algorithm>
#include <optional>

#include "common/base/units.hpp"
#include "common/service/config.hpp"

namespace ff::service {
namespace {

using Setter = std::function<void()>;

/// "the number 5; expected a size ..."
Error unexpected(const TomlValue& value, const std::string& expected) {
  return fail(Errc::config_error, "found " + describe_value(value) + "; expected " + expected);
}

template <typename T>
Setter setter(T* target, T value) {
  return [target, value = std::move(value)] { *target = value; };
}

template <typename Range, typename Format>
std::string format_list(const Range& items, Format format) {
  std::string text;
  for (const auto& item : items) text += (text.empty() ? "" : ", ") + format(item);
  return "[" + text + "]";
}

/// All items as T, or nothing when one of them is something else.
template <typename T>
std::optional<std::vector<T>> list_of(const TomlValue& value) {
  const auto* items = value.as<std::vector<TomlValue>>();
  if (items == nullptr) return std::nullopt;
  std::vector<T> list;
  for (const TomlValue& item : *items) {
    const T* typed = item.as<T>();
    if (typed == nullptr) return std::nullopt;
    list.push_back(*typed);
  }
  return list;
}

std::string quoted(const std::string& text) { return "\"" + text + "\""; }

/// A quantity written as text with its unit: sizes and durations.
template <typename T, typename Parse, typename Format>
ConfigField quantity_field(T* target, T lowest, T highest, const std::string& what, Parse parse,
                           Format format) {
  ConfigField field;
  field.takes_bare_text = true;
  field.expected = what + ", " + quoted(format(lowest)) + " to " + quoted(format(highest));
  field.format = [=] { return quoted(format(*target)); };
  field.read = [=, expected = field.expected](const TomlValue& value) -> Result<Setter> {
    const auto* text = value.as<std::string>();
    if (text == nullptr) return unexpected(value, expected + ", in quotes and with its unit");
    const auto parsed = parse(*text);
    if (!parsed.ok()) return parsed.error();
    if (*parsed < lowest || *parsed > highest) return unexpected(value, expected);
    return setter(target, T{*parsed});
  };
  return field;
}

}  // namespace

ConfigField text_field(std::string* target) {
  ConfigField field;
  field.takes_bare_text = true;
  field.expected = "text";
  field.format = [=] { return quote_toml(*target); };
  field.read = [=](const TomlValue& value) -> Result<Setter> {
    const auto* text = value.as<std::string>();
    if (text == nullptr) return unexpected(value, "text in quotes");
    return setter(target, *text);
  };
  return field;
}

ConfigField text_list_field(std::vector<std::string>* target) {
  ConfigField field;
  field.expected = R"(a list of texts, such as ["a", "b"])";
  field.format = [=] { return format_list(*target, quote_toml); };
  field.read = [=, expected = field.expected](const TomlValue& value) -> Result<Setter> {
    auto list = list_of<std::string>(value);
    if (!list) return unexpected(value, expected);
    return setter(target, std::move(*list));
  };
  return field;
}

ConfigField choice_field(std::string* target, std::vector<std::string> allowed) {
  ConfigField field;
  field.takes_bare_text = true;
  field.expected = "one of " + [&] {
    std::string words;
    for (const std::string& word : allowed) words += (words.empty() ? "" : ", ") + quoted(word);
    return words;
  }();
  field.format = [=] { return quote_toml(*target); };
  field.read = [=, expected = field.expected](const TomlValue& value) -> Result<Setter> {
    const auto* text = value.as<std::string>();
    if (text == nullptr) return unexpected(value, expected);
    if (std::find(allowed.begin(), allowed.end(), *text) != allowed.end()) return setter(target, *text);
    const std::string near = nearest_word(*text, allowed);
    return unexpected(value, expected + (near.empty() ? "" : "; did you mean " + quoted(near) + "?"));
  };
  return field;
}

ConfigField flag_field(bool* target) {
  ConfigField field;
  field.expected = "true or false";
  field.format = [=] { return std::string(*target ? "true" : "false"); };
  field.read = [=, expected = field.expected](const TomlValue& value) -> Result<Setter> {
    const auto* flag = value.as<bool>();
    if (flag == nullptr) return unexpected(value, expected + ", without quotes");
    return setter(target, bool{*flag});
  };
  return field;
}

ConfigField integer_field(std::uint64_t* target, std::uint64_t lowest, std::uint64_t highest) {
  // TOML's integers end at 2^63 - 1.
  highest = std::min(highest, static_cast<std::uint64_t>(INT64_MAX));
  ConfigField field;
  field.expected = "a whole number, " + std::to_string(lowest) + " to " + std::to_string(highest);
  field.format = [=] { return std::to_string(*target); };
  field.read = [=, expected = field.expected](const TomlValue& value) -> Result<Setter> {
    const auto* whole = value.as<std::int64_t>();
    if (whole == nullptr || *whole < 0) return unexpected(value, expected);
    const auto number = static_cast<std::uint64_t>(*whole);
    if (number < lowest || number > highest) return unexpected(value, expected);
    return setter(target, std::uint64_t{number});
  };
  return field;
}

ConfigField integer_list_field(std::vector<std::int64_t>* target) {
  ConfigField field;
  field.expected = "a list of whole numbers, such as [-1, 65535]";
  field.format = [=] { return format_list(*target, [](std::int64_t v) { return std::to_string(v); }); };
  field.read = [=, expected = field.expected](const TomlValue& value) -> Result<Setter> {
    auto list = list_of<std::int64_t>(value);
    if (!list) return unexpected(value, expected);
    return setter(target, std::move(*list));
  };
  return field;
}

ConfigField number_field(double* target, double lowest, double highest) {
  ConfigField field;
  field.expected = "a number, " + format_number(lowest) + " to " + format_number(highest);
  field.format = [=] { return format_number(*target); };
  field.read = [=, expected = field.expected](const TomlValue& value) -> Result<Setter> {
    const auto* real = value.as<double>();
    const auto* whole = value.as<std::int64_t>();
    if (real == nullptr && whole == nullptr) return unexpected(value, expected);
    const double number = real != nullptr ? *real : static_cast<double>(*whole);
    // Written so that NaN is refused too.
    if (!(number >= lowest && number <= highest)) return unexpected(value, expected);
    return setter(target, double{number});
  };
  return field;
}

ConfigField size_field(std::uint64_t* target, std::uint64_t lowest, std::uint64_t highest) {
  return quantity_field(target, lowest, highest, "a size", parse_size_bytes, format_size);
}

ConfigField duration_field(std::chrono::nanoseconds* target, std::chrono::nanoseconds lowest,
                           std::chrono::nanoseconds highest) {
  return quantity_field(target, lowest, highest, "a duration", parse_duration, format_duration);
}

}  // namespace ff::service
