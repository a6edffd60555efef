// SPDX-License-Identifier: Apache-2.0
//
// ConfigField: one key of a configuration file: how to read its value, how to check it, how to write it.
//
// Reading and setting are two steps, so that a file with one wrong line changes nothing at all.
// Not here   unknown keys, files, sections, rendering (config.cpp, config_render.cpp).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "common/service/toml_document.hpp"

namespace ff::service {

struct ConfigField {
  std::string key;               ///< "spool.max"
  std::string doc;               ///< one or two sentences
  std::string expected;          ///< `a size, "1 MiB" to "1 TiB"`: for comments, documentation and messages
  std::string default_text;      ///< the value at declaration, as TOML
  bool takes_bare_text = false;  ///< `--set key=value` needs no quotes around the value

  /// Checks a value; gives what sets the target, or an error whose message continues "spool.max: ".
  std::function<Result<std::function<void()>>(const TomlValue&)> read;
  /// The target's present value, as TOML.
  std::function<std::string()> format;
};

[[nodiscard]] ConfigField text_field(std::string* target);
[[nodiscard]] ConfigField text_list_field(std::vector<std::string>* target);
[[nodiscard]] ConfigField choice_field(std::string* target, std::vector<std::string> allowed);
[[nodiscard]] ConfigField flag_field(bool* target);
[[nodiscard]] ConfigField integer_field(std::uint64_t* target, std::uint64_t lowest, std::uint64_t highest);
[[nodiscard]] ConfigField integer_list_field(std::vector<std::int64_t>* target);
[[nodiscard]] ConfigField number_field(double* target, double lowest, double highest);
[[nodiscard]] ConfigField size_field(std::uint64_t* target, std::uint64_t lowest, std::uint64_t highest);
[[nodiscard]] ConfigField duration_field(std::chrono::nanoseconds* target, std::chrono::nanoseconds lowest,
                                         std::chrono::nanoseconds highest);

}  // namespace ff::service
