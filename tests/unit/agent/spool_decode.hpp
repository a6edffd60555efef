// SPDX-License-Identifier: Apache-2.0
//
// What a spool says about one stream of u16 frames, pixels decoded.
#pragma once

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "common/wire/envelope.hpp"
#include "common/wire/tile_grid.hpp"
#include "kernels/codec.hpp"

namespace ff::test {

/// What the spool says about one stream of u16 frames.
struct Decoded {
  std::map<std::uint64_t, std::vector<std::uint16_t>> frames;  ///< by number
  std::map<std::uint64_t, int> states;
  std::vector<std::string> order;  ///< "start", "block", "window", "end"
  foreframe::wire::SeriesEnd end;
  std::vector<std::uint64_t> sequences;
  std::map<std::uint64_t, foreframe::wire::Window> windows;  ///< by index; the last record of each
};

inline void decode_block(const wire::ParsedEnvelope& envelope,
                         std::map<std::uint32_t, kernels::TileState>& states, Decoded& decoded) {
  const auto& block = envelope.header.block();
  const wire::TileGrid grid(block.geometry());
  const TileRect rect = grid.rect(block.tile());
  const FrameShape tile = grid.tile_shape(block.tile());
  if (!states.contains(block.tile()))
    states.emplace(block.tile(), std::move(kernels::TileState::create(tile).value()));
  std::vector<std::vector<std::byte>> pixels;
  std::vector<MutableFrameView> views;
  for (int i = 0; i < __builtin_popcountll(block.present()); ++i) pixels.emplace_back(tile.bytes());
  for (auto& frame : pixels) views.push_back(dense_view(tile, static_cast<void*>(frame.data())));
  REQUIRE(kernels::decode_group(kernels::Device::reference, states.at(block.tile()), envelope.payload, views)
              .ok());
  std::size_t next = 0;
  for (std::uint32_t i = 0; i < block.frame_count(); ++i) {
    if ((block.present() >> i & 1) == 0) continue;
    auto& frame = decoded.frames[block.window() * envelope.header.window_frames() + block.first_frame() + i];
    frame.resize(grid.frame().pixels());
    for (std::uint32_t row = 0; row < rect.rows; ++row)
      std::memcpy(&frame[std::size_t{rect.row + row} * grid.frame().cols + rect.col],
                  pixels[next].data() + row * tile.row_bytes(), tile.row_bytes());
    ++next;
  }
}

inline Decoded decode(const std::vector<Payload>& records) {
  Decoded decoded;
  std::map<std::uint32_t, kernels::TileState> states;
  for (const Payload& record : records) {
    auto envelope = wire::parse_envelope(record.bytes());
    REQUIRE(envelope.ok());
    const auto& header = envelope->header;
    decoded.sequences.push_back(header.sequence());
    if (header.has_series_start()) decoded.order.push_back("start");
    if (header.has_block()) {
      decoded.order.push_back("block");
      decode_block(*envelope, states, decoded);
    }
    if (header.has_window()) {
      decoded.order.push_back("window");
      decoded.windows[header.window().window()] = header.window();
      for (int i = 0; i < header.window().states_size(); ++i)
        decoded.states[header.window().window() * header.window_frames() + static_cast<unsigned>(i)] =
            header.window().states(i);
    }
    if (header.has_series_end()) {
      decoded.order.push_back("end");
      decoded.end = header.series_end();
    }
  }
  return decoded;
}

}  // namespace ff::test
