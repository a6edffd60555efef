// SPDX-License-Identifier: Apache-2.0
//
// Cursors: how far each named reader of a log has come, one small file each in <folder>/cursors, replaced
// in one step. Private to common/transport.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "common/base/uuid.hpp"

namespace ff::transport {

struct SegmentCursor {
  Uuid log_id;                    ///< a cursor of another log (folder was emptied) counts as none
  std::uint64_t next_offset = 0;  ///< everything before it is done
};

/// 1 to 100 letters, digits, '.', '_', '-'; not beginning with '.'.
[[nodiscard]] Status check_cursor_name(const std::string& name);
[[nodiscard]] std::filesystem::path cursor_folder(const std::filesystem::path& folder);

/// Nothing when there is none or it is damaged: the reader then starts at the oldest record, which is safe.
[[nodiscard]] Result<std::optional<SegmentCursor>> load_cursor(const std::filesystem::path& folder,
                                                               const std::string& name);
/// Durable when it returns.
[[nodiscard]] Status store_cursor(const std::filesystem::path& folder, const std::string& name,
                                  const SegmentCursor& cursor);

/// Next offsets of all cursors of the log `log_id`; a damaged or foreign cursor counts as 0.
[[nodiscard]] std::vector<std::uint64_t> all_cursors(const std::filesystem::path& folder, const Uuid& log_id);

}  // namespace ff::transport
