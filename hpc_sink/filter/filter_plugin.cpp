// SPDX-License-Identifier: Apache-2.0
//
// libh5foreframe.so: what HDF5 asks a file on its plug-in path. These two functions are all that it shows.
#include <H5PLextern.h>

#include "hpc_sink/filter/hdf5_filter.hpp"

extern "C" {

H5PL_type_t H5PLget_plugin_type() { return H5PL_TYPE_FILTER; }
const void* H5PLget_plugin_info() { return &ff::sink::filter_class(); }
}
