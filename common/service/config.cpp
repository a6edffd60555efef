// SPDX-License-Identifier: Apache-2.0
//
// Reads a configuration: every problem of a text is collected first, values are set only when there is none.
#include "common/service/config.hpp"

#include <algorithm>
#include <fstream>
#include <numeric>
#include <sstream>

#include "common/base/check.hpp"
#include "common/service/config_body.hpp"

namespace ff::service {
namespace {

/// Larger than any configuration, small enough to read whatever somebody names by mistake.
constexpr std::size_t kMaxFileBytes = 1 << 20;

struct Problem {
  SourcePlace place;
  std::string text;
};

std::string join_problems(std::vector<Problem> problems, std::string_view origin) {
  std::stable_sort(problems.begin(), problems.end(), [](const Problem& a, const Problem& b) {
    return std::pair(a.place.line, a.place.column) < std::pair(b.place.line, b.place.column);
  });
  std::ostringstream lines;
  for (const Problem& problem : problems) {
    if (&problem != &problems.front()) lines << '\n';
    lines << origin << ':' << problem.place.line << ':' << problem.place.column << ": " << problem.text;
  }
  return lines.str();
}

std::string did_you_mean(const std::string& near) {
  return near.empty() ? "" : "; did you mean " + near + "?";
}

/// Letters to insert, drop, replace or swap with their neighbour (optimal string alignment).
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last, last, row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    before_last = std::exchange(last, row);
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      row[j + 1] = std::min({last[j] + (a[i] == b[j] ? 0 : 1), row[j] + 1, last[j + 1] + 1});
      if (i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j])
        row[j + 1] = std::min(row[j + 1], before_last[j - 1] + 1);
    }
  }
  return row.back();
}

bool inside_any(std::string_view key, const std::vector<std::string>& sections) {
  return std::any_of(sections.begin(), sections.end(),
                     [&](const std::string& name) { return key.starts_with(name + "."); });
}

}  // namespace

std::string_view section_of(std::string_view key) noexcept {
  const std::size_t dot = key.rfind('.');
  return dot == std::string_view::npos ? std::string_view() : key.substr(0, dot);
}

std::string_view name_of(std::string_view key) noexcept {
  const std::size_t dot = key.rfind('.');
  return dot == std::string_view::npos ? key : key.substr(dot + 1);
}

void ConfigSchema::Body::add(std::string key, std::string doc, ConfigField field) {
  FF_CHECK(find(key) == nullptr);
  FF_CHECK(has_section(section_of(key)));
  field.key = std::move(key);
  field.doc = std::move(doc);
  field.default_text = field.format();
  fields.push_back(std::move(field));
}

const ConfigField* ConfigSchema::Body::find(std::string_view key) const {
  const auto at =
      std::find_if(fields.begin(), fields.end(), [&](const ConfigField& f) { return f.key == key; });
  return at == fields.end() ? nullptr : &*at;
}

bool ConfigSchema::Body::has_section(std::string_view name) const {
  return std::any_of(sections.begin(), sections.end(),
                     [&](const ConfigSection& s) { return s.name == name; });
}

std::vector<std::string> ConfigSchema::Body::keys() const {
  std::vector<std::string> keys;
  for (const ConfigField& field : fields) keys.push_back(field.key);
  return keys;
}

std::vector<std::string> ConfigSchema::Body::section_names() const {
  std::vector<std::string> names;
  for (const ConfigSection& section : sections) names.push_back(section.name);
  return names;
}

std::string ConfigSchema::Body::unknown_key(const std::string& key) const {
  std::string near = nearest_word(key, keys());
  if (near.empty())  // the right name in the wrong section
    for (const ConfigField& field : fields)
      if (name_of(field.key) == name_of(key)) near = field.key;
  std::string text = "'" + key + "' is no key of " + program;
  if (!near.empty()) return text + did_you_mean("'" + near + "'");
  std::string names;
  for (const ConfigField& field : fields)
    if (section_of(field.key) == section_of(key))
      names += (names.empty() ? "" : ", ") + std::string(name_of(field.key));
  return names.empty() ? text : text + "; [" + std::string(section_of(key)) + "] has: " + names;
}

std::string ConfigSchema::Body::unknown_section(const std::string& name) const {
  const std::string near = nearest_word(name, section_names());
  std::string text = "[" + name + "] is no section of " + program;
  if (!near.empty()) return text + did_you_mean("[" + near + "]");
  std::string names;
  for (const ConfigSection& section : sections) names += " [" + section.name + "]";
  return text + "; it has:" + names;
}

ConfigSchema::ConfigSchema(std::string program) : body_(std::make_unique<Body>()) {
  body_->program = std::move(program);
}
ConfigSchema::~ConfigSchema() = default;

