// SPDX-License-Identifier: Apache-2.0
//
// Errc: every way in which the world (not our own code) can be wrong, by name.
//
// Each value has a short stable word (`to_string`) that appears in logs, in metric labels and in
// docs/operations. A value is never reused for another meaning.
#pragma once

#include <string_view>

namespace ff {

enum class Errc {
  invalid_argument,     ///< a caller or a user asked for something that cannot be
  out_of_range,         ///< a number lies outside its declared range
  shape_mismatch,       ///< rows, columns or frame counts disagree
  dtype_unsupported,    ///< a pixel type this stage does not carry
  truncated,            ///< fewer bytes than the header promises
  malformed,            ///< bytes break the rules of their format
  too_large,            ///< a declared size is above the configured limit
  too_deep,             ///< nesting above the configured limit
  bad_magic,            ///< not the format it should be
  unsupported_version,  ///< a version of the format that this build does not read
  unsupported_feature,  ///< a required feature bit that this build does not know
  crc_mismatch,         ///< bytes changed between writer and reader
  state_mismatch,       ///< a group that does not continue the group before it
  buffer_too_small,     ///< the caller's output does not hold the result
  not_found,            ///< file, topic, series or key that is not there
  already_exists,       ///< would overwrite something that must not be overwritten
  io_error,             ///< the operating system refused a read, write, fsync or rename
  disk_full,            ///< ENOSPC or EDQUOT
  queue_full,           ///< a bounded queue or credit is used up
  timed_out,            ///< nothing came within the stated time
  disconnected,         ///< the peer went away
  refused,              ///< the peer said no
  config_error,         ///< a configuration file that cannot be used
  stopped,              ///< the program is shutting down
};

/// Stable lower-case word of the value, for logs and metric labels.
[[nodiscard]] std::string_view to_string(Errc code) noexcept;

}  // namespace ff
