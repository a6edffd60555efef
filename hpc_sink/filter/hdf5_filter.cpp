// SPDX-License-Identifier: Apache-2.0
//
// HDF5's three callbacks: may the filter be used, with which parameters, and the bytes themselves.
#include "hpc_sink/filter/hdf5_filter.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>

#include "hpc_sink/filter/calling_hdf5.hpp"
#include "hpc_sink/filter/chunk_cache.hpp"

namespace ff::sink {
namespace {

constexpr unsigned kValuesVersion = 1;
constexpr unsigned kProfiles = 4;  // auto, fast, small, max

struct Freed {
  void operator()(std::byte* bytes) const noexcept { std::free(bytes); }
};
// HDF5 frees what it gets with the C allocator.
struct Buffer {
  std::unique_ptr<std::byte, Freed> bytes;
  std::size_t size = 0;
};

Result<Buffer> make_buffer(std::size_t size) {
  Buffer buffer{std::unique_ptr<std::byte, Freed>(static_cast<std::byte*>(std::malloc(size))), size};
  if (!buffer.bytes) return fail(Errc::too_large, std::to_string(size) + " bytes of memory can't be had");
  return buffer;
}

Result<Buffer> copied(ByteSpan bytes) {
  FF_ASSIGN(Buffer buffer, make_buffer(bytes.size()));
  std::memcpy(buffer.bytes.get(), bytes.data(), bytes.size());
  return buffer;
}

std::atomic<std::uint64_t> decoded_chunks{0}, repeated_chunks{0}, coded_chunks{0};

ChunkCache& cache() {
  static ChunkCache chunks(cache_bytes_wanted());
  return chunks;
}

Status decode_into(ByteSpan coded, const ChunkShape& shape, MutableByteSpan pixels) {
  FF_ASSIGN(const ParsedChunk chunk, parse_chunk(coded));
  if (chunk.geometry.shape != shape)
    return fail(Errc::shape_mismatch, "chunk: it is of another shape or type than its dataset's chunks");
  FF_TRY(decode_chunk(chunk, pixels));
  ++decoded_chunks;
  return {};
}

Result<Buffer> decode(ByteSpan coded, const FilterParameters& parameters) {
  const std::size_t bytes = parameters.shape.bytes();
  FF_ASSIGN(Buffer out, make_buffer(bytes));
  const MutableByteSpan pixels(out.bytes.get(), bytes);
  if (parameters.shape.frames == 1 || !cache().holds(bytes)) {
    FF_TRY(decode_into(coded, parameters.shape, pixels));
    return out;
  }
  const ChunkKey key = chunk_key(coded);
  if (const auto known = cache().find(key); known && known->shape == parameters.shape) {
    std::memcpy(pixels.data(), known->pixels.get(), bytes);
    ++repeated_chunks;
    return out;
  }
  FF_TRY(decode_into(coded, parameters.shape, pixels));
  auto kept = std::make_shared<CachedChunk>();
  kept->shape = parameters.shape;
  kept->pixels = std::make_unique_for_overwrite<std::byte[]>(bytes);
  std::memcpy(kept->pixels.get(), pixels.data(), bytes);
  cache().put(key, std::move(kept));
  return out;
}

Result<Buffer> encode(ByteSpan pixels, const FilterParameters& parameters) {
  FF_ASSIGN(const std::vector<std::byte> chunk,
            encode_chunk(parameters.shape, pixels, {parameters.profile, parameters.fill}));
  ++coded_chunks;
  return copied(chunk);
}

Result<Dtype> dtype_of(const CallingHdf5& hdf5, hid_t type) {
  const std::size_t bytes = hdf5.type_size(type);
  const H5T_class_t kind = hdf5.type_class(type);
  if (bytes > 1 && (kind == H5T_INTEGER || kind == H5T_FLOAT) && hdf5.type_order(type) != H5T_ORDER_LE)
    return fail(Errc::dtype_unsupported, "foreframe filter: pixels must be little-endian");
  if (kind == H5T_INTEGER && (bytes == 1 || bytes == 2 || bytes == 4)) {
    const bool is_signed = hdf5.type_sign(type) == H5T_SGN_2;
    if (bytes == 1) return is_signed ? Dtype::i8 : Dtype::u8;
    if (bytes == 2) return is_signed ? Dtype::i16 : Dtype::u16;
    return is_signed ? Dtype::i32 : Dtype::u32;
  }
  if (kind == H5T_FLOAT && (bytes == 2 || bytes == 4)) return bytes == 2 ? Dtype::f16 : Dtype::f32;
  return fail(Errc::dtype_unsupported,
              "foreframe filter: pixels must be integers of 8, 16 or 32 bits, or floats of 16 or 32");
}

Result<ChunkShape> shape_of(const CallingHdf5& hdf5, hid_t creation, hid_t type) {
  if (!hdf5.complete())
    return fail(Errc::unsupported_feature,
                "foreframe filter: writing needs HDF5 1.10 or later as a shared library");
  ChunkShape shape;
  FF_ASSIGN(shape.frame.dtype, dtype_of(hdf5, type));
  std::array<hsize_t, H5S_MAX_RANK> chunk{};
  const int rank = hdf5.get_chunk(creation, H5S_MAX_RANK, chunk.data());
  if (rank < 2)
    return fail(Errc::out_of_range,
                "foreframe filter: chunks must have two or more dimensions, frames x rows x cols");
  const std::span<const hsize_t> dimensions(chunk.data(), static_cast<std::size_t>(rank));
  std::uint64_t frames = 1;
  for (const hsize_t dimension : dimensions.first(dimensions.size() - 2))
    frames = std::min<std::uint64_t>(frames, kChunkFramesMax + 1) *
             std::min<hsize_t>(dimension, kChunkFramesMax + 1);
  shape.frames = static_cast<std::uint32_t>(frames);
  shape.frame.rows =
      static_cast<std::uint32_t>(std::min<hsize_t>(dimensions[dimensions.size() - 2], kChunkSideMax + 1));
  shape.frame.cols = static_cast<std::uint32_t>(std::min<hsize_t>(dimensions.back(), kChunkSideMax + 1));
  FF_TRY(check_chunk_shape(shape));
  return shape;
}

// Zero where none is defined, as HDF5 does.
std::uint64_t fill_of(const CallingHdf5& hdf5, hid_t creation, hid_t type) {
  H5D_fill_value_t defined = H5D_FILL_VALUE_UNDEFINED;
  std::uint64_t fill = 0;
  if (hdf5.fill_value_defined(creation, &defined) < 0 || defined == H5D_FILL_VALUE_UNDEFINED) return 0;
  return hdf5.get_fill_value(creation, type, &fill) < 0 ? 0 : fill;
}

Status set_values(const CallingHdf5& hdf5, hid_t creation, hid_t type) {
  FilterValues values{};
  std::size_t count = values.size();
  unsigned flags = 0;
  if (hdf5.get_filter(creation, kForeframeFilter, &flags, &count, values.data(), 0, nullptr, nullptr) < 0)
    return fail(Errc::io_error, "foreframe filter: the dataset's parameters can't be read");
  auto shape = shape_of(hdf5, creation, type);
  if (!shape.ok()) {
    // HDF5 asks for parameters also where an optional filter can't be used; it is left out then, chunk by chunk.
    if ((flags & H5Z_FLAG_OPTIONAL) != 0) return {};
    return std::move(shape).error();
  }
  const unsigned profile = count > 0 ? values[0] : 0;
  if (profile >= kProfiles) {
    return fail(Errc::out_of_range, "foreframe filter: profile " + std::to_string(profile) +
                                        " is unknown; 0 auto, 1 fast, 2 small, 3 max");
  }
  const FilterValues full = filter_values(
      {static_cast<kernels::Profile>(profile == 0 ? 4 : profile), *shape, fill_of(hdf5, creation, type)});
  if (hdf5.modify_filter(creation, kForeframeFilter, flags, full.size(), full.data()) < 0)
    return fail(Errc::io_error, "foreframe filter: the dataset's parameters can't be set");
  return {};
}

// 1, or what the callback answers on failure, with the reason on HDF5's error stack.
template <typename Work>
int answer(const void* caller, int on_failure, Work work) noexcept {
  try {
    const CallingHdf5 hdf5(caller);
    const Status done = work(hdf5);
    if (done.ok()) return 1;
    hdf5.push_error(done.error().message);
  } catch (...) {  // no memory; HDF5 is C
  }
  return on_failure;
}

htri_t can_apply(hid_t creation, hid_t type, hid_t /*space*/) {
  return answer(__builtin_return_address(0), 0, [&](const CallingHdf5& hdf5) -> Status {
    FF_TRY(shape_of(hdf5, creation, type));
    return {};
  });
}

herr_t set_local(hid_t creation, hid_t type, hid_t /*space*/) {
  return answer(__builtin_return_address(0), -1,
                [&](const CallingHdf5& hdf5) { return set_values(hdf5, creation, type); });
}

Result<Buffer> work(unsigned flags, std::span<const unsigned> values, ByteSpan input) {
  FF_ASSIGN(const FilterParameters parameters, parse_filter_values(values));
  return (flags & H5Z_FLAG_REVERSE) != 0 ? decode(input, parameters) : encode(input, parameters);
}

// HDF5's callback: the bytes that stand in `buffer` afterwards, 0 for failure.
std::size_t filter(unsigned flags, std::size_t value_count, const unsigned values[], std::size_t bytes,
                   std::size_t* room, void** buffer) noexcept {
  try {
    Result<Buffer> out = work(flags, {values, value_count}, {static_cast<const std::byte*>(*buffer), bytes});
    if (out.ok()) {
      std::free(*buffer);
      *buffer = out->bytes.release();
      return *room = out->size;
    }
    // A chunk that an optional filter can't code is written as it is: no error.
    const bool left_out = (flags & H5Z_FLAG_REVERSE) == 0 && (flags & H5Z_FLAG_OPTIONAL) != 0;
    if (!left_out) CallingHdf5(__builtin_return_address(0)).push_error(out.error().message);
  } catch (...) {  // no memory; HDF5 is C
  }
  return 0;
}

}  // namespace

FilterValues filter_values(const FilterParameters& parameters) noexcept {
  const unsigned profile =
      parameters.profile == kernels::Profile::automatic ? 0 : static_cast<unsigned>(parameters.profile);
  return {profile,
          kValuesVersion,
          static_cast<unsigned>(parameters.shape.frame.dtype),
          parameters.shape.frames,
          parameters.shape.frame.rows,
          parameters.shape.frame.cols,
          static_cast<unsigned>(parameters.fill),
          static_cast<unsigned>(parameters.fill >> 32)};
}

Result<FilterParameters> parse_filter_values(std::span<const unsigned> values) {
  if (values.size() < kFilterValues) {
    return fail(Errc::malformed, "foreframe filter: its dataset has " + std::to_string(values.size()) +
                                     " of 8 parameters; it was made without this filter");
  }
  if (values[1] != kValuesVersion) {
    return fail(Errc::unsupported_version, "foreframe filter: parameters of version " +
                                               std::to_string(values[1]) + ", this filter knows 1");
  }
  FilterParameters parameters;
  if (values[0] != 0 && values[0] < kProfiles) parameters.profile = static_cast<kernels::Profile>(values[0]);
  const auto dtype = dtype_from_wire(values[2]);
  if (!dtype)
    return fail(Errc::malformed, "foreframe filter: pixel type " + std::to_string(values[2]) + " is unknown");
  parameters.shape = {{*dtype, values[4], values[5]}, values[3]};
  parameters.fill = std::uint64_t{values[7]} << 32 | values[6];
  FF_TRY(check_chunk_shape(parameters.shape));
  return parameters;
}

FilterCounts filter_counts() noexcept {
  return {decoded_chunks.load(), repeated_chunks.load(), coded_chunks.load()};
}

void empty_filter_cache() { cache().clear(); }

const H5Z_class2_t& filter_class() noexcept {
  static const H5Z_class2_t description = {
      H5Z_CLASS_T_VERS, kForeframeFilter, 1,      1, "foreframe; predictive codec for detector frames",
      &can_apply,       &set_local,       &filter};
  return description;
}

}  // namespace ff::sink
