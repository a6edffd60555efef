// SPDX-License-Identifier: Apache-2.0
//
// Names in the store: <series_uid>/<detector>_s<stream>_p<partition>_<segment>_e<epoch>.h5 and
// <series_uid>/<detector>_master.h5. Relative to the store's folder, so that it can be moved.
#pragma once

#include <string>

#include "hpc_sink/store/data_file.hpp"

namespace ff::sink {

/// A detector's name as part of a file name: letters, digits, '-', '_' and '.', never hidden, never empty.
[[nodiscard]] std::string safe_name(const std::string& detector);
[[nodiscard]] std::string data_file_name(const DataFileHead& head);
[[nodiscard]] std::string master_file_name(const Uuid& series, const std::string& detector);

}  // namespace ff::sink
