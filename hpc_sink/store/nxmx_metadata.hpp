// SPDX-License-Identifier: Apache-2.0
//
// What the detector said at the start of a series, in the places where NXmx readers look for it.
//
// Data path  catalogue > [NXmx metadata] > master file
// Source     NeXus application definition NXmx; DECTRIS's FileWriter for lookup tables. A field that the
//            detector did not say is left out, never invented.
#pragma once

#include <string>
#include <vector>

#include "common/wire/envelope.hpp"
#include "hpc_sink/store/catalogue.hpp"
#include "hpc_sink/store/hdf5_writer.hpp"
#include "hpc_sink/store/master_file.hpp"

namespace ff::sink {

/// One channel of the detector: the streams (modules) that make up its frames.
struct ChannelView {
  std::string dataset;  ///< "data", or "data_<channel>" beside it
  std::vector<StreamRow> streams;
  std::uint64_t rows = 0, cols = 0;  ///< of the whole detector
};

/// Writes /entry's times, instrument, detector, beam, source and sample. `frames`: positions of the scan
/// axes.
void write_nxmx_metadata(Hdf5Writer& writer, hid_t file, const std::vector<ChannelView>& channels,
                         std::uint64_t frames, const MasterOptions& options);

}  // namespace ff::sink
