// SPDX-License-Identifier: Apache-2.0
//
// TempDir: a folder that is gone when the test is over.
#pragma once

#include <atomic>
#include <filesystem>
#include <string>
#include <unistd.h>

namespace ff::test {

class TempDir {
 public:
  TempDir() {
    static std::atomic<unsigned> count{0};
    path_ = std::filesystem::temp_directory_path() /
            ("foreframe-test-" + std::to_string(getpid()) + "-" + std::to_string(count.fetch_add(1)));
    std::filesystem::create_directories(path_);
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace ff::test
