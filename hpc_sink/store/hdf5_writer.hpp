// SPDX-License-Identifier: Apache-2.0
//
// Hdf5Writer and Hdf5Id: HDF5's C interface with owned handles and one error at the end.
//
// Data path  decode > [store: DataFile, MasterFile]
// HDF5 is not thread-safe here: everything that includes this header runs on the store thread.
// A writer remembers the first call that failed; later calls do nothing, `status()` tells.
#pragma once

#include <cstdint>
#include <hdf5.h>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/dtype.hpp"
#include "common/base/result.hpp"

namespace ff::sink {

/// An HDF5 handle of any kind, owned and moved; closed by its kind's function.
class Hdf5Id {
 public:
  Hdf5Id() = default;
  Hdf5Id(hid_t id, herr_t (*close)(hid_t)) noexcept : id_(id), close_(close) {}
  Hdf5Id(Hdf5Id&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Hdf5Id& operator=(Hdf5Id&& other) noexcept {
    if (this != &other) {
      reset();
      id_ = std::exchange(other.id_, -1);
      close_ = other.close_;
    }
    return *this;
  }
  ~Hdf5Id() { reset(); }

  [[nodiscard]] bool valid() const noexcept { return id_ >= 0; }
  [[nodiscard]] hid_t get() const noexcept { return id_; }
  /// Closes now; negative when HDF5 could not (a file whose last bytes did not reach the disk).
  herr_t reset() noexcept { return id_ < 0 ? 0 : close_(std::exchange(id_, -1)); }

 private:
  hid_t id_ = -1;
  herr_t (*close_)(hid_t) = nullptr;
};

/// Once per process: HDF5 stays silent, and filter 32008 is there. Errors: io_error.
[[nodiscard]] Status prepare_hdf5();
/// The HDF5 error stack as an Error: disk_full for ENOSPC, EDQUOT and EFBIG, else io_error. Clears the stack.
[[nodiscard]] Error hdf5_error(std::string_view doing);
/// The file type of a pixel; float16 is made from its parts as h5py does.
[[nodiscard]] Hdf5Id pixel_type(Dtype dtype);

class Hdf5Writer {
 public:
  /// `where` opens error messages, e.g. the file's path.
  explicit Hdf5Writer(std::string where) : where_(std::move(where)) {}

  /// Makes a group (and those above it) with an NX_class attribute when `nx_class` is not empty.
  [[nodiscard]] Hdf5Id group(hid_t parent, const char* path, const char* nx_class);
  void text(hid_t parent, const char* name, std::string_view value);
  void number(hid_t parent, const char* name, double value, const char* units = nullptr);
  void integer(hid_t parent, const char* name, std::int64_t value);
  /// An array of `type` in memory and file; nothing is allocated for zero elements.
  void array(hid_t parent, const char* name, hid_t type, const std::vector<hsize_t>& shape,
             const void* values);
  void attribute(hid_t object, const char* name, std::string_view value);
  void attribute(hid_t object, const char* name, std::uint64_t value);
  void attribute(hid_t object, const char* name, std::int64_t value);
  void attribute(hid_t object, const char* name, const std::vector<double>& values);
  void attributes_of(hid_t parent, const char* name,
                     const std::vector<std::pair<const char*, std::string>>& texts);
  void soft_link(hid_t parent, const char* name, const char* target);

  /// Notes a failed call; returns ok ? true : false for chaining.
  bool check(bool ok, std::string_view doing);
  [[nodiscard]] bool good() const noexcept { return !error_; }
  [[nodiscard]] Status status() const;

 private:
  [[nodiscard]] Hdf5Id dataset(hid_t parent, const char* name, hid_t type, const std::vector<hsize_t>& shape);
  void write_attribute(hid_t object, const char* name, hid_t type, hid_t space, const void* value);

  std::string where_;
  bool error_ = false;
  Error first_;
};

}  // namespace ff::sink
