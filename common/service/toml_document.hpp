// SPDX-License-Identifier: Apache-2.0
//
// TomlDocument: a TOML text as a flat list of keys with their places, so that the schema's code needs no
// toml++ (which is heavy to compile) and can say "file:line:column" about everything.
//
// Not here   what the keys mean (config.cpp), what a value may be (config_field.cpp).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/result.hpp"

namespace ff::service {

struct SourcePlace {
  std::uint32_t line = 0, column = 0;  ///< from 1
};

/// A value no configuration key has: a table inside a list, a date, a time. Holds what to call it.
struct TomlOther {
  std::string kind;
};

struct TomlValue {
  std::variant<std::string, std::int64_t, double, bool, std::vector<TomlValue>, TomlOther> data;
  SourcePlace place;

  template <typename T>
  [[nodiscard]] const T* as() const noexcept {
    return std::get_if<T>(&data);
  }
};

/// One `key = value` line; `key` is written with its section: "spool.max".
struct TomlEntry {
  std::string key;
  TomlValue value;
  SourcePlace place;  ///< of the key
};

/// One `[section]` line.
struct TomlSection {
  std::string name;
  SourcePlace place;
};

struct TomlDocument {
  std::vector<TomlEntry> entries;
  std::vector<TomlSection> sections;

  /// Errors: config_error with "origin:line:column: ...", the place where the text stops being TOML.
  [[nodiscard]] static Result<TomlDocument> parse(std::string_view text, std::string_view origin);
};

/// What the value is, in words for a message: `the number 5`, `the text "red"`, `a list`.
[[nodiscard]] std::string describe_value(const TomlValue& value);
/// A TOML basic string: quotes, escapes and all.
[[nodiscard]] std::string quote_toml(std::string_view text);
/// A TOML float that reads back as the same double: "0.5", "2.0", "1e-09".
[[nodiscard]] std::string format_number(double value);

}  // namespace ff::service
