// SPDX-License-Identifier: Apache-2.0
//
// Names in the store, made of checked parts only.
#include "hpc_sink/store/file_names.hpp"

#include <cstdio>

namespace ff::sink {

std::string safe_name(const std::string& detector) {
  std::string safe;
  for (const char c : detector) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
    safe += plain ? c : '_';
  }
  if (safe.empty() || safe.front() == '.') safe.insert(safe.begin(), '_');
  return safe;
}

std::string data_file_name(const DataFileHead& head) {
  char segment[16];
  std::snprintf(segment, sizeof segment, "%06u", head.segment);
  return head.stream.series.to_string() + "/" + safe_name(head.detector) + "_s" +
         std::to_string(head.stream.stream) + "_p" + std::to_string(head.partition) + "_" + segment + "_e" +
         std::to_string(head.epoch) + ".h5";
}

std::string master_file_name(const Uuid& series, const std::string& detector) {
  return series.to_string() + "/" + safe_name(detector) + "_master.h5";
}

}  // namespace ff::sink
