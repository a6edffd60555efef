// SPDX-License-Identifier: Apache-2.0
//
// Master file: channels as virtual datasets, states, metadata, ledger.
#include "hpc_sink/store/master_file.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>

#include "common/wire/envelope.hpp"
#include "hpc_sink/seal/sealed_master.hpp"
#include "hpc_sink/store/file_names.hpp"
#include "hpc_sink/store/nxmx_metadata.hpp"
#include "hpc_sink/store/virtual_layout.hpp"

namespace ff::sink {
namespace {

namespace pb = foreframe::wire;

std::vector<ChannelView> channels_of(const std::vector<StreamRow>& streams) {
  std::map<std::uint32_t, ChannelView> by_index;
  for (const StreamRow& stream : streams) by_index[stream.geometry.channel_index()].streams.push_back(stream);
  std::vector<ChannelView> channels;
  for (auto& [index, channel] : by_index) {
    const std::string& name = channel.streams.front().geometry.channel();
    channel.dataset =
        channels.empty() ? "data" : "data_" + safe_name(name.empty() ? std::to_string(index) : name);
    for (const StreamRow& stream : channel.streams) {
      const auto& g = stream.geometry;
      channel.rows = std::max<std::uint64_t>(
          {channel.rows, g.detector_rows(), std::uint64_t{g.origin_row()} + g.rows()});
      channel.cols = std::max<std::uint64_t>(
          {channel.cols, g.detector_cols(), std::uint64_t{g.origin_col()} + g.cols()});
    }
    channels.push_back(std::move(channel));
  }
  return channels;
}

// The largest declared sentinel that the pixel type holds; 0 when none was declared.
std::int64_t fill_value(const pb::StreamGeometry& geometry) {
  const auto dtype = static_cast<Dtype>(geometry.dtype());
  if (dtype_is_float(dtype) || geometry.sentinels().empty()) return 0;
  const auto bits = static_cast<unsigned>(8 * dtype_bytes(dtype));
  const bool is_signed = dtype_is_signed(dtype);
  const std::int64_t highest = (std::int64_t{1} << (is_signed ? bits - 1 : bits)) - 1;
  const std::int64_t lowest = is_signed ? -highest - 1 : 0;
  std::int64_t best = lowest - 1;
  for (const std::int64_t sentinel : geometry.sentinels())
    if (sentinel >= lowest && sentinel <= highest) best = std::max(best, sentinel);
  return best < lowest ? 0 : best;
}

// Data files lie beside the master, whatever the folder's name.
std::string name_beside_master(const std::string& name) { return name.substr(name.rfind('/') + 1); }

void map_file(Hdf5Writer& w, hid_t creation, hid_t space, const VirtualMapping& m,
              const pb::StreamGeometry& g) {
  const hsize_t file_shape[3] = {m.file_rows, g.rows(), g.cols()};
  const Hdf5Id file_space(H5Screate_simple(3, file_shape, nullptr), H5Sclose);
  const hsize_t row_start[3] = {m.row, 0, 0};
  const hsize_t row_count[3] = {m.length * m.count, g.rows(), g.cols()};
  H5Sselect_hyperslab(file_space.get(), H5S_SELECT_SET, row_start, nullptr, row_count, nullptr);
  const hsize_t start[3] = {m.frame, g.origin_row(), g.origin_col()};
  const hsize_t stride[3] = {m.stride, 1, 1};
  const hsize_t count[3] = {m.count, 1, 1};
  const hsize_t block[3] = {m.length, g.rows(), g.cols()};
  H5Sselect_hyperslab(space, H5S_SELECT_SET, start, stride, count, block);
  w.check(H5Pset_virtual(creation, space, name_beside_master(m.file).c_str(), "/entry/data/data",
                         file_space.get()) >= 0,
          "mapping " + m.file);
}

void write_channel(Hdf5Writer& w, hid_t data, const ChannelView& channel, const std::vector<FileRow>& files,
                   std::uint64_t frames) {
  const auto& geometry = channel.streams.front().geometry;
  const hsize_t shape[3] = {frames, channel.rows, channel.cols};
  const Hdf5Id space(H5Screate_simple(3, shape, nullptr), H5Sclose);
  const Hdf5Id creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  const Hdf5Id type = pixel_type(static_cast<Dtype>(geometry.dtype()));
  const std::int64_t fill = fill_value(geometry);
  H5Pset_fill_value(creation.get(), H5T_NATIVE_INT64, &fill);
  bool mapped = false;
  for (const StreamRow& stream : channel.streams) {
    std::vector<FileRow> own;
    std::copy_if(files.begin(), files.end(), std::back_inserter(own),
                 [&](const FileRow& file) { return file.stream == stream.key; });
    for (const VirtualMapping& mapping : plan_virtual_layout(own, frames)) {
      map_file(w, creation.get(), space.get(), mapping, stream.geometry);
      mapped = true;
    }
  }
  H5Sselect_all(space.get());
  // A series of which nothing was stored has no mapping: chunks that are never written read as the fill
  // value.
  const hsize_t chunk[3] = {1, channel.rows, channel.cols};
  if (!mapped && frames > 0) H5Pset_chunk(creation.get(), 3, chunk);
  const Hdf5Id made(H5Dcreate2(data, channel.dataset.c_str(), type.get(), space.get(), H5P_DEFAULT,
                               creation.get(), H5P_DEFAULT),
                    H5Dclose);
  w.check(made.valid(), "making " + channel.dataset);
}

const StreamLedger* ledger_of(const SeriesLedger& ledger, std::uint32_t stream) {
  for (const StreamLedger& candidate : ledger.streams)
    if (candidate.stream == stream) return &candidate;
  return nullptr;
}

// A detector frame is as good as its worst module.
std::vector<std::uint8_t> channel_states(const ChannelView& channel, const SeriesLedger& ledger,
                                         std::uint64_t frames) {
  std::vector<FrameFate> fates;
  for (const StreamRow& stream : channel.streams) {
    const StreamLedger* const counted = ledger_of(ledger, stream.key.stream);
    std::vector<FrameFate> own = counted != nullptr ? counted->fates : std::vector<FrameFate>{};
    own.resize(frames);
    if (fates.empty()) fates = own;
    for (std::size_t i = 0; i < frames; ++i)
      if (better_fate(own[i], fates[i]) == fates[i]) fates[i] = own[i];
  }
  std::vector<std::uint8_t> states;
  states.reserve(fates.size());
  for (const FrameFate fate : fates) states.push_back(fate.state);
  return states;
}

std::string state_dataset(const ChannelView& channel) { return "state" + channel.dataset.substr(4); }

// Which streams a state dataset is made of, so that a reader can hold it against the leaves.
void write_state_streams(Hdf5Writer& w, hid_t own, const std::vector<ChannelView>& channels) {
  std::string lines;
  for (const ChannelView& channel : channels) {
    lines += state_dataset(channel);
    for (const StreamRow& stream : channel.streams) lines += " " + std::to_string(stream.key.stream);
    lines += "\n";
  }
  w.text(own, "state_streams", lines);
}

void write_states(Hdf5Writer& w, hid_t file, hid_t data, const std::vector<ChannelView>& channels,
                  const SeriesLedger& ledger, std::uint64_t frames) {
  for (const ChannelView& channel : channels) {
    const std::vector<std::uint8_t> states = channel_states(channel, ledger, frames);
    const std::string name = state_dataset(channel);
    w.array(data, name.c_str(), H5T_STD_U8LE, {states.size()}, states.data());
    w.attributes_of(data, name.c_str(),
                    {{"meaning",
                      "0 unknown, 2 stored_exact, 3 stored_bounded, 4 summarised, 5 vetoed, 6 damaged, "
                      "7 lost, 8 not_acquired"}});
  }
  for (const StreamLedger& stream : ledger.streams) {
    const Hdf5Id group =
        w.group(file, ("entry/foreframe/stream_" + std::to_string(stream.stream)).c_str(), "NXcollection");
    if (!w.good()) return;
    std::vector<std::uint8_t> states, stages;
    for (const FrameFate fate : stream.fates) {
      states.push_back(fate.state);
      stages.push_back(fate.stage);
    }
    w.array(group.get(), "state", H5T_STD_U8LE, {states.size()}, states.data());
    w.array(group.get(), "stage", H5T_STD_U8LE, {stages.size()}, stages.data());
    w.attribute(group.get(), "expected", stream.expected);
    for (const FrameState state : {pb::STORED_EXACT, pb::STORED_BOUNDED, pb::SUMMARISED, pb::VETOED,
                                   pb::DAMAGED, pb::LOST, pb::NOT_ACQUIRED})
      w.attribute(group.get(), std::string(state_word(static_cast<std::uint8_t>(state))).c_str(),
                  stream.count(state));
  }
}

Status write_ledger(Hdf5Writer& w, hid_t file, const Catalogue& catalogue, const SeriesLedger& ledger,
                    const std::vector<SealRow>& seals) {
  const Hdf5Id group(H5Gopen2(file, "entry/foreframe", H5P_DEFAULT), H5Gclose);
  w.text(group.get(), "ledger", ledger_json(ledger, 1));
  w.attribute(group.get(), "layout", std::uint64_t{kDataFileLayout});
  w.attribute(group.get(), "series_uid", ledger.series.uid.to_string());
  w.attribute(group.get(), "detector", ledger.series.detector);
  w.attribute(group.get(), "ledger_closes", std::uint64_t{ledger.closes() ? 1u : 0u});
  return write_sealed(w, group.get(), catalogue, ledger, seals);
}

}  // namespace

Status write_master(const std::filesystem::path& path, const Catalogue& catalogue, const SeriesLedger& ledger,
                    const std::vector<SealRow>& seals, const MasterOptions& options) {
  FF_ASSIGN(const std::vector<StreamRow> streams, catalogue.streams(ledger.series.uid));
  FF_ASSIGN(const std::vector<FileRow> files, catalogue.files(ledger.series.uid));
  const std::vector<ChannelView> channels = channels_of(streams);
  if (channels.empty())
    return fail(Errc::not_found, "series " + ledger.series.uid.to_string() + " has no stream");
  std::uint64_t frames = 0;
  for (const StreamLedger& stream : ledger.streams) frames = std::max(frames, stream.expected);

  const Hdf5Id access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_libver_bounds(access.get(), H5F_LIBVER_V110, H5F_LIBVER_V110);
  H5Pset_fclose_degree(access.get(), H5F_CLOSE_STRONG);
  Hdf5Id file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()), H5Fclose);
  if (!file.valid()) return hdf5_error("making " + path.string());
  Hdf5Writer writer(path.string());
  writer.attribute(file.get(), "default", "entry");
  {
    const Hdf5Id entry = writer.group(file.get(), "entry", "NXentry");
    const Hdf5Id data = writer.group(file.get(), "entry/data", "NXdata");
    const Hdf5Id own = writer.group(file.get(), "entry/foreframe", "NXcollection");
    FF_TRY(writer.status());
    writer.attribute(entry.get(), "default", "data");
    writer.attribute(data.get(), "signal", "data");
    for (const ChannelView& channel : channels) write_channel(writer, data.get(), channel, files, frames);
    write_states(writer, file.get(), data.get(), channels, ledger, frames);
    write_state_streams(writer, own.get(), channels);
  }
  write_nxmx_metadata(writer, file.get(), channels, frames, options);
  FF_TRY(write_ledger(writer, file.get(), catalogue, ledger, seals));
  FF_TRY(writer.status());
  if (file.reset() < 0) return hdf5_error("closing " + path.string());
  return {};
}

}  // namespace ff::sink