void ConfigSchema::section(std::string name, std::string doc) {
  if (body_->has_section(name)) return;
  body_->sections.push_back({std::move(name), std::move(doc)});
}
void ConfigSchema::text(std::string key, std::string* target, std::string doc) {
  body_->add(std::move(key), std::move(doc), text_field(target));
}
void ConfigSchema::text_list(std::string key, std::vector<std::string>* target, std::string doc) {
  body_->add(std::move(key), std::move(doc), text_list_field(target));
}
void ConfigSchema::choice(std::string key, std::string* target, std::vector<std::string> allowed,
                          std::string doc) {
  body_->add(std::move(key), std::move(doc), choice_field(target, std::move(allowed)));
}
void ConfigSchema::flag(std::string key, bool* target, std::string doc) {
  body_->add(std::move(key), std::move(doc), flag_field(target));
}
void ConfigSchema::integer(std::string key, std::uint64_t* target, std::uint64_t lowest,
                           std::uint64_t highest, std::string doc) {
  body_->add(std::move(key), std::move(doc), integer_field(target, lowest, highest));
}
void ConfigSchema::integer_list(std::string key, std::vector<std::int64_t>* target, std::string doc) {
  body_->add(std::move(key), std::move(doc), integer_list_field(target));
}
void ConfigSchema::number(std::string key, double* target, double lowest, double highest, std::string doc) {
  body_->add(std::move(key), std::move(doc), number_field(target, lowest, highest));
}
void ConfigSchema::size(std::string key, std::uint64_t* target, std::uint64_t lowest, std::uint64_t highest,
                        std::string doc) {
  body_->add(std::move(key), std::move(doc), size_field(target, lowest, highest));
}
void ConfigSchema::duration(std::string key, std::chrono::nanoseconds* target,
                            std::chrono::nanoseconds lowest, std::chrono::nanoseconds highest,
                            std::string doc) {
  body_->add(std::move(key), std::move(doc), duration_field(target, lowest, highest));
}

Status ConfigSchema::load_file(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error))
    return fail(Errc::not_found, path.string() + ": no such configuration file; `" + body_->program +
                                     " --print-config` writes one");
  if (!std::filesystem::is_regular_file(path, error))
    return fail(Errc::io_error, path.string() + ": not a regular file");
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxFileBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad() || !file.is_open()) return fail(Errc::io_error, path.string() + ": can't be read");
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kMaxFileBytes)
    return fail(Errc::config_error, path.string() + ": larger than 1 MiB; that is no configuration file");
  return load_text(text, path.string());
}

Status ConfigSchema::load_text(std::string_view toml, std::string_view origin) {
  FF_ASSIGN(const TomlDocument document, TomlDocument::parse(toml, origin));
  std::vector<Problem> problems;
  std::vector<std::function<void()>> setters;
  std::vector<std::string> strange_sections;  // reported once, not again for each of their keys

  for (const TomlSection& section : document.sections) {
    const auto known = body_->section_names();
    const bool leads_to_known = std::any_of(known.begin(), known.end(), [&](const std::string& name) {
      return name == section.name || name.starts_with(section.name + ".");
    });
    if (leads_to_known || inside_any(section.name, strange_sections)) continue;
    strange_sections.push_back(section.name);
    problems.push_back({section.place, body_->unknown_section(section.name)});
  }
  for (const TomlEntry& entry : document.entries) {
    if (inside_any(entry.key, strange_sections)) continue;
    const ConfigField* field = body_->find(entry.key);
    if (field == nullptr) {
      problems.push_back({entry.place, body_->unknown_key(entry.key)});
      continue;
    }
    auto setter = field->read(entry.value);
    if (setter.ok()) {
      setters.push_back(std::move(setter).value());
    } else {
      problems.push_back({entry.value.place, entry.key + ": " + setter.error().message});
    }
  }
  if (!problems.empty()) return fail(Errc::config_error, join_problems(std::move(problems), origin));
  for (const auto& set_target : setters) set_target();
  return {};
}

Status ConfigSchema::set(std::string_view key, std::string_view value) {
  const std::string origin = "--set " + std::string(key) + "=" + std::string(value) + ": ";
  const ConfigField* field = body_->find(key);
  if (field == nullptr) return fail(Errc::config_error, origin + body_->unknown_key(std::string(key)));
  // A value that isn't TOML by itself is text without its quotes, which a shell makes hard to write.
  const bool quoted = value.starts_with('"') || value.starts_with('\'');
  const std::string toml = field->takes_bare_text && !quoted ? quote_toml(value) : std::string(value);
  auto document = TomlDocument::parse("value = " + toml, "");
  const bool one_value = document.ok() && document->entries.size() == 1 && document->sections.empty();
  if (!one_value) return fail(Errc::config_error, origin + "expected " + field->expected);
  auto setter = field->read(document->entries.front().value);
  if (!setter.ok()) return fail(Errc::config_error, origin + setter.error().message);
  (*setter)();
  return {};
}

std::string nearest_word(std::string_view word, const std::vector<std::string>& known) {
  std::string nearest;
  // A third of the letters may be wrong; beyond that a suggestion misleads.
  std::size_t least = std::max<std::size_t>(word.size() / 3, 1) + 1;
  for (const std::string& candidate : known) {
    const std::size_t edits = edit_distance(word, candidate);
    if (edits >= least) continue;
    least = edits;
    nearest = candidate;
  }
  return nearest;
}

}  // namespace ff::service
