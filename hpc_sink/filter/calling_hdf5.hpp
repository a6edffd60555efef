// SPDX-License-Identifier: Apache-2.0
//
// CallingHdf5: the functions of the HDF5 library that called the filter, found by the address it called from.
//
// Why not linked? A process may hold several HDF5 libraries (h5py's wheel brings its own, loaded out of sight of the
// linker), and the identifiers of one mean nothing to another. Reading a chunk needs none of these functions.
#pragma once

#include <hdf5.h>
#include <string>

#include "common/base/result.hpp"

namespace ff::sink {

class CallingHdf5 {
 public:
  /// `address`: anywhere in the library's code, such as the return address of its call.
  explicit CallingHdf5(const void* address);
  ~CallingHdf5();
  CallingHdf5(const CallingHdf5&) = delete;
  CallingHdf5& operator=(const CallingHdf5&) = delete;

  /// Whether it has all that making a dataset needs.
  [[nodiscard]] bool complete() const noexcept;
  /// Puts the message on the thread's error stack; below it the library's own words follow.
  void push_error(const std::string& message) const noexcept;

  decltype(&::H5Pget_chunk) get_chunk = nullptr;
  decltype(&::H5Pget_filter_by_id2) get_filter = nullptr;
  decltype(&::H5Pmodify_filter) modify_filter = nullptr;
  decltype(&::H5Pget_fill_value) get_fill_value = nullptr;
  decltype(&::H5Pfill_value_defined) fill_value_defined = nullptr;
  decltype(&::H5Tget_class) type_class = nullptr;
  decltype(&::H5Tget_size) type_size = nullptr;
  decltype(&::H5Tget_sign) type_sign = nullptr;
  decltype(&::H5Tget_order) type_order = nullptr;

 private:
  template <typename Function>
  void find(Function*& function, const char* name) noexcept;

  void push_to(hid_t stack, const std::string& message) const noexcept;
  [[nodiscard]] bool stack_is_paused() const noexcept;
  [[nodiscard]] int pauses_of_stack() const noexcept;

  void* library_ = nullptr;  // of dlopen; null: searched in what the program shows to all
  decltype(&::H5Epush2) push_ = nullptr;
  decltype(&::H5Ecreate_stack) create_ = nullptr;
  decltype(&::H5Eset_current_stack) set_current_ = nullptr;
  herr_t (*is_paused_)(hid_t, bool*) = nullptr;  // these three: since HDF5 2.0
  herr_t (*pause_)(hid_t) = nullptr;
  herr_t (*resume_)(hid_t) = nullptr;
  hid_t *error_class_ = nullptr, *error_major_ = nullptr,
        *error_minor_ = nullptr;  // variables of the library
};

}  // namespace ff::sink
