// SPDX-License-Identifier: Apache-2.0
//
// Fuzz target: an envelope as it comes from a link or a log. One that is accepted lies inside its bounds, and sealed
// again it says the same.
//
// Input: a byte of flags (bit 0: repair lengths and CRCs first), then an envelope.
#include <algorithm>

#include "common/base/check.hpp"
#include "common/base/crc32c.hpp"
#include "common/wire/envelope.hpp"
#include "common/wire/tile_grid.hpp"
#include "tests/fuzz/allocation_limit.hpp"
#include "tests/fuzz/fuzz_target.hpp"

namespace {

using namespace ff;
using namespace ff::fuzz;
namespace proto = foreframe::wire;

constexpr std::size_t kPerInputByte = 256;  // Protobuf's objects against their bytes, two copies
// Protobuf reserves what a string says of its length, up to 50 MB, before it has looked for the bytes.
constexpr std::size_t kStringReserve = std::size_t{64} << 20;

/// Lets the damaged header or payload past the checks in front of it: as much header as the prefix says.
void repair(Bytes& envelope) {
  if (envelope.size() < wire::kEnvelopePrefixBytes) return;
  const std::size_t rest = envelope.size() - wire::kEnvelopePrefixBytes;
  const std::size_t header = std::min<std::size_t>(load_le<std::uint32_t>(envelope.data() + 8), rest);
  const ByteSpan body = ByteSpan(envelope).subspan(wire::kEnvelopePrefixBytes);
  const auto header_crc = crc32c(body.first(header)), payload_crc = crc32c(body.subspan(header));
  store_le(envelope.data() + 8, static_cast<std::uint32_t>(header));
  store_le(envelope.data() + 12, static_cast<std::uint32_t>(rest - header));
  store_le(envelope.data() + 16, header_crc);
  store_le(envelope.data() + 20, payload_crc);
}

void check_bounds(const proto::EnvelopeHeader& header) {
  FF_CHECK(header.series_uid().size() == 16 && header.window_frames() >= 1 && header.window_frames() <= 64);
  FF_CHECK(!wire::describe(header).empty());
  FF_CHECK(wire::partition_of(header, 7) < 7);
  if (header.has_block()) {
    const proto::Block& block = header.block();
    FF_CHECK(block.first_frame() + block.frame_count() <= header.window_frames() && block.present() != 0);
    FF_CHECK(block.tile() < wire::TileGrid(block.geometry()).count());
  }
  if (header.has_window())
    FF_CHECK(header.window().states_size() == static_cast<int>(header.window().frame_count()));
}

Verdict run(ByteSpan input) {
  if (input.empty()) return Verdict::refused;
  Bytes envelope(input.begin() + 1, input.end());
  if ((std::to_integer<unsigned>(input[0]) & 1u) != 0) repair(envelope);
  const AllocationLimit limit(kStringReserve + kPerInputByte * envelope.size());
  const auto parsed = wire::parse_envelope(envelope);
  if (!parsed.ok()) {
    FF_CHECK(parsed.error().message.size() > 10);
    return Verdict::refused;
  }
  check_bounds(parsed->header);
  const auto sealed = wire::seal_envelope(parsed->header, parsed->payload);
  FF_CHECK(sealed.ok());
  const auto again = wire::parse_envelope(sealed->bytes());
  FF_CHECK(again.ok() && std::ranges::equal(again->payload, parsed->payload));
  return Verdict::accepted;
}

proto::StreamGeometry some_geometry() {
  proto::StreamGeometry geometry;
  geometry.set_rows(20);
  geometry.set_cols(30);
  geometry.set_dtype(2);
  geometry.set_tile_rows(10);
  geometry.set_tile_cols(30);
  geometry.set_detector_rows(20);
  geometry.set_detector_cols(30);
  geometry.add_sentinels(-1);
  return geometry;
}

Bytes sealed(proto::EnvelopeHeader header, std::size_t payload_bytes) {
  header.set_series_uid(std::string(16, 'u'));
  header.set_detector("eiger");
  header.set_agent("agent");
  header.set_epoch(9);
  header.set_window_frames(8);
  const auto envelope = wire::seal_envelope(header, Bytes(payload_bytes, std::byte{5}));
  FF_CHECK(envelope.ok());
  Bytes input(1 + envelope->bytes().size(), std::byte{1});
  std::ranges::copy(envelope->bytes(), input.begin() + 1);
  return input;
}

Bytes block_input() {
  proto::EnvelopeHeader header;
  auto& block = *header.mutable_block();
  *block.mutable_geometry() = some_geometry();
  block.set_tile(1);
  block.set_frame_count(8);
  block.set_present(0xff);
  block.set_key(true);
  return sealed(header, 100);
}

Bytes window_input() {
  proto::EnvelopeHeader header;
  auto& window = *header.mutable_window();
  *window.mutable_geometry() = some_geometry();
  window.set_frame_count(3);
  for (int frame = 0; frame < 3; ++frame) {
    window.add_states(proto::SENT);
    window.add_stages(proto::STAGE_NONE);
    window.add_detector_time_ns(frame);
  }
  auto& earlier = *window.add_earlier();
  earlier.set_epoch(3);
  for (int tile = 0; tile < 2; ++tile) {
    window.add_groups_per_tile(1);
    earlier.add_groups_per_tile(1);
  }
  return sealed(header, 0);
}

Bytes start_input() {
  proto::EnvelopeHeader header;
  auto& start = *header.mutable_series_start();
  *start.mutable_geometry() = some_geometry();
  start.mutable_detector()->set_description("a detector");
  auto& mask = *start.add_attachments();
  mask.set_name("pixel_mask");
  mask.set_bytes(40);
  mask.set_raw_bytes(2400);
  return sealed(header, 40);
}

Bytes end_input() {
  proto::EnvelopeHeader header;
  header.mutable_series_end()->set_frames_expected(3);
  *header.mutable_series_end()->mutable_geometry() = some_geometry();
  return sealed(header, 0);
}

std::vector<Bytes> seeds() { return {block_input(), window_input(), start_input(), end_input()}; }

}  // namespace

FF_FUZZ_TARGET(envelope, run, seeds, damage_bytes);
