// SPDX-License-Identifier: Apache-2.0
//
// Writes a configuration: the commented TOML file and the Markdown table, from the same declarations.
#include <sstream>

#include "common/service/config_body.hpp"

namespace ff::service {
namespace {

constexpr std::size_t kCommentColumns = 100;

/// `text` as comment lines of at most kCommentColumns, broken between words.
std::string comment(std::string_view text) {
  std::istringstream words{std::string(text)};
  if (text.empty()) return "";
  std::string lines, line = "#", word;
  while (words >> word) {
    if (line.size() + 1 + word.size() > kCommentColumns) {
      lines += line + '\n';
      line = "#";
    }
    line += ' ' + word;
  }
  return lines + line + '\n';
}

std::string escape_cell(std::string_view text) {
  std::string cell;
  for (const char c : text) cell += c == '|' ? "\\|" : std::string(1, c);
  return cell;
}

}  // namespace

std::string ConfigSchema::render() const {
  std::string text =
      comment("Configuration of " + body_->program +
              ". Every key is optional; what is left out has its default. Sizes and durations are text "
              "with a unit: \"2 GiB\", \"200 ms\".");
  for (const ConfigSection& section : body_->sections) {
    text += "\n" + comment(section.doc) + "[" + section.name + "]\n";
    for (const ConfigField& field : body_->fields) {
      if (section_of(field.key) != section.name) continue;
      text += comment(field.doc);
      if (field.expected != "text") text += comment("Takes " + field.expected + ".");
      text += std::string(name_of(field.key)) + " = " + field.format() + "\n";
    }
  }
  return text;
}

std::string ConfigSchema::render_markdown() const {
  std::string text;
  for (const ConfigSection& section : body_->sections) {
    text += (text.empty() ? "### `[" : "\n### `[") + section.name + "]`\n\n" + section.doc + "\n\n";
    text += "| key | default | allowed | meaning |\n| --- | --- | --- | --- |\n";
    for (const ConfigField& field : body_->fields) {
      if (section_of(field.key) != section.name) continue;
      text += "| `" + field.key + "` | `" + escape_cell(field.default_text) + "` | " +
              escape_cell(field.expected) + " | " + escape_cell(field.doc) + " |\n";
    }
  }
  return text;
}

}  // namespace ff::service
