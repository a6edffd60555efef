// SPDX-License-Identifier: Apache-2.0
//
// Refused records on disk.
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

Status Quarantine::keep(const foreframe::wire::Refuse& refusal, ByteSpan envelope) {
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  if (bytes_in(folder_) + envelope.size() > bytes_max_)
    return fail(Errc::disk_full,
                "quarantine " + folder_.string() + " is full; look at its records and empty it");
  const auto& id = refusal.record();
  const std::string stem = file_word(id.detector()) + "_s" + std::to_string(id.stream()) + "_e" +
                           std::to_string(id.epoch()) + "_" + std::to_string(id.sequence());
  std::ofstream record(folder_ / (stem + ".envelope"), std::ios::binary | std::ios::trunc);
  record.write(reinterpret_cast<const char*>(envelope.data()), static_cast<std::streamsize>(envelope.size()));
  std::ofstream reason(folder_ / (stem + ".txt"), std::ios::trunc);
  reason << refusal.code() << ": " << refusal.message() << '\n';
  if (!record.flush() || !reason.flush())
    return fail(Errc::io_error, "quarantine " + folder_.string() + " can't be written");
  return {};
}

}  // namespace ff::agent
