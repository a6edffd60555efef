// SPDX-License-Identifier: Apache-2.0
//
// Looks up functions in the HDF5 library that an address belongs to.
#include "hpc_sink/filter/calling_hdf5.hpp"

#include <dlfcn.h>

namespace ff::sink {

CallingHdf5::CallingHdf5(const void* address) {
  Dl_info where{};
  if (::dladdr(address, &where) != 0 && where.dli_fname != nullptr)
    library_ = ::dlopen(where.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
  find(get_chunk, "H5Pget_chunk");
  find(get_filter, "H5Pget_filter_by_id2");
  find(modify_filter, "H5Pmodify_filter");
  find(get_fill_value, "H5Pget_fill_value");
  find(fill_value_defined, "H5Pfill_value_defined");
  find(type_class, "H5Tget_class");
  find(type_size, "H5Tget_size");
  find(type_sign, "H5Tget_sign");
  find(type_order, "H5Tget_order");
  find(push_, "H5Epush2");
  find(is_paused_, "H5Eis_paused");
  find(pause_, "H5Epause_stack");
  find(resume_, "H5Eresume_stack");
  find(create_, "H5Ecreate_stack");
  find(set_current_, "H5Eset_current_stack");
  find(error_class_, "H5E_ERR_CLS_g");
  find(error_major_, "H5E_PLINE_g");
  find(error_minor_, "H5E_CANTFILTER_g");
}

CallingHdf5::~CallingHdf5() {
  if (library_ != nullptr) ::dlclose(library_);
}

template <typename Function>
void CallingHdf5::find(Function*& function, const char* name) noexcept {
  void* const found = ::dlsym(library_ != nullptr ? library_ : RTLD_DEFAULT, name);
  function = reinterpret_cast<Function*>(found);
}

bool CallingHdf5::complete() const noexcept {
  return get_chunk != nullptr && get_filter != nullptr && modify_filter != nullptr &&
         get_fill_value != nullptr && fill_value_defined != nullptr && type_class != nullptr &&
         type_size != nullptr && type_sign != nullptr && type_order != nullptr;
}

void CallingHdf5::push_error(const std::string& message) const noexcept {
  if (push_ == nullptr || error_class_ == nullptr || error_major_ == nullptr || error_minor_ == nullptr)
    return;
  // HDF5 2.0 pauses its stack while a filter works: what is pushed is dropped, and opening and pausing it again would
  // clear it. So the error goes onto a stack of ours, paused as often, which then takes the place of the library's.
  if (stack_is_paused() && create_ != nullptr && set_current_ != nullptr) {
    const hid_t ours = create_();
    push_to(ours, message);
    for (int pauses = pauses_of_stack(); pauses > 0; --pauses) pause_(ours);
    set_current_(ours);
    return;
  }
  push_to(H5E_DEFAULT, message);
}

void CallingHdf5::push_to(hid_t stack, const std::string& message) const noexcept {
  // The stack keeps its own copy of the text; file and line would only be ours.
  push_(stack, "libh5foreframe", "foreframe filter", 0, *error_class_, *error_major_, *error_minor_, "%s",
        message.c_str());
}

// There is no function that says it: undone and done again.
int CallingHdf5::pauses_of_stack() const noexcept {
  int pauses = 0;
  while (stack_is_paused() && resume_(H5E_DEFAULT) >= 0) ++pauses;
  for (int i = 0; i < pauses; ++i) pause_(H5E_DEFAULT);
  return pauses;
}

bool CallingHdf5::stack_is_paused() const noexcept {
  bool paused = false;
  const bool known = is_paused_ != nullptr && pause_ != nullptr && resume_ != nullptr;
  return known && is_paused_(H5E_DEFAULT, &paused) >= 0 && paused;
}

}  // namespace ff::sink
