// SPDX-License-Identifier: Apache-2.0
//
// Envelopes for the collector's tests: small, valid, and as an agent would write them.
#pragma once

#include <string>

#include "common/base/dtype.hpp"
#include "common/base/uuid.hpp"
#include "common/wire/envelope.hpp"
#include "common/wire/link.pb.h"

namespace ff::collector {

inline wire::EnvelopeHeader sample_header(const std::string& agent, std::uint64_t epoch,
                                          std::uint64_t sequence) {
  static const Uuid uid = Uuid::mint();
  wire::EnvelopeHeader header;
  header.set_series_uid(uid.to_wire());
  header.set_detector("eiger");
  header.set_stream(0);
  header.set_epoch(epoch);
  header.set_sequence(sequence);
  header.set_agent(agent);
  header.set_window_frames(16);
  return header;
}

inline void set_geometry(foreframe::wire::StreamGeometry& geometry) {
  geometry.set_rows(4);
  geometry.set_cols(4);
  geometry.set_dtype(static_cast<std::uint32_t>(Dtype::u16));
  geometry.set_tile_rows(4);
  geometry.set_tile_cols(4);
  geometry.set_detector_rows(4);
  geometry.set_detector_cols(4);
}

inline wire::EnvelopeHeader block_header(const std::string& agent, std::uint64_t epoch,
                                         std::uint64_t sequence, std::uint64_t window) {
  wire::EnvelopeHeader header = sample_header(agent, epoch, sequence);
  auto& block = *header.mutable_block();
  set_geometry(*block.mutable_geometry());
  block.set_window(window);
  block.set_frame_count(1);
  block.set_present(1);
  block.set_key(true);
  block.set_profile(1);
  return header;
}

inline wire::EnvelopeHeader start_header(const std::string& agent, std::uint64_t epoch,
                                         std::uint64_t sequence) {
  wire::EnvelopeHeader header = sample_header(agent, epoch, sequence);
  auto& start = *header.mutable_series_start();
  set_geometry(*start.mutable_geometry());
  start.add_streams(0);
  return header;
}

inline foreframe::wire::RecordId id_of(const wire::EnvelopeHeader& header) {
  foreframe::wire::RecordId id;
  id.set_detector(header.detector());
  id.set_stream(header.stream());
  id.set_epoch(header.epoch());
  id.set_sequence(header.sequence());
  return id;
}

inline Payload sealed(const wire::EnvelopeHeader& header, const std::string& payload = "coded block") {
  auto envelope = wire::seal_envelope(header, as_bytes(payload));
  return envelope.ok() ? std::move(envelope).value() : Payload{};
}

}  // namespace ff::collector
