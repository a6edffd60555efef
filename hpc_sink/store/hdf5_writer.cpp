// SPDX-License-Identifier: Apache-2.0
//
// Hdf5Writer: thin calls into HDF5's C interface, each checked.
#include "hpc_sink/store/hdf5_writer.hpp"

#include "hpc_sink/store/bitshuffle_filter.hpp"

namespace ff::sink {
namespace {

Hdf5Id text_type(std::string_view value) {
  Hdf5Id type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type.get(), value.empty() ? 1 : value.size());
  H5Tset_strpad(type.get(), H5T_STR_NULLPAD);
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  return type;
}

Hdf5Id space_of(const std::vector<hsize_t>& shape) {
  return {shape.empty() ? H5Screate(H5S_SCALAR)
                        : H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr),
          H5Sclose};
}

// HDF5 pads a text of no characters to one: an empty text is one zero byte.
const void* text_bytes(std::string_view value) { return value.empty() ? "" : value.data(); }

herr_t collect_lines(unsigned /*index*/, const H5E_error2_t* line, void* target) {
  auto& text = *static_cast<std::string*>(target);
  if (!text.empty()) text += "; ";
  if (line->desc != nullptr) text += line->desc;
  return 0;
}

bool names_full_disk(const std::string& text) {
  for (const char* code : {"errno = 28,", "errno = 122,", "errno = 27,"})
    if (text.find(code) != std::string::npos) return true;
  return false;
}

}  // namespace

Status prepare_hdf5() {
  // A file that HDF5 could not close (disk full) stays in its tables, and its own clean-up at exit crashes on it
  // (1.10.8). All files are closed by their owners, so there is nothing to clean up.
  H5dont_atexit();
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  return register_bitshuffle_filter();
}

Error hdf5_error(std::string_view doing) {
  std::string lines;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, collect_lines, &lines);
  H5Eclear2(H5E_DEFAULT);
  constexpr std::size_t kLinesMax = 400;
  const Errc code = names_full_disk(lines) ? Errc::disk_full : Errc::io_error;
  return fail(code, std::string(doing) +
                        " failed: " + (lines.empty() ? "HDF5 says no more" : lines.substr(0, kLinesMax)));
}

Hdf5Id pixel_type(Dtype dtype) {
  switch (dtype) {
    case Dtype::u8: return {H5Tcopy(H5T_STD_U8LE), H5Tclose};
    case Dtype::u16: return {H5Tcopy(H5T_STD_U16LE), H5Tclose};
    case Dtype::u32: return {H5Tcopy(H5T_STD_U32LE), H5Tclose};
    case Dtype::i8: return {H5Tcopy(H5T_STD_I8LE), H5Tclose};
    case Dtype::i16: return {H5Tcopy(H5T_STD_I16LE), H5Tclose};
    case Dtype::i32: return {H5Tcopy(H5T_STD_I32LE), H5Tclose};
    case Dtype::f32: return {H5Tcopy(H5T_IEEE_F32LE), H5Tclose};
    case Dtype::f16: break;
  }
  Hdf5Id half(H5Tcopy(H5T_IEEE_F32LE), H5Tclose);
  H5Tset_fields(half.get(), 15, 10, 5, 0, 10);
  H5Tset_size(half.get(), 2);
  H5Tset_ebias(half.get(), 15);
  return half;
}

bool Hdf5Writer::check(bool ok, std::string_view doing) {
  if (!ok && !error_) {
    first_ = hdf5_error(where_ + ": " + std::string(doing));
    error_ = true;
  }
  return ok;
}

Status Hdf5Writer::status() const {
  if (error_) return first_;
  return {};
}

Hdf5Id Hdf5Writer::group(hid_t parent, const char* path, const char* nx_class) {
  if (!good()) return {};
  const Hdf5Id links(H5Pcreate(H5P_LINK_CREATE), H5Pclose);
  H5Pset_create_intermediate_group(links.get(), 1);
  Hdf5Id made(H5Gcreate2(parent, path, links.get(), H5P_DEFAULT, H5P_DEFAULT), H5Gclose);
  if (check(made.valid(), std::string("making group ") + path) && *nx_class != '\0')
    attribute(made.get(), "NX_class", nx_class);
  return made;
}

Hdf5Id Hdf5Writer::dataset(hid_t parent, const char* name, hid_t type, const std::vector<hsize_t>& shape) {
  if (!good()) return {};
  const Hdf5Id space = space_of(shape);
  Hdf5Id made(H5Dcreate2(parent, name, type, space.get(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), H5Dclose);
  check(made.valid(), std::string("making dataset ") + name);
  return made;
}

void Hdf5Writer::array(hid_t parent, const char* name, hid_t type, const std::vector<hsize_t>& shape,
                       const void* values) {
  const Hdf5Id made = dataset(parent, name, type, shape);
  hsize_t elements = 1;
  for (const hsize_t side : shape) elements *= side;
  if (made.valid() && elements > 0)
    check(H5Dwrite(made.get(), type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0,
          std::string("writing ") + name);
}

void Hdf5Writer::text(hid_t parent, const char* name, std::string_view value) {
  const Hdf5Id type = text_type(value);
  array(parent, name, type.get(), {}, text_bytes(value));
}

void Hdf5Writer::number(hid_t parent, const char* name, double value, const char* units) {
  array(parent, name, H5T_NATIVE_DOUBLE, {}, &value);
  if (units != nullptr) attributes_of(parent, name, {{"units", units}});
}

void Hdf5Writer::integer(hid_t parent, const char* name, std::int64_t value) {
  array(parent, name, H5T_NATIVE_INT64, {}, &value);
}

void Hdf5Writer::write_attribute(hid_t object, const char* name, hid_t type, hid_t space, const void* value) {
  if (!good()) return;
  const Hdf5Id made(H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  check(made.valid() && H5Awrite(made.get(), type, value) >= 0, std::string("writing attribute ") + name);
}

void Hdf5Writer::attribute(hid_t object, const char* name, std::string_view value) {
  const Hdf5Id type = text_type(value), space = space_of({});
  write_attribute(object, name, type.get(), space.get(), text_bytes(value));
}

void Hdf5Writer::attribute(hid_t object, const char* name, std::uint64_t value) {
  const Hdf5Id space = space_of({});
  write_attribute(object, name, H5T_NATIVE_UINT64, space.get(), &value);
}

void Hdf5Writer::attribute(hid_t object, const char* name, std::int64_t value) {
  const Hdf5Id space = space_of({});
  write_attribute(object, name, H5T_NATIVE_INT64, space.get(), &value);
}

void Hdf5Writer::attribute(hid_t object, const char* name, const std::vector<double>& values) {
  const Hdf5Id space = space_of({values.size()});
  write_attribute(object, name, H5T_NATIVE_DOUBLE, space.get(), values.data());
}

void Hdf5Writer::attributes_of(hid_t parent, const char* name,
                               const std::vector<std::pair<const char*, std::string>>& texts) {
  if (!good()) return;
  const Hdf5Id object(H5Oopen(parent, name, H5P_DEFAULT), H5Oclose);
  if (!check(object.valid(), std::string("opening ") + name)) return;
  for (const auto& [key, value] : texts) attribute(object.get(), key, value);
}

void Hdf5Writer::soft_link(hid_t parent, const char* name, const char* target) {
  if (good())
    check(H5Lcreate_soft(target, parent, name, H5P_DEFAULT, H5P_DEFAULT) >= 0,
          std::string("linking ") + name);
}

}  // namespace ff::sink
