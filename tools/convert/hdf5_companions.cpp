// SPDX-License-Identifier: Apache-2.0
//
// Walks down to the frames and copies what it passes by.
#include "tools/convert/hdf5_companions.hpp"

#include <cstddef>

#include "tools/recording/hdf5_handle.hpp"

namespace ff::tools {

namespace {

Error broken(const std::string& what) {
  return fail(Errc::io_error,
              what + " can't be taken along into the new file; is the disk full, or the source damaged?");
}

// Strings of variable length live outside the buffer and are given back after writing.
Status copy_attribute(hid_t from, hid_t to, const char* name) {
  if (H5Aexists(to, name) > 0) return {};
  const Hdf5Handle source(H5Aopen(from, name, H5P_DEFAULT));
  const Hdf5Handle type(H5Aget_type(source.get())), space(H5Aget_space(source.get()));
  const Hdf5Handle target(H5Acreate2(to, name, type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT));
  if (!target.ok()) return broken(std::string("the attribute ") + name);
  const hssize_t count = H5Sget_simple_extent_npoints(space.get());
  if (count <= 0) return {};
  std::vector<std::byte> values(static_cast<std::size_t>(count) * H5Tget_size(type.get()));
  const bool done = H5Aread(source.get(), type.get(), values.data()) >= 0 &&
                    H5Awrite(target.get(), type.get(), values.data()) >= 0;
  if (H5Tdetect_class(type.get(), H5T_VLEN) > 0 || H5Tis_variable_str(type.get()) > 0)
    H5Dvlen_reclaim(type.get(), space.get(), H5P_DEFAULT, values.data());
  if (!done) return broken(std::string("the attribute ") + name);
  return {};
}

std::vector<std::string> names_of(hid_t group) {
  std::vector<std::string> names;
  const auto note = [](hid_t, const char* name, const H5L_info_t*, void* out) -> herr_t {
    static_cast<std::vector<std::string>*>(out)->emplace_back(name);
    return 0;
  };
  H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, nullptr, note, &names);
  return names;
}

Status copy_link(hid_t from, hid_t to, const std::string& name) {
  H5L_info_t about{};
  if (H5Lget_info(from, name.c_str(), &about, H5P_DEFAULT) < 0) return broken(name);
  if (about.type == H5L_TYPE_HARD) {
    if (H5Ocopy(from, name.c_str(), to, name.c_str(), H5P_DEFAULT, H5P_DEFAULT) < 0) return broken(name);
    return {};
  }
  std::vector<char> value(about.u.val_size + 1);
  if (H5Lget_val(from, name.c_str(), value.data(), value.size(), H5P_DEFAULT) < 0) return broken(name);
  if (about.type == H5L_TYPE_SOFT) {
    if (H5Lcreate_soft(value.data(), to, name.c_str(), H5P_DEFAULT, H5P_DEFAULT) < 0) return broken(name);
    return {};
  }
  const char *file = nullptr, *object = nullptr;
  unsigned flags = 0;
  if (about.type != H5L_TYPE_EXTERNAL ||
      H5Lunpack_elink_val(value.data(), about.u.val_size, &flags, &file, &object) < 0 ||
      H5Lcreate_external(file, object, to, name.c_str(), H5P_DEFAULT, H5P_DEFAULT) < 0)
    return broken(name);
  return {};
}

// `rest`: what is left of the path to the frames, "data/data".
Status copy_group(hid_t from, hid_t to, const std::string& rest) {
  FF_TRY(copy_attributes(from, to));
  const std::size_t slash = rest.find('/');
  const std::string next = rest.substr(0, slash);
  for (const std::string& name : names_of(from))
    if (name != next) FF_TRY(copy_link(from, to, name));
  if (slash == std::string::npos) return {};
  const Hdf5Handle inner(H5Gopen2(from, next.c_str(), H5P_DEFAULT));
  const Hdf5Handle made(H5Gcreate2(to, next.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  if (!inner.ok() || !made.ok()) return broken(next);
  return copy_group(inner.get(), made.get(), rest.substr(slash + 1));
}

}  // namespace

Status copy_attributes(hid_t from, hid_t to) {
  std::vector<std::string> names;
  const auto note = [](hid_t, const char* name, const H5A_info_t*, void* out) -> herr_t {
    static_cast<std::vector<std::string>*>(out)->emplace_back(name);
    return 0;
  };
  H5Aiterate2(from, H5_INDEX_NAME, H5_ITER_INC, nullptr, note, &names);
  for (const std::string& name : names) FF_TRY(copy_attribute(from, to, name.c_str()));
  return {};
}

Status copy_companions(hid_t from, hid_t to, const std::string& frames) {
  const Hdf5Handle source(H5Gopen2(from, "/", H5P_DEFAULT)), target(H5Gopen2(to, "/", H5P_DEFAULT));
  return copy_group(source.get(), target.get(), frames.substr(frames.find_first_not_of('/')));
}

std::vector<std::uint32_t> stored_pixel_crcs(hid_t file, const std::string& frames, std::uint64_t count) {
  const std::string path = frames.substr(0, frames.rfind('/') + 1) + "pixel_crc32c";
  const Hdf5Handle table(H5Dopen2(file, path.c_str(), H5P_DEFAULT));
  if (!table.ok()) return {};
  const Hdf5Handle space(H5Dget_space(table.get()));
  if (H5Sget_simple_extent_npoints(space.get()) != static_cast<hssize_t>(count)) return {};
  std::vector<std::uint32_t> crcs(count);
  if (H5Dread(table.get(), H5T_NATIVE_UINT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, crcs.data()) < 0) crcs.clear();
  return crcs;
}

}  // namespace ff::tools
