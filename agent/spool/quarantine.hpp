// SPDX-License-Identifier: Apache-2.0
//
// Quarantine: records that a collector or a sink will never take, kept for people to look at, in a bounded folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "common/base/bytes.hpp"
#include "common/base/result.hpp"
#include "common/wire/envelope.hpp"

namespace ff::agent {

class Quarantine {
 public:
  Quarantine(std::filesystem::path folder, std::uint64_t bytes_max);

  /// Writes <detector>_s<stream>_e<epoch>_<sequence>.envelope and beside it .txt with the reason. What people take
  /// out of the folder makes room again.
  /// Errors: disk_full (bytes_max reached: empty the folder), io_error.
  [[nodiscard]] Status keep(const wire::EnvelopeHeader& header, const std::string& reason, ByteSpan envelope);

 private:
  std::filesystem::path folder_;
  std::uint64_t bytes_max_;
  std::uint64_t bytes_;  ///< in the folder, when it was last counted, and what came since
};

}  // namespace ff::agent
