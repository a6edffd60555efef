// SPDX-License-Identifier: Apache-2.0
//
// Sealed master: reading it back, within bounds.
#include <algorithm>
#include <sstream>

#include "hpc_sink/seal/sealed_master.hpp"

namespace ff::sink {
namespace {

class MasterReader {
 public:
  explicit MasterReader(const std::filesystem::path& path)
      : path_(path), file_(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose) {
    std::error_code ignored;
    file_bytes_ = file_.valid() ? std::filesystem::file_size(path, ignored) : 0;
  }

  [[nodiscard]] bool open() const { return file_.valid(); }
  [[nodiscard]] bool has(const std::string& name) const {
    for (std::size_t slash = name.find('/');; slash = name.find('/', slash + 1)) {
      if (H5Lexists(file_.get(), name.substr(0, slash).c_str(), H5P_DEFAULT) <= 0) return false;
      if (slash == std::string::npos) return true;
    }
  }
  [[nodiscard]] Error malformed(const std::string& what) const {
    H5Eclear2(H5E_DEFAULT);
    return fail(Errc::malformed, path_.string() + ": " + what);
  }

  template <typename T>
  [[nodiscard]] Result<std::vector<T>> table(const std::string& name, hid_t type) const {
    const Hdf5Id set(H5Dopen2(file_.get(), name.c_str(), H5P_DEFAULT), H5Dclose);
    if (!set.valid()) return malformed("no dataset " + name);
    const Hdf5Id space(H5Dget_space(set.get()), H5Sclose);
    const hssize_t elements = H5Sget_simple_extent_npoints(space.get());
    if (elements < 0 || static_cast<std::uint64_t>(elements) > file_bytes_ / sizeof(T))
      return malformed(name + " is larger than the file");
    std::vector<T> values(static_cast<std::size_t>(elements));
    if (elements > 0 && H5Dread(set.get(), type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0)
      return malformed("unreadable " + name);
    return values;
  }

  [[nodiscard]] Result<std::string> text(const std::string& name) const {
    const Hdf5Id set(H5Dopen2(file_.get(), name.c_str(), H5P_DEFAULT), H5Dclose);
    const Hdf5Id type(set.valid() ? H5Dget_type(set.get()) : -1, H5Tclose);
    if (!type.valid() || H5Tget_class(type.get()) != H5T_STRING || H5Tis_variable_str(type.get()) > 0 ||
        H5Tget_size(type.get()) > file_bytes_)
      return malformed("no text " + name);
    std::string value(H5Tget_size(type.get()), '\0');
    if (H5Dread(set.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, value.data()) < 0)
      return malformed("unreadable " + name);
    value.resize(std::min(value.find('\0'), value.size()));
    return value;
  }

  /// Pieces of `bytes` that end where `ends` says.
  [[nodiscard]] Result<std::vector<std::string>> pieces(const std::string& bytes,
                                                        const std::string& ends) const {
    FF_ASSIGN(const auto all, table<char>(bytes, H5T_NATIVE_UINT8));
    FF_ASSIGN(const auto where, table<std::uint64_t>(ends, H5T_NATIVE_UINT64));
    std::vector<std::string> found;
    std::uint64_t first = 0;
    for (const std::uint64_t end : where) {
      if (end < first || end > all.size()) return malformed(ends + " is out of order");
      found.emplace_back(all.data() + first, end - first);
      first = end;
    }
    if (first != all.size()) return malformed(bytes + " has more bytes than " + ends + " says");
    return found;
  }

  [[nodiscard]] Result<std::vector<std::string>> rows(const std::string& name, std::size_t width,
                                                      std::size_t count) const {
    FF_ASSIGN(const auto all, table<char>(name, H5T_NATIVE_UINT8));
    if (all.size() != width * count)
      return malformed(name + " has another number of rows than its neighbours");
    std::vector<std::string> found;
    for (std::size_t i = 0; i < count; ++i) found.emplace_back(all.data() + i * width, width);
    return found;
  }

 private:
  std::filesystem::path path_;
  Hdf5Id file_;
  std::uint64_t file_bytes_ = 0;  // nothing in it is compressed: no table is larger
};

Result<std::vector<Seal>> read_seals(const MasterReader& reader) {
  FF_ASSIGN(const auto bodies, reader.pieces("entry/foreframe/seals/body", "entry/foreframe/seals/body_end"));
  FF_ASSIGN(const auto keys, reader.rows("entry/foreframe/seals/public_key", 32, bodies.size()));
  FF_ASSIGN(const auto signatures, reader.rows("entry/foreframe/seals/signature", 64, bodies.size()));
  std::vector<Seal> seals(bodies.size());
  for (std::size_t i = 0; i < seals.size(); ++i) {
    seals[i].set_body(bodies[i]);
    seals[i].set_public_key(keys[i]);
    seals[i].set_signature(signatures[i]);
  }
  return seals;
}

Status read_states(const MasterReader& reader, SealedMaster& master) {
  SealBody body;
  if (!body.ParseFromString(master.seals.back().body()))
    return reader.malformed("its last seal can't be read");
  for (const auto& stream : body.streams()) {
    const std::string group = "entry/foreframe/stream_" + std::to_string(stream.stream());
    if (!reader.has(group)) return reader.malformed("no group " + group);
    FF_ASSIGN(auto state, reader.table<std::uint8_t>(group + "/state", H5T_NATIVE_UINT8));
    FF_ASSIGN(auto stage, reader.table<std::uint8_t>(group + "/stage", H5T_NATIVE_UINT8));
    if (state.size() != stage.size()) return reader.malformed(group + ": states and stages differ in length");
    master.streams[stream.stream()] = {std::move(state), std::move(stage)};
  }
  return {};
}

Status read_channels(const MasterReader& reader, SealedMaster& master) {
  FF_ASSIGN(const std::string text, reader.text("entry/foreframe/state_streams"));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    SealedMaster::ChannelStates channel;
    words >> channel.dataset;
    for (std::uint32_t stream = 0; words >> stream;) channel.streams.push_back(stream);
    FF_ASSIGN(channel.state, reader.table<std::uint8_t>("entry/data/" + channel.dataset, H5T_NATIVE_UINT8));
    master.channels.push_back(std::move(channel));
  }
  return {};
}

}  // namespace

Result<SealedMaster> read_sealed_master(const std::filesystem::path& path) {
  const MasterReader reader(path);
  if (!reader.open()) return hdf5_error("opening " + path.string());
  if (!reader.has("entry/foreframe/ledger")) return reader.malformed("not a master file of Foreframe");
  if (!reader.has("entry/foreframe/seals/body"))
    return fail(Errc::not_found, path.string() + " has no seal: an earlier version wrote it");
  SealedMaster master;
  FF_ASSIGN(master.seals, read_seals(reader));
  if (master.seals.empty()) return fail(Errc::not_found, path.string() + " has no seal");
  FF_ASSIGN(master.leaves, reader.pieces("entry/foreframe/leaves/bytes", "entry/foreframe/leaves/bytes_end"));
  FF_ASSIGN(master.leaf_hashes, reader.rows("entry/foreframe/leaves/sha256", 32, master.leaves.size()));
  FF_ASSIGN(const std::string names, reader.text("entry/foreframe/files"));
  for (std::size_t first = 0, end; (end = names.find('\n', first)) != std::string::npos; first = end + 1)
    master.files.push_back(names.substr(first, end - first));
  FF_TRY(read_states(reader, master));
  FF_TRY(read_channels(reader, master));
  return master;
}

}  // namespace ff::sink
