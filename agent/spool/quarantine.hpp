// SPDX-License-Identifier: Apache-2.0
//
// Quarantine: records that a collector will never take, kept for people to look at, in a bounded folder.
#pragma once

#include <cstdint>
#include <filesystem>

#include "common/base/bytes.hpp"
#include "common/base/result.hpp"
#include "common/wire/link.pb.h"

namespace ff::agent {

class Quarantine {
 public:
  Quarantine(std::filesystem::path folder, std::uint64_t bytes_max)
      : folder_(std::move(folder)), bytes_max_(bytes_max) {}

  /// Writes <detector>_s<stream>_e<epoch>_<sequence>.envelope and beside it .txt with the reason.
  /// Errors: disk_full (bytes_max reached: empty the folder), io_error.
  [[nodiscard]] Status keep(const foreframe::wire::Refuse& refusal, ByteSpan envelope);

 private:
  std::filesystem::path folder_;
  std::uint64_t bytes_max_;
};

}  // namespace ff::agent
