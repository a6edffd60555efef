// SPDX-License-Identifier: Apache-2.0
//
// What a ConfigSchema holds, shared by config.cpp (reading) and config_render.cpp (writing).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/service/config.hpp"
#include "common/service/config_field.hpp"

namespace ff::service {

struct ConfigSection {
  std::string name;
  std::string doc;
};

struct ConfigSchema::Body {
  std::string program;
  std::vector<ConfigSection> sections;
  std::vector<ConfigField> fields;  ///< in order of declaration

  void add(std::string key, std::string doc, ConfigField field);
  [[nodiscard]] const ConfigField* find(std::string_view key) const;
  [[nodiscard]] bool has_section(std::string_view name) const;
  [[nodiscard]] std::vector<std::string> keys() const;
  [[nodiscard]] std::vector<std::string> section_names() const;
  /// "'spool.maxx' is no key of foreframe-agent; did you mean 'spool.max'?"
  [[nodiscard]] std::string unknown_key(const std::string& key) const;
  [[nodiscard]] std::string unknown_section(const std::string& name) const;
};

/// "spool" of "spool.max"; "" when the key has no section.
[[nodiscard]] std::string_view section_of(std::string_view key) noexcept;
/// "max" of "spool.max".
[[nodiscard]] std::string_view name_of(std::string_view key) noexcept;

}  // namespace ff::service
