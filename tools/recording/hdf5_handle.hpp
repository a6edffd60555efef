// SPDX-License-Identifier: Apache-2.0
//
// Hdf5Handle: owns one HDF5 identifier of any kind and closes it. For the .cpp files of this folder.
#pragma once

#include <hdf5.h>
#include <utility>

namespace ff::tools {

class Hdf5Handle {
 public:
  Hdf5Handle() = default;
  explicit Hdf5Handle(hid_t id) noexcept : id_(id) {}
  Hdf5Handle(Hdf5Handle&& other) noexcept : id_(std::exchange(other.id_, -1)) {}
  Hdf5Handle& operator=(Hdf5Handle&& other) noexcept {
    std::swap(id_, other.id_);
    return *this;
  }
  ~Hdf5Handle() {
    if (id_ < 0) return;
    H5Idec_ref(id_);  // closes file, dataset, type, space or property list alike
  }

  [[nodiscard]] bool ok() const noexcept { return id_ >= 0; }
  [[nodiscard]] hid_t get() const noexcept { return id_; }

 private:
  hid_t id_ = -1;
};

/// The library prints its error stack to stderr unless told otherwise; our errors are Results.
inline void silence_hdf5() { H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr); }

}  // namespace ff::tools
