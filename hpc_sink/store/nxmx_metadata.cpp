// SPDX-License-Identifier: Apache-2.0
//
// NXmx metadata: entry, instrument, detector, detector_module, beam, source, sample.
#include "hpc_sink/store/nxmx_metadata.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <zstd.h>

#include "common/base/clock.hpp"
#include "hpc_sink/store/file_names.hpp"

namespace ff::sink {
namespace {

namespace pb = foreframe::wire;
using Detector = pb::SeriesStart::Detector;

constexpr const char* kDetector = "entry/instrument/detector";
constexpr std::uint64_t kMaskBytesMax = std::uint64_t{1} << 30;

pb::SeriesStart start_of(const StreamRow& stream) {
  wire::EnvelopeHeader header;
  if (stream.start_header.empty() || !header.ParseFromString(stream.start_header)) return {};
  return header.series_start();
}

pb::SeriesEnd end_of(const StreamRow& stream) {
  wire::EnvelopeHeader header;
  if (stream.end_header.empty() || !header.ParseFromString(stream.end_header)) return {};
  return header.series_end();
}

// The attachment's array, or nothing when it is missing or not what it says.
std::vector<std::byte> unpack_attachment(const StreamRow& stream, const pb::Attachment& attachment) {
  const auto dtype = dtype_from_wire(attachment.dtype());
  if (!dtype || attachment.rows() != stream.geometry.rows() || attachment.cols() != stream.geometry.cols())
    return {};
  const std::uint64_t raw_bytes = std::uint64_t{attachment.rows()} * attachment.cols() * dtype_bytes(*dtype);
  const std::uint64_t stored = stream.start_payload.size();
  if (attachment.raw_bytes() != raw_bytes || raw_bytes > kMaskBytesMax || attachment.offset() > stored ||
      attachment.bytes() > stored - attachment.offset())
    return {};
  std::vector<std::byte> raw(raw_bytes);
  const std::size_t got = ZSTD_decompress(
      raw.data(), raw.size(), stream.start_payload.data() + attachment.offset(), attachment.bytes());
  if (ZSTD_isError(got) != 0 || got != raw_bytes) return {};
  return raw;
}

// One array of the whole detector from its streams' attachments; empty when none has it.
std::vector<std::byte> assemble(const ChannelView& channel, const std::string& name, Dtype dtype) {
  std::vector<std::byte> whole;
  const std::size_t element = dtype_bytes(dtype);
  for (const StreamRow& stream : channel.streams) {
    const pb::SeriesStart start = start_of(stream);
    for (const pb::Attachment& attachment : start.attachments()) {
      if (attachment.name() != name || dtype_from_wire(attachment.dtype()) != dtype) continue;
      const std::vector<std::byte> part = unpack_attachment(stream, attachment);
      if (part.empty()) continue;
      whole.resize(channel.rows * channel.cols * element);
      const std::size_t row_bytes = stream.geometry.cols() * element;
      for (std::size_t row = 0; row < stream.geometry.rows(); ++row)
        std::memcpy(whole.data() +
                        ((stream.geometry.origin_row() + row) * channel.cols + stream.geometry.origin_col()) *
                            element,
                    part.data() + row * row_bytes, row_bytes);
    }
  }
  return whole;
}

void write_masks(Hdf5Writer& w, hid_t group, const ChannelView& channel) {
  const std::vector<hsize_t> shape{channel.rows, channel.cols};
  const auto mask = assemble(channel, "pixel_mask", Dtype::u32);
  if (!mask.empty()) w.array(group, "pixel_mask", H5T_STD_U32LE, shape, mask.data());
  const auto flatfield = assemble(channel, "flatfield", Dtype::f32);
  if (!flatfield.empty()) w.array(group, "flatfield", H5T_IEEE_F32LE, shape, flatfield.data());
}

void write_times(Hdf5Writer& w, hid_t entry, const ChannelView& channel) {
  const pb::SeriesStart start = start_of(channel.streams.front());
  const pb::SeriesEnd end = end_of(channel.streams.front());
  const std::int64_t began =
      start.series_date_utc_ns() != 0 ? start.series_date_utc_ns() : start.started_utc_ns();
  if (began != 0) w.text(entry, "start_time", format_utc(began));
  if (end.ended_utc_ns() != 0) w.text(entry, "end_time", format_utc(end.ended_utc_ns()));
  const double frame_time_s = start.detector().frame_time_s();
  const auto planned_ns = static_cast<std::int64_t>(
      std::clamp(static_cast<double>(start.images_expected()) * frame_time_s, 0.0, 1e9) * 1e9);
  const std::int64_t estimated = planned_ns > 0 && began != 0 ? began + planned_ns : end.ended_utc_ns();
  if (estimated != 0) w.text(entry, "end_time_estimated", format_utc(estimated));
}

void write_detector_numbers(Hdf5Writer& w, hid_t group, const Detector& d) {
  if (d.has_beam_center_x_px()) w.number(group, "beam_center_x", d.beam_center_x_px(), "pixel");
  if (d.has_beam_center_y_px()) w.number(group, "beam_center_y", d.beam_center_y_px(), "pixel");
  if (d.has_count_time_s()) w.number(group, "count_time", d.count_time_s(), "s");
  if (d.has_frame_time_s()) w.number(group, "frame_time", d.frame_time_s(), "s");
  if (d.has_frame_time_s() && d.has_count_time_s())
    w.number(group, "dead_time", d.frame_time_s() - d.count_time_s(), "s");
  if (d.has_pixel_size_x_m()) w.number(group, "x_pixel_size", d.pixel_size_x_m(), "m");
  if (d.has_pixel_size_y_m()) w.number(group, "y_pixel_size", d.pixel_size_y_m(), "m");
  if (d.has_sensor_thickness_m()) w.number(group, "sensor_thickness", d.sensor_thickness_m(), "m");
  if (d.has_saturation_value()) w.number(group, "saturation_value", d.saturation_value());
  if (d.has_threshold_energy_ev()) w.number(group, "threshold_energy", d.threshold_energy_ev(), "eV");
  if (d.translation_m_size() == 3) w.number(group, "distance", d.translation_m(2), "m");
  if (d.has_countrate_correction_applied())
    w.integer(group, "countrate_correction_applied", d.countrate_correction_applied());
  if (d.has_flatfield_applied()) w.integer(group, "flatfield_applied", d.flatfield_applied());
  if (d.has_pixel_mask_applied()) w.integer(group, "pixel_mask_applied", d.pixel_mask_applied());
  if (d.has_virtual_pixel_interpolation_applied())
    w.integer(group, "virtual_pixel_interpolation_applied", d.virtual_pixel_interpolation_applied());
}

// A NeXus axis: its value(s), and how it moves what depends on it.
void write_axis(Hdf5Writer& w, hid_t group, const char* name, const std::vector<double>& values,
                const char* type, const char* units, const std::vector<double>& vector,
                const std::string& depends_on) {
  w.array(group, name, H5T_NATIVE_DOUBLE, {values.size()}, values.data());
  w.attributes_of(group, name, {{"transformation_type", type}, {"units", units}, {"depends_on", depends_on}});
  if (!w.good()) return;
  const Hdf5Id axis(H5Dopen2(group, name, H5P_DEFAULT), H5Dclose);
  if (!vector.empty()) w.attribute(axis.get(), "vector", vector);
  w.attribute(axis.get(), "offset", std::vector<double>{0, 0, 0});
}

void write_transformations(Hdf5Writer& w, hid_t file, const Detector& d) {
  const std::string translation = std::string("/") + kDetector + "/transformations/translation";
  const Hdf5Id group =
      w.group(file, (std::string(kDetector) + "/transformations").c_str(), "NXtransformations");
  if (!w.good()) return;
  const bool placed = d.translation_m_size() == 3;
  const double z = placed ? d.translation_m(2) : 0;
  write_axis(w, group.get(), "translation", {z}, "translation", "m", {0, 0, 1}, ".");
  const Hdf5Id detector(H5Gopen2(file, kDetector, H5P_DEFAULT), H5Gclose);
  w.text(detector.get(), "depends_on", translation);
}

void write_module(Hdf5Writer& w, hid_t file, const StreamRow& stream, const Detector& d,
                  const std::string& name) {
  const std::string path = std::string(kDetector) + "/" + name;
  const Hdf5Id group = w.group(file, path.c_str(), "NXdetector_module");
  if (!w.good()) return;
  const std::array<std::int64_t, 2> origin{stream.geometry.origin_row(), stream.geometry.origin_col()};
  const std::array<std::int64_t, 2> size{stream.geometry.rows(), stream.geometry.cols()};
  w.array(group.get(), "data_origin", H5T_NATIVE_INT64, {2}, origin.data());
  w.array(group.get(), "data_size", H5T_NATIVE_INT64, {2}, size.data());
  const std::string base = std::string("/") + kDetector + "/transformations/translation";
  const std::string offset = "/" + path + "/module_offset";
  const std::vector<double> corner{d.translation_m_size() == 3 ? d.translation_m(0) : 0,
                                   d.translation_m_size() == 3 ? d.translation_m(1) : 0, 0};
  write_axis(w, group.get(), "module_offset", {0}, "translation", "m", {1, 0, 0}, base);
  if (w.good()) {
    const Hdf5Id axis(H5Dopen2(group.get(), "module_offset", H5P_DEFAULT), H5Dclose);
    H5Adelete(axis.get(), "offset");
    w.attribute(axis.get(), "offset", corner);
  }
  // NeXus looks along the beam from the source: columns grow towards -x, rows towards -y.
  write_axis(w, group.get(), "fast_pixel_direction", {d.pixel_size_x_m()}, "translation", "m", {-1, 0, 0},
             offset);
  write_axis(w, group.get(), "slow_pixel_direction", {d.pixel_size_y_m()}, "translation", "m", {0, -1, 0},
             offset);
}

void write_channel_groups(Hdf5Writer& w, hid_t file, const std::vector<ChannelView>& channels) {
  for (const ChannelView& channel : channels) {
    const pb::StreamGeometry& geometry = channel.streams.front().geometry;
    const std::string name =
        safe_name(geometry.channel().empty() ? "channel_" + std::to_string(geometry.channel_index())
                                             : geometry.channel());
    const Hdf5Id group =
        w.group(file, (std::string(kDetector) + "/" + name + "_channel").c_str(), "NXdetector_channel");
    if (!w.good()) return;
    const Detector d = start_of(channel.streams.front()).detector();
    if (d.has_threshold_energy_ev()) w.number(group.get(), "threshold_energy", d.threshold_energy_ev(), "eV");
    write_masks(w, group.get(), channel);
  }
}

void write_detector(Hdf5Writer& w, hid_t file, const std::vector<ChannelView>& channels) {
  const ChannelView& first = channels.front();
  const Detector d = start_of(first.streams.front()).detector();
  const Hdf5Id group = w.group(file, kDetector, "NXdetector");
  if (!w.good()) return;
  if (!d.description().empty()) w.text(group.get(), "description", d.description());
  if (!d.serial_number().empty()) w.text(group.get(), "detector_number", d.serial_number());
  if (!d.sensor_material().empty()) w.text(group.get(), "sensor_material", d.sensor_material());
  write_detector_numbers(w, group.get(), d);
  const auto dtype = static_cast<Dtype>(first.streams.front().geometry.dtype());
  w.integer(group.get(), "bit_depth_image", static_cast<std::int64_t>(8 * dtype_bytes(dtype)));
  if (d.countrate_correction_table_size() > 0)
    w.array(group.get(), "countrate_correction_lookup_table", H5T_NATIVE_DOUBLE,
            {static_cast<hsize_t>(d.countrate_correction_table_size())},
            d.countrate_correction_table().data());
  write_masks(w, group.get(), first);
  w.soft_link(group.get(), "data", "/entry/data/data");
  write_transformations(w, file, d);
  for (std::size_t i = 0; i < first.streams.size(); ++i)
    write_module(w, file, first.streams[i], d,
                 first.streams.size() == 1 ? "module" : "module_" + std::to_string(i));
  if (channels.size() > 1) write_channel_groups(w, file, channels);
}

void write_beam(Hdf5Writer& w, hid_t file, const Detector& d) {
  const Hdf5Id beam = w.group(file, "entry/instrument/beam", "NXbeam");
  if (!w.good()) return;
  constexpr double kElectronvoltAngstrom = 12398.419843320026;
  double wavelength = d.incident_wavelength_angstrom();
  if (wavelength <= 0 && d.incident_energy_ev() > 0)
    wavelength = kElectronvoltAngstrom / d.incident_energy_ev();
  if (wavelength > 0) w.number(beam.get(), "incident_wavelength", wavelength, "angstrom");
  if (d.has_incident_energy_ev()) w.number(beam.get(), "incident_energy", d.incident_energy_ev(), "eV");
}

// Rotation axes of the usual goniometers; of an axis that we don't know, only its angles are written.
std::vector<double> axis_vector(const std::string& name) {
  if (name == "omega" || name == "phi") return {-1, 0, 0};
  if (name == "chi") return {0, 0, 1};
  return {};
}

void write_sample(Hdf5Writer& w, hid_t file, const Detector& d, std::uint64_t frames,
                  const std::string& name) {
  const Hdf5Id sample = w.group(file, "entry/sample", "NXsample");
  if (!w.good()) return;
  w.text(sample.get(), "name", name);
  std::string depends_on = ".";
  for (const auto& axis : d.goniometer()) {
    const std::string safe = safe_name(axis.name());
    const Hdf5Id group = H5Lexists(file, "entry/sample/transformations", H5P_DEFAULT) > 0
                             ? Hdf5Id(H5Gopen2(file, "entry/sample/transformations", H5P_DEFAULT), H5Gclose)
                             : w.group(file, "entry/sample/transformations", "NXtransformations");
    if (!w.good() || H5Lexists(group.get(), safe.c_str(), H5P_DEFAULT) > 0) continue;
    const bool moves = axis.increment_deg() != 0;
    std::vector<double> angles(moves ? std::max<std::uint64_t>(frames, 1) : 1);
    for (std::size_t i = 0; i < angles.size(); ++i)
      angles[i] = axis.start_deg() + static_cast<double>(i) * axis.increment_deg();
    const std::vector<double> vector = axis_vector(axis.name());
    write_axis(w, group.get(), safe.c_str(), angles, "rotation", "deg", vector, ".");
    if (!vector.empty() && (moves || depends_on == ".")) depends_on = "/entry/sample/transformations/" + safe;
  }
  w.text(sample.get(), "depends_on", depends_on);
}

}  // namespace

void write_nxmx_metadata(Hdf5Writer& w, hid_t file, const std::vector<ChannelView>& channels,
                         std::uint64_t frames, const MasterOptions& options) {
  const Detector d = start_of(channels.front().streams.front()).detector();
  const Hdf5Id entry(H5Gopen2(file, "entry", H5P_DEFAULT), H5Gclose);
  w.text(entry.get(), "definition", "NXmx");
  write_times(w, entry.get(), channels.front());
  const Hdf5Id instrument = w.group(file, "entry/instrument", "NXinstrument");
  const Hdf5Id source = w.group(file, "entry/source", "NXsource");
  if (!w.good()) return;
  w.text(instrument.get(), "name", options.instrument);
  w.text(source.get(), "name", options.source);
  write_detector(w, file, channels);
  write_beam(w, file, d);
  write_sample(w, file, d, frames, options.sample);
}

}  // namespace ff::sink
