// SPDX-License-Identifier: Apache-2.0
//
// Runs another program and reads its lines: how a benchmark uses the project's Python.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "common/base/result.hpp"

namespace ff::tools {

/// Runs argv[0] (found through PATH) with its stdout read line by line; stderr goes where ours goes. Waits for
/// its end. Errors: not_found (no such program), io_error, invalid_argument (its exit code is not 0).
[[nodiscard]] Status run_lines(const std::vector<std::string>& argv,
                               const std::function<void(const std::string&)>& on_line);

/// The project's Python: scripts of tools/python, and an interpreter to run them.
struct PythonPlaces {
  std::string scripts;  ///< folder
  std::string python;   ///< FF_PYTHON, build/venv/bin/python beside the scripts' repository, or python3
  std::string repository;
};

/// Looks upwards from this program and from the working folder for tools/python.
/// Errors: not_found.
[[nodiscard]] Result<PythonPlaces> find_python();

}  // namespace ff::tools
