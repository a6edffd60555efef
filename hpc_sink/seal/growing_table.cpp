// SPDX-License-Identifier: Apache-2.0
//
// GrowingTable: a chunked dataset, made longer with every full buffer.
#include "hpc_sink/seal/growing_table.hpp"

#include <algorithm>

namespace ff::sink {
namespace {

constexpr std::size_t kBufferBytes = 1u << 20;
constexpr std::size_t kChunkBytes = 1u << 16;

}  // namespace

GrowingTable::GrowingTable(Hdf5Writer& writer, hid_t parent, const char* name, hid_t type, hsize_t columns)
    : writer_(writer), name_(name), type_(type), columns_(columns), row_bytes_(H5Tget_size(type) * columns) {
  if (!writer_.good()) return;
  const int dimensions = columns == 1 ? 1 : 2;
  const hsize_t none[2] = {0, columns}, most[2] = {H5S_UNLIMITED, columns};
  const hsize_t chunk[2] = {kChunkBytes / row_bytes_, columns};
  const Hdf5Id space(H5Screate_simple(dimensions, none, most), H5Sclose);
  const Hdf5Id creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_chunk(creation.get(), dimensions, chunk);
  H5Pset_obj_track_times(creation.get(), false);
  set_ =
      Hdf5Id(H5Dcreate2(parent, name, type, space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT), H5Dclose);
  writer_.check(set_.valid(), "making " + name_);
}

void GrowingTable::append(ByteSpan rows) {
  buffer_ += as_text(rows);
  if (buffer_.size() >= kBufferBytes) flush();
}

void GrowingTable::finish() {
  flush();
  if (writer_.good()) writer_.check(set_.reset() >= 0, "closing " + name_);
}

void GrowingTable::flush() {
  const hsize_t fresh = buffer_.size() / row_bytes_;
  if (!writer_.good() || fresh == 0) return;
  const int dimensions = columns_ == 1 ? 1 : 2;
  const hsize_t start[2] = {rows_, 0}, count[2] = {fresh, columns_}, extent[2] = {rows_ + fresh, columns_};
  bool written = H5Dset_extent(set_.get(), extent) >= 0;
  const Hdf5Id in_file(H5Dget_space(set_.get()), H5Sclose);
  const Hdf5Id in_memory(H5Screate_simple(dimensions, count, nullptr), H5Sclose);
  written = written &&
            H5Sselect_hyperslab(in_file.get(), H5S_SELECT_SET, start, nullptr, count, nullptr) >= 0 &&
            H5Dwrite(set_.get(), type_, in_memory.get(), in_file.get(), H5P_DEFAULT, buffer_.data()) >= 0;
  writer_.check(written, "writing " + name_);
  rows_ += fresh;
  buffer_.clear();
}

}  // namespace ff::sink
