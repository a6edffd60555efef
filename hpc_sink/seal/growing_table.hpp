// SPDX-License-Identifier: Apache-2.0
//
// GrowingTable: an HDF5 dataset that is written row by row, a mebibyte at a time.
//
// Data path  series leaves > [GrowingTable] > master file
// Memory     one buffer, whatever the number of rows. Store thread only.
#pragma once

#include <string>

#include "common/base/bytes.hpp"
#include "hpc_sink/store/hdf5_writer.hpp"

namespace ff::sink {

class GrowingTable {
 public:
  /// A table of rows of `columns` elements of the little-endian integer `type`; 1: one-dimensional. Errors go to
  /// `writer`, which must outlive the table.
  GrowingTable(Hdf5Writer& writer, hid_t parent, const char* name, hid_t type, hsize_t columns);

  /// Whole rows.
  void append(ByteSpan rows);
  /// Writes what is buffered; append() nothing after it.
  void finish();

 private:
  void flush();

  Hdf5Writer& writer_;
  std::string name_;
  hid_t type_;
  hsize_t columns_;
  std::size_t row_bytes_;
  Hdf5Id set_;
  std::string buffer_;
  hsize_t rows_ = 0;  // written
};

}  // namespace ff::sink
