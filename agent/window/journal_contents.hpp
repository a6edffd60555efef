// SPDX-License-Identifier: Apache-2.0
//
// JournalContents: what stands in the agent's journal, as text and back.
//
// Not here   when it is written, and where to (agent_journal.hpp).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "agent/ingest/frame_source.hpp"
#include "agent/window/window_plan.hpp"
#include "common/base/uuid.hpp"

namespace ff::agent {

struct JournalledStream {
  FrameShape shape;
  std::string channel;
};

struct JournalledSeries {
  Uuid uid;
  SeriesKey key;
  WindowPlan plan;
  std::vector<JournalledStream> streams;
  std::optional<std::uint64_t> images_expected;
};

struct JournalContents {
  std::uint64_t epoch = 0;
  std::uint64_t version = 0;             ///< changes since the run began
  std::vector<JournalledSeries> series;  ///< open ones, oldest first
};

[[nodiscard]] std::string journal_text(const JournalContents& contents);
/// Nothing where there is no file. Errors: unsupported_version, malformed (says what to do).
[[nodiscard]] Result<std::optional<JournalContents>> read_journal(const std::filesystem::path& path);

}  // namespace ff::agent
