// SPDX-License-Identifier: Apache-2.0
//
// Stream V2: the messages of a DECTRIS detector's stream (ZeroMQ, one CBOR map a message), as values.
//
// Data path  detector > [Stream V2 message] > ingest > window
// Format     docs/formats/stream_v2.md: what is accepted, field by field.
// Not here   sockets and faults of a series (agent/ingest/), writing messages (stream_v2_write.hpp),
//            decompression (kernels/interop/bslz4.hpp).
//
// A parsed message looks into the bytes it was parsed from: keep those alive as long as the message.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/bytes.hpp"
#include "common/base/dtype.hpp"
#include "common/base/result.hpp"

namespace ff::wire::stream_v2 {

/// Limits on what one message may hold; hostile counts end in an error, never in an allocation.
inline constexpr std::uint32_t kCborDepthMax = 32;
inline constexpr std::size_t kChannelsMax = 64;
inline constexpr std::size_t kAxesMax = 64;
inline constexpr std::size_t kTextBytesMax = 4096;
inline constexpr std::uint64_t kArrayBytesMax = 1u << 30;

/// A time in seconds as the detector counts it: numerator / denominator, relative to the series date.
struct Rational {
  std::uint64_t numerator = 0;
  std::uint64_t denominator = 1;
};

/// Nanoseconds, rounded down. Errors: malformed (denominator 0), out_of_range (beyond int64).
[[nodiscard]] Result<std::int64_t> rational_to_ns(const Rational& seconds);

/// RFC 3339 ("2026-11-21T20:57:03.123456789Z", any offset) as UTC nanoseconds. Errors: malformed,
/// out_of_range.
[[nodiscard]] Result<std::int64_t> parse_date(std::string_view text);

/// A two-dimensional array (tag 40 or 1040) of a typed array (tags 64 ... 87), perhaps compressed (tag
/// 56500).
struct ArrayView {
  std::uint32_t rows = 0;  ///< slow axis
  std::uint32_t cols = 0;  ///< fast axis
  Dtype dtype = Dtype::u16;
  bool big_endian = false;
  bool column_major = false;                   ///< tag 1040: consecutive elements run down a column
  std::string_view compression;                ///< "" (none), "bslz4", "lz4" or what else the detector says
  std::uint32_t compressor_element_bytes = 0;  ///< second entry of tag 56500
  ByteSpan bytes;                              ///< as they came

  [[nodiscard]] std::size_t pixels() const noexcept { return std::size_t{rows} * cols; }
  [[nodiscard]] std::size_t raw_bytes() const noexcept { return pixels() * dtype_bytes(dtype); }
};

/// One entry of a map from channel name to array.
struct ChannelArray {
  std::string channel;
  ArrayView array;
};

struct ChannelNumber {
  std::string channel;
  double value = 0;
};

struct Axis {
  std::string name;  ///< "omega", "phi", "chi", "kappa", "two_theta" ...
  double start_deg = 0;
  double increment_deg = 0;
};

/// What the detector says before the first image of a series. What it left out is empty.
struct Start {
  std::uint64_t series_id = 0;
  std::string series_unique_id;
  std::optional<std::int64_t> arm_date_utc_ns;
  std::optional<double> beam_center_x_px, beam_center_y_px;
  std::vector<std::string> channels;
  std::optional<double> count_time_s, frame_time_s;
  std::optional<bool> countrate_correction_enabled;
  std::optional<ArrayView> countrate_correction_table;  ///< one row: counts before correction -> after
  std::string detector_description, detector_serial_number;
  std::vector<double> detector_translation_m;  ///< 3 values or none
  std::vector<ChannelArray> flatfield;
  std::optional<bool> flatfield_enabled;
  std::vector<Axis> goniometer;
  std::string image_dtype;                    ///< "uint8", "uint16", "uint32"; others are accepted
  std::optional<std::uint64_t> image_size_x;  ///< columns
  std::optional<std::uint64_t> image_size_y;  ///< rows
  std::optional<double> incident_energy_ev, incident_wavelength_angstrom;
  std::optional<std::uint64_t> number_of_images;
  std::vector<ChannelArray> pixel_mask;
  std::optional<bool> pixel_mask_enabled;
  std::optional<double> pixel_size_x_m, pixel_size_y_m;
  std::optional<double> saturation_value;
  std::string sensor_material;
  std::optional<double> sensor_thickness_m;
  std::vector<ChannelNumber> threshold_energy_ev;
  std::optional<bool> virtual_pixel_interpolation_enabled;
  ByteSpan user_data;  ///< one CBOR item as it came; empty when absent
};

/// One channel of an image. An array that can't be used (64-bit pixels, three dimensions ...) is an error
/// here and not of the message, so that the frame's number is still known.
struct ChannelImage {
  std::string channel;
  Result<ArrayView> pixels;
};

struct Image {
  std::uint64_t series_id = 0;
  std::string series_unique_id;
  std::uint64_t image_id = 0;  ///< frame number in the series, from 0
  std::optional<Rational> real_time, start_time, stop_time;
  std::optional<std::int64_t> series_date_utc_ns;
  std::vector<ChannelImage> data;
  ByteSpan user_data;  ///< one CBOR item as it came; empty when absent
};

struct End {
  std::uint64_t series_id = 0;
  std::string series_unique_id;
};

using Message = std::variant<Start, Image, End>;

/// What a message that could not be parsed still told before it broke.
struct Seen {
  std::string type;
  std::optional<std::uint64_t> series_id;
  std::string series_unique_id;
  std::optional<std::uint64_t> image_id;
};

/// Parses one message. Unknown keys are skipped, whatever they hold. `seen`, where given, is filled as far as
/// parsing came, also when it fails.
/// Errors: truncated, malformed, too_deep, too_large (a limit above), unsupported_feature (unknown type).
[[nodiscard]] Result<Message> parse(ByteSpan message, Seen* seen = nullptr);

/// Parses one array on its own (tag 40 or 1040 with one or two dimensions, or a bare typed array = one row).
/// Errors: as parse(); dtype_unsupported (64-bit elements), shape_mismatch (no size, three dimensions, or
/// bytes that don't fit it), too_large (above kArrayBytesMax).
[[nodiscard]] Result<ArrayView> parse_array(ByteSpan item);

}  // namespace ff::wire::stream_v2
