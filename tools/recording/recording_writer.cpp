// SPDX-License-Identifier: Apache-2.0
//
// Chooses the writer by the target's name.
#include "tools/recording/recording_writer.hpp"

namespace ff::tools {

Result<RecordingWriterPtr> create_recording(const std::string& target, const RecordingInfo& info, bool force,
                                            TaskPool* pool) {
  const auto colon = target.find(":/");
  const std::string path = target.substr(0, colon);
  const std::string dataset = colon == std::string::npos ? "/entry/data/data" : target.substr(colon + 1);
  if (path.ends_with(".h5") || path.ends_with(".hdf5") || path.ends_with(".nxs")) {
    return create_hdf5_recording(path, dataset, info, force, pool);
  }
  if (target.ends_with(".json") || target.ends_with(".raw") || target.ends_with(".raw.zst")) {
    return create_raw_recording(target, info, force);
  }
  return fail(
      Errc::invalid_argument,
      target + ": can't tell the format from the name; known are .json, .raw, .raw.zst, .h5 and .h5:/path");
}

Status RecordingWriter::write_at(std::uint64_t /*index*/, ByteSpan /*frames*/) {
  return fail(Errc::invalid_argument, "this kind of recording is written frame after frame");
}

// The caller's frame, and for each thread one that waits and one that is compressed.
std::uint32_t frames_in_writer(std::uint32_t threads) noexcept { return threads == 1 ? 2 : 1 + 4 * threads; }

}  // namespace ff::tools
