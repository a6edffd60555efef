// SPDX-License-Identifier: Apache-2.0
//
// Folds a state topic's segment log to the last value of each key. Private to common/transport.
#pragma once

#include <filesystem>

#include "common/base/result.hpp"
#include "common/transport/segment_log.hpp"

namespace ff::transport {

/// Looks at the segments below the lowest cursor (all closed ones where there is no cursor). When at most
/// half of their bytes are last values, appends those again at the end of the log and frees the segments. An
/// empty value deletes its key. A crash in between leaves values twice, which state allows. Errors:
/// crc_mismatch (a last value is damaged; nothing was freed), io_error, disk_full. Cost: reads all headers
/// and keys of the log; meant for opening. Memory: the keys.
[[nodiscard]] Status fold_to_last_values(SegmentLog& log, const std::filesystem::path& folder);

}  // namespace ff::transport
