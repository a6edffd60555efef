// SPDX-License-Identifier: Apache-2.0
#include "common/service/toml_document.hpp"

#include <array>
#include <charconv>
#include <cstdio>
#include <sstream>
#include <toml++/toml.h>

namespace ff::service {
namespace {

SourcePlace place_of(const toml::source_region& region) {
  return {static_cast<std::uint32_t>(region.begin.line), static_cast<std::uint32_t>(region.begin.column)};
}

TomlValue convert(const toml::node& node) {
  TomlValue value;
  value.place = place_of(node.source());
  if (const auto* text = node.as_string()) {
    value.data = text->get();
  } else if (const auto* whole = node.as_integer()) {
    value.data = whole->get();
  } else if (const auto* real = node.as_floating_point()) {
    value.data = real->get();
  } else if (const auto* flag = node.as_boolean()) {
    value.data = flag->get();
  } else if (const auto* list = node.as_array()) {
    std::vector<TomlValue> items;
    for (const toml::node& item : *list) items.push_back(convert(item));
    value.data = std::move(items);
  } else {
    value.data = TomlOther{node.is_table() ? "a table" : "a date or time"};
  }
  return value;
}

void flatten(const toml::table& table, const std::string& prefix, TomlDocument& document) {
  for (const auto& [key, node] : table) {
    const std::string name = prefix + std::string(key.str());
    if (const toml::table* inner = node.as_table()) {
      document.sections.push_back({name, place_of(inner->source())});
      flatten(*inner, name + ".", document);
    } else {
      document.entries.push_back({name, convert(node), place_of(key.source())});
    }
  }
}

}  // namespace

Result<TomlDocument> TomlDocument::parse(std::string_view text, std::string_view origin) {
  try {
    TomlDocument document;
    flatten(toml::parse(text, origin), "", document);
    return document;
  } catch (const toml::parse_error& error) {
    const SourcePlace place = place_of(error.source());
    std::ostringstream message;
    message << origin << ':' << place.line << ':' << place.column << ": not TOML: " << error.description();
    return fail(Errc::config_error, message.str());
  }
}

std::string describe_value(const TomlValue& value) {
  if (const auto* text = value.as<std::string>()) return "the text " + quote_toml(text->substr(0, 80));
  if (const auto* whole = value.as<std::int64_t>()) return "the number " + std::to_string(*whole);
  if (const auto* real = value.as<double>()) return "the number " + format_number(*real);
  if (const auto* flag = value.as<bool>()) return *flag ? "true" : "false";
  if (const auto* other = value.as<TomlOther>()) return other->kind;
  return "a list";
}

std::string quote_toml(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      std::array<char, 8> escape{};
      std::snprintf(escape.data(), escape.size(), "\\u%04X", static_cast<unsigned>(c));
      quoted += escape.data();
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

std::string format_number(double value) {
  std::array<char, 40> digits{};
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  std::string text(digits.data(), error == std::errc{} ? end : digits.data());
  const bool is_float = text.find_first_of(".en") != std::string::npos;
  return is_float ? text : text + ".0";
}

}  // namespace ff::service
