// SPDX-License-Identifier: Apache-2.0
//
// read_data_file: what a finished file says about itself, believed only after it was checked.
#include <algorithm>
#include <map>

#include "common/base/crc32c.hpp"
#include "common/wire/tile_grid.hpp"
#include "hpc_sink/store/data_file.hpp"

namespace ff::sink {
namespace {

constexpr hsize_t kRowsMax = 2 * kDataFileFramesMax;
constexpr std::size_t kSha256Bytes = 32;
constexpr std::size_t kFactsBytesMax = 256;  // a window, on average

class Reader {
 public:
  explicit Reader(const std::filesystem::path& path) : path_(path) {
    file_ = Hdf5Id(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  }
  [[nodiscard]] bool open() const { return file_.valid(); }
  [[nodiscard]] Error malformed(const std::string& what) const {
    H5Eclear2(H5E_DEFAULT);
    return fail(Errc::malformed, path_.string() + ": " + what);
  }

  [[nodiscard]] Result<std::uint64_t> number(const char* name) const {
    const Hdf5Id attribute = open_attribute(name);
    std::uint64_t value = 0;
    if (!attribute.valid() || H5Aget_storage_size(attribute.get()) != sizeof value ||
        H5Aread(attribute.get(), H5T_NATIVE_UINT64, &value) < 0)
      return malformed(std::string("no attribute ") + name);
    return value;
  }

  [[nodiscard]] Result<std::string> text(const char* name) const {
    const Hdf5Id attribute = open_attribute(name);
    if (!attribute.valid()) return malformed(std::string("no attribute ") + name);
    const Hdf5Id type(H5Aget_type(attribute.get()), H5Tclose);
    constexpr std::size_t kTextMax = 4096;
    if (H5Tget_class(type.get()) != H5T_STRING || H5Tis_variable_str(type.get()) > 0 ||
        H5Tget_size(type.get()) > kTextMax)
      return malformed(std::string("attribute ") + name + " is no short text");
    std::string value(H5Tget_size(type.get()), '\0');
    if (H5Aread(attribute.get(), type.get(), value.data()) < 0)
      return malformed(std::string("unreadable ") + name);
    value.resize(std::min(value.find('\0'), value.size()));
    return value;
  }

  [[nodiscard]] bool has_attribute(const char* name) const {
    return H5Aexists_by_name(file_.get(), "entry/foreframe", name, H5P_DEFAULT) > 0;
  }
  [[nodiscard]] bool has(const char* name) const { return H5Lexists(file_.get(), name, H5P_DEFAULT) > 0; }

  template <typename T>
  [[nodiscard]] Result<std::vector<T>> table(const char* name, hid_t type,
                                             std::size_t elements_per_row = 1) const {
    const Hdf5Id set(H5Dopen2(file_.get(), name, H5P_DEFAULT), H5Dclose);
    if (!set.valid()) return malformed(std::string("no dataset ") + name);
    const Hdf5Id space(H5Dget_space(set.get()), H5Sclose);
    const hssize_t elements = H5Sget_simple_extent_npoints(space.get());
    if (elements < 0 || static_cast<hsize_t>(elements) > kRowsMax * elements_per_row)
      return malformed(std::string(name) + " is too large");
    std::vector<T> values(static_cast<std::size_t>(elements));
    if (elements > 0 && H5Dread(set.get(), type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0)
      return malformed(std::string("unreadable ") + name);
    return values;
  }

  [[nodiscard]] Status verify_pixels(const ReadDataFile& content) const;

 private:
  [[nodiscard]] Hdf5Id open_attribute(const char* name) const {
    return {H5Aopen_by_name(file_.get(), "entry/foreframe", name, H5P_DEFAULT, H5P_DEFAULT), H5Aclose};
  }

  std::filesystem::path path_;
  Hdf5Id file_;
};

Result<DataFileHead> read_head(const Reader& reader) {
  FF_ASSIGN(const std::uint64_t layout, reader.number("layout"));
  if (layout != kDataFileLayout)
    return fail(Errc::unsupported_version,
                "data file layout " + std::to_string(layout) + "; this build reads 1");
  DataFileHead head;
  FF_ASSIGN(const std::string uid, reader.text("series_uid"));
  FF_ASSIGN(head.stream.series, Uuid::parse(uid));
  FF_ASSIGN(head.detector, reader.text("detector"));
  FF_ASSIGN(const std::uint64_t stream, reader.number("stream"));
  FF_ASSIGN(const std::uint64_t partition, reader.number("partition"));
  FF_ASSIGN(const std::uint64_t segment, reader.number("segment"));
  FF_ASSIGN(head.epoch, reader.number("epoch"));
  FF_ASSIGN(const std::uint64_t window_frames, reader.number("window_frames"));
  FF_ASSIGN(const std::string compression, reader.text("compression"));
  FF_ASSIGN(head.compression, parse_compression(compression));
  if (reader.has_attribute("sink")) {
    FF_ASSIGN(head.sink, reader.text("sink"));
  }
  FF_ASSIGN(const auto geometry, reader.table<std::uint8_t>("entry/foreframe/geometry", H5T_NATIVE_UINT8));
  if (stream > UINT32_MAX || partition > INT32_MAX || segment > UINT32_MAX || window_frames == 0 ||
      window_frames > 64 || !head.geometry.ParseFromArray(geometry.data(), static_cast<int>(geometry.size())))
    return reader.malformed("attributes out of range");
  FF_TRY(wire::check_geometry(head.geometry));
  head.stream.stream = static_cast<std::uint32_t>(stream);
  head.partition = static_cast<std::int32_t>(partition);
  head.segment = static_cast<std::uint32_t>(segment);
  head.window_frames = static_cast<std::uint32_t>(window_frames);
  return head;
}

// Files of earlier builds have no digests and facts; then they are not known.
Status read_records(const Reader& reader, std::vector<WindowFates>& fates) {
  if (!reader.has("entry/foreframe/window_reported")) return {};
  FF_ASSIGN(const auto reported,
            reader.table<std::uint8_t>("entry/foreframe/window_reported", H5T_NATIVE_UINT8));
  FF_ASSIGN(const auto digests,
            reader.table<char>("entry/foreframe/window_payload_sha256", H5T_NATIVE_UINT8, kSha256Bytes));
  FF_ASSIGN(const auto facts,
            reader.table<char>("entry/foreframe/window_facts", H5T_NATIVE_UINT8, kFactsBytesMax));
  FF_ASSIGN(const auto ends,
            reader.table<std::uint64_t>("entry/foreframe/window_facts_end", H5T_NATIVE_UINT64));
  const std::size_t count = fates.size();
  if (reported.size() != count || digests.size() != count * kSha256Bytes || ends.size() != count)
    return reader.malformed("its window tables have different lengths");
  std::uint64_t first = 0;
  for (std::size_t w = 0; w < count; ++w) {
    if (ends[w] < first || ends[w] > facts.size())
      return reader.malformed("window_facts_end is out of order");
    fates[w].reported = reported[w] != 0;
    fates[w].payload_sha256.assign(digests.data() + w * kSha256Bytes, kSha256Bytes);
    if (fates[w].payload_sha256 == std::string(kSha256Bytes, '\0')) fates[w].payload_sha256.clear();
    fates[w].facts.assign(facts.data() + first, ends[w] - first);
    first = ends[w];
  }
  return {};
}

// A frame's CRC stands in its row; the window it belongs to keeps it too.
void place_pixel_crcs(ReadDataFile& content) {
  std::map<std::uint64_t, WindowFates*> windows;
  for (WindowFates& window : content.index.windows) {
    window.pixel_crcs.assign(window.fates.size(), 0);
    windows[window.window] = &window;
  }
  for (std::size_t row = 0; row < content.index.frame_numbers.size(); ++row) {
    const auto frame = static_cast<std::uint64_t>(content.index.frame_numbers[row]);
    const auto window = windows.find(frame / content.head.window_frames);
    const std::size_t position = frame % content.head.window_frames;
    if (window != windows.end() && position < window->second->pixel_crcs.size())
      window->second->pixel_crcs[position] = content.index.pixel_crcs[row];
  }
}

Result<std::vector<WindowFates>> read_windows(const Reader& reader, std::uint32_t window_frames) {
  FF_ASSIGN(const auto windows, reader.table<std::uint64_t>("entry/foreframe/window", H5T_NATIVE_UINT64));
  FF_ASSIGN(const auto counts,
            reader.table<std::uint8_t>("entry/foreframe/window_frame_count", H5T_NATIVE_UINT8));
  FF_ASSIGN(const auto complete,
            reader.table<std::uint8_t>("entry/foreframe/window_complete", H5T_NATIVE_UINT8));
  FF_ASSIGN(const auto states,
            reader.table<std::uint8_t>("entry/foreframe/window_state", H5T_NATIVE_UINT8, 64));
  FF_ASSIGN(const auto stages,
            reader.table<std::uint8_t>("entry/foreframe/window_stage", H5T_NATIVE_UINT8, 64));
  const std::size_t count = windows.size();
  if (counts.size() != count || complete.size() != count || states.size() != count * window_frames ||
      stages.size() != states.size())
    return reader.malformed("its window tables have different lengths");
  std::vector<WindowFates> fates(count);
  for (std::size_t w = 0; w < count; ++w) {
    if (counts[w] > window_frames) return reader.malformed("a window has more frames than W");
    fates[w].window = windows[w];
    fates[w].complete = complete[w] != 0;
    for (std::size_t i = 0; i < counts[w]; ++i)
      fates[w].fates.push_back({states[w * window_frames + i], stages[w * window_frames + i]});
  }
  FF_TRY(read_records(reader, fates));
  return fates;
}

}  // namespace

Status Reader::verify_pixels(const ReadDataFile& content) const {
  const FrameShape shape{static_cast<Dtype>(content.head.geometry.dtype()), content.head.geometry.rows(),
                         content.head.geometry.cols()};
  const Hdf5Id set(H5Dopen2(file_.get(), "entry/data/data", H5P_DEFAULT), H5Dclose);
  const Hdf5Id in_file(H5Dget_space(set.get()), H5Sclose);
  hsize_t extent[3] = {};
  if (H5Sget_simple_extent_ndims(in_file.get()) != 3 ||
      H5Sget_simple_extent_dims(in_file.get(), extent, nullptr) < 0 ||
      extent[0] != content.index.frame_numbers.size() || extent[1] != shape.rows || extent[2] != shape.cols)
    return malformed("the pixel dataset has another shape than its tables");
  const hsize_t one[3] = {1, shape.rows, shape.cols};
  const Hdf5Id in_memory(H5Screate_simple(3, one, nullptr), H5Sclose);
  const Hdf5Id type = pixel_type(shape.dtype);
  std::vector<std::byte> pixels(shape.bytes());
  for (std::size_t i = 0; i < content.index.frame_numbers.size(); ++i) {
    const hsize_t start[3] = {i, 0, 0};
    H5Sselect_hyperslab(in_file.get(), H5S_SELECT_SET, start, nullptr, one, nullptr);
    const bool read =
        H5Dread(set.get(), type.get(), in_memory.get(), in_file.get(), H5P_DEFAULT, pixels.data()) >= 0;
    H5Eclear2(H5E_DEFAULT);
    if (!read || crc32c(pixels) != content.index.pixel_crcs[i])
      return fail(Errc::crc_mismatch, path_.string() + ": frame " +
                                          std::to_string(content.index.frame_numbers[i]) +
                                          " is not what was written");
  }
  return {};
}

Result<ReadDataFile> read_data_file(const std::filesystem::path& path, bool verify) {
  const Reader reader(path);
  if (!reader.open()) return hdf5_error("opening " + path.string());
  ReadDataFile content;
  FF_ASSIGN(content.head, read_head(reader));
  FF_ASSIGN(content.index.frame_numbers, reader.table<std::int64_t>("entry/data/frame", H5T_NATIVE_INT64));
  FF_ASSIGN(content.index.pixel_crcs,
            reader.table<std::uint32_t>("entry/data/pixel_crc32c", H5T_NATIVE_UINT32));
  if (content.index.frame_numbers.size() != content.index.pixel_crcs.size())
    return reader.malformed("its frame tables have different lengths");
  FF_ASSIGN(content.index.windows, read_windows(reader, content.head.window_frames));
  place_pixel_crcs(content);
  if (verify) FF_TRY(reader.verify_pixels(content));
  return content;
}

Result<FrameTimes> read_frame_times(const std::filesystem::path& path, std::uint64_t row) {
  const Reader reader(path);
  if (!reader.open()) return hdf5_error("opening " + path.string());
  FrameTimes times;
  for (const auto& [name, field] :
       {std::pair("entry/data/detector_time_ns", &FrameTimes::detector_ns),
        {"entry/data/received_utc_ns", &FrameTimes::received_utc_ns},
        {"entry/data/received_monotonic_ns", &FrameTimes::received_monotonic_ns}}) {
    FF_ASSIGN(const auto column, reader.table<std::int64_t>(name, H5T_NATIVE_INT64));
    if (row >= column.size()) return reader.malformed(std::string(name) + " ends before the row");
    times.*field = column[row];
  }
  return times;
}

}  // namespace ff::sink
