// SPDX-License-Identifier: Apache-2.0
#include "common/base/errc.hpp"

namespace ff {

std::string_view to_string(Errc code) noexcept {
  switch (code) {
    case Errc::invalid_argument: return "invalid_argument";
    case Errc::out_of_range: return "out_of_range";
    case Errc::shape_mismatch: return "shape_mismatch";
    case Errc::dtype_unsupported: return "dtype_unsupported";
    case Errc::truncated: return "truncated";
    case Errc::malformed: return "malformed";
    case Errc::too_large: return "too_large";
    case Errc::too_deep: return "too_deep";
    case Errc::bad_magic: return "bad_magic";
    case Errc::unsupported_version: return "unsupported_version";
    case Errc::unsupported_feature: return "unsupported_feature";
    case Errc::crc_mismatch: return "crc_mismatch";
    case Errc::state_mismatch: return "state_mismatch";
    case Errc::buffer_too_small: return "buffer_too_small";
    case Errc::not_found: return "not_found";
    case Errc::already_exists: return "already_exists";
    case Errc::io_error: return "io_error";
    case Errc::disk_full: return "disk_full";
    case Errc::queue_full: return "queue_full";
    case Errc::timed_out: return "timed_out";
    case Errc::disconnected: return "disconnected";
    case Errc::refused: return "refused";
    case Errc::config_error: return "config_error";
    case Errc::stopped: return "stopped";
  }
  return "unknown";
}

}  // namespace ff
