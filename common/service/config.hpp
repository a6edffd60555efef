// SPDX-License-Identifier: Apache-2.0
//
// ConfigSchema: one table per configuration file, from which parsing, checking, error messages, the shipped
// file in configs/ and its documentation all come.
//
//     AgentConfig c;                                       // members hold the defaults
//     ConfigSchema schema("foreframe-agent");
//     schema.section("spool", "Blocks wait here until a collector has acknowledged them.");
//     schema.size("spool.max", &c.spool_max_bytes, 1 << 20, 1ull << 60, "Most disk the spool may take.");
//     FF_TRY(schema.load_file("/etc/foreframe/agent.toml"));
//
// An unknown key, a wrong type, a missing unit or a value out of range is an error that names file, line,
// column, what was expected and the nearest known key. Nothing is set when anything is wrong.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"

namespace ff::service {

class ConfigSchema {
 public:
  explicit ConfigSchema(std::string program);
  ~ConfigSchema();
  ConfigSchema(const ConfigSchema&) = delete;
  ConfigSchema& operator=(const ConfigSchema&) = delete;

  /// Keys are written "section.name"; declare the section first (again is no harm: its first text holds).
  /// Order of declaration is order in the file.
  /// The value that `target` holds at declaration is the default. Targets must outlive the schema.
  void section(std::string name, std::string doc);
  void text(std::string key, std::string* target, std::string doc);
  void text_list(std::string key, std::vector<std::string>* target, std::string doc);
  void choice(std::string key, std::string* target, std::vector<std::string> allowed, std::string doc);
  void flag(std::string key, bool* target, std::string doc);
  void integer(std::string key, std::uint64_t* target, std::uint64_t lowest, std::uint64_t highest,
               std::string doc);
  void integer_list(std::string key, std::vector<std::int64_t>* target, std::string doc);
  void number(std::string key, double* target, double lowest, double highest, std::string doc);
  /// Bytes, written "2 GiB".
  void size(std::string key, std::uint64_t* target, std::uint64_t lowest, std::uint64_t highest,
            std::string doc);
  /// Written "200 ms".
  void duration(std::string key, std::chrono::nanoseconds* target, std::chrono::nanoseconds lowest,
                std::chrono::nanoseconds highest, std::string doc);

  /// Errors: not_found, io_error, config_error (all problems of the file, one per line: file:line:column:
  /// ...).
  [[nodiscard]] Status load_file(const std::filesystem::path& path);
  /// `origin` stands for the file name in messages.
  [[nodiscard]] Status load_text(std::string_view toml, std::string_view origin);
  /// Sets one key as if the file said `key = value` ("spool.max=2 GiB" on the command line).
  [[nodiscard]] Status set(std::string_view key, std::string_view value);

  /// The complete, commented TOML file of the present values: `--print-config`, configs/*.toml.
  [[nodiscard]] std::string render() const;
  /// Every key as a Markdown table: docs/operations/config.md.
  [[nodiscard]] std::string render_markdown() const;

 private:
  struct Body;
  std::unique_ptr<Body> body_;
};

/// The known word nearest to `word` by edits, or "" when none is near.
[[nodiscard]] std::string nearest_word(std::string_view word, const std::vector<std::string>& known);

}  // namespace ff::service
