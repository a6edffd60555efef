// SPDX-License-Identifier: Apache-2.0
//
// Records that nobody takes, on disk.
#include "agent/spool/quarantine.hpp"

#include <algorithm>
#include <fstream>

namespace ff::agent {
namespace {

/// A detector's name as part of a file name.
std::string file_word(std::string name) {
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0 && c != '-' && c != '_'; },
      '_');
  return name.substr(0, 64);
}

std::uint64_t bytes_in(const std::filesystem::path& folder) {
  std::uint64_t bytes = 0;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored))
    bytes += entry.file_size(ignored);
  return bytes;
}

}  // namespace

Quarantine::Quarantine(std::filesystem::path folder, std::uint64_t bytes_max)
    : folder_(std::move(folder)), bytes_max_(bytes_max), bytes_(bytes_in(folder_)) {}

Status Quarantine::keep(const wire::EnvelopeHeader& header, const std::string& reason, ByteSpan envelope) {
  const std::uint64_t bytes = envelope.size() + reason.size() + 1;
  if (bytes_ + bytes > bytes_max_) bytes_ = bytes_in(folder_);  // somebody may have emptied it
  if (bytes_ + bytes > bytes_max_)
    return fail(Errc::disk_full,
                "quarantine " + folder_.string() + " is full; look at its records and empty it");
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  const std::string stem = file_word(header.detector()) + "_s" + std::to_string(header.stream()) + "_e" +
                           std::to_string(header.epoch()) + "_" + std::to_string(header.sequence());
  std::ofstream record(folder_ / (stem + ".envelope"), std::ios::binary | std::ios::trunc);
  record.write(reinterpret_cast<const char*>(envelope.data()), static_cast<std::streamsize>(envelope.size()));
  std::ofstream why(folder_ / (stem + ".txt"), std::ios::trunc);
  why << reason << '\n';
  if (!record.flush() || !why.flush())
    return fail(Errc::io_error, "quarantine " + folder_.string() + " can't be written");
  bytes_ += bytes;
  return {};
}

}  // namespace ff::agent
