// SPDX-License-Identifier: Apache-2.0
//
// WindowAssembler: blocks to frames, and each frame's fate at the end.
#include "hpc_sink/decode/window_assembler.hpp"

#include <bit>
#include <string>

#include "common/base/clock.hpp"
#include "common/base/crc32c.hpp"
#include "hpc_sink/decode/window_facts.hpp"
#include "hpc_sink/decode/window_times.hpp"

namespace ff::sink {
namespace {

namespace pb = foreframe::wire;

constexpr std::size_t kSha256Bytes = 32;
constexpr std::uint32_t kGroupsMax = 64;  // a group holds at least one of a window's 64 frames

const pb::StreamGeometry& geometry_of(const wire::EnvelopeHeader& header) noexcept {
  return header.has_block() ? header.block().geometry() : header.window().geometry();
}

bool same_geometry(const pb::StreamGeometry& a, const pb::StreamGeometry& b) {
  return a.rows() == b.rows() && a.cols() == b.cols() && a.dtype() == b.dtype() &&
         a.tile_rows() == b.tile_rows() && a.tile_cols() == b.tile_cols();
}

// A sink alone knows what is stored: an agent that says so, or says nothing, is malformed.
bool state_may_be_sent(int state) noexcept {
  return state == pb::SENT || state == pb::SUMMARISED || state == pb::VETOED || state == pb::DAMAGED ||
         state == pb::LOST || state == pb::NOT_ACQUIRED;
}

PlacedBlock place_block(const pb::Block& block, const WindowRecord& record) {
  PlacedBlock placed;
  placed.group = block.group();
  placed.place = {static_cast<std::uint8_t>(block.first_frame()),
                  static_cast<std::uint8_t>(block.frame_count()), block.present(), block.key()};
  placed.bounded = !block.bound().empty();
  placed.damaged = record.payload_damaged;
  placed.bytes = record.payload;
  return placed;
}

}  // namespace

Result<WindowKey> window_key(const wire::EnvelopeHeader& header) {
  FF_ASSIGN(const Uuid series, Uuid::from_bytes(as_bytes(header.series_uid())));
  const std::uint64_t window = header.has_block() ? header.block().window() : header.window().window();
  return WindowKey{{series, header.stream()}, window};
}

std::uint64_t window_memory_bytes(const pb::StreamGeometry& geometry, std::uint32_t window_frames) noexcept {
  const wire::TileGrid grid(geometry);
  std::uint64_t states = 0;
  for (std::uint32_t tile = 0; tile < grid.count(); ++tile)
    states += kernels::tile_state_bytes(grid.tile_shape(tile));
  return 2 * std::uint64_t{window_frames} * grid.frame().bytes() + states;
}

WindowAssembler::WindowAssembler(const wire::EnvelopeHeader& first, std::int32_t partition,
                                 kernels::Device device, WindowLease lease)
    : key_(window_key(first).value()),
      detector_(first.detector()),
      partition_(partition),
      window_frames_(first.window_frames()),
      geometry_(geometry_of(first)),
      grid_(geometry_),
      device_(device),
      lease_(std::move(lease)),
      tiles_(grid_.count()),
      frames_(window_frames_),
      scratch_(window_frames_),
      facts_(no_facts()) {}

Status WindowAssembler::check_fits(const WindowRecord& record) const {
  const wire::EnvelopeHeader& header = record.header;
  if (header.window_frames() != window_frames_ || !same_geometry(geometry_of(header), geometry_))
    return fail(Errc::shape_mismatch,
                "its frame shape, tiles or W are not those of the window's other records");
  if (header.has_block() && header.block().group() >= kGroupsMax)
    return fail(Errc::malformed,
                "group " + std::to_string(header.block().group()) + " in a window of 64 frames");
  if (header.has_window())
    for (const int state : header.window().states())
      if (!state_may_be_sent(state))
        return fail(Errc::malformed, "frame state " + std::to_string(state) + " is not an agent's to give");
  return {};
}

Result<Intake> WindowAssembler::add(const WindowRecord& record) {
  FF_TRY(check_fits(record));
  epochs_.insert(record.header.epoch());
  const Intake intake = record.header.has_block() ? add_block(record) : add_window(record);
  if (record.header.has_window()) note_sent(facts_);
  if (intake == Intake::duplicate) return intake;
  tickets_.push_back(record.ticket);
  note_record(facts_, record.header, record.payload.size(), record.ticket);
  if (keeps_letters_) letters_.push_back(record.letter);
  return intake;
}

Intake WindowAssembler::add_block(const WindowRecord& record) {
  const pb::Block& block = record.header.block();
  TileChain& blocks = chain(record.header.epoch(), block.tile());
  if (!blocks.add(place_block(block, record))) return Intake::duplicate;
  blocks.advance(output(record.header.epoch(), block.tile()));
  return Intake::taken;
}

Intake WindowAssembler::add_window(const WindowRecord& record) {
  const bool fresh = windows_.try_emplace(record.header.epoch(), record.header.window()).second;
  return fresh ? Intake::taken : Intake::duplicate;
}

TileChain& WindowAssembler::chain(std::uint64_t epoch, std::uint32_t tile) {
  return chains_.try_emplace({epoch, tile}, device_, grid_.tile_shape(tile)).first->second;
}

MutableFrameView WindowAssembler::tile_view(std::uint32_t position, std::uint32_t tile) {
  // Pixels that are here already stay: what comes again only moves the predictor on, in scratch memory.
  if ((tiles_[tile].decoded >> position & 1) != 0) {
    scratch_[position].resize(grid_.tile_shape(tile).bytes());
    return dense_view(grid_.tile_shape(tile), scratch_[position].data());
  }
  std::vector<std::byte>& frame = frames_[position];
  if (frame.empty()) frame.resize(grid_.frame().bytes());
  return dense_view(grid_.frame(), frame.data()).tile(grid_.rect(tile));
}

TileOutput WindowAssembler::output(std::uint64_t epoch, std::uint32_t tile) {
  return {.frame = [this, tile](std::uint32_t position) { return tile_view(position, tile); },
          .decoded =
              [this, tile](std::uint64_t frames, bool bounded) {
                if (bounded) bounded_ |= frames & ~tiles_[tile].decoded;
                tiles_[tile].decoded |= frames;
              },
          .bound = [this](const kernels::LossBound& bound) { bounds_.insert(to_string(bound)); },
          .failed =
              [this, epoch, tile](std::uint32_t group, std::uint64_t frames, Stage stage, const Error& why) {
                tiles_[tile].failed |= frames;
                if (stage == pb::STAGE_LOG) tiles_[tile].damaged_in_log |= frames;
                if (first_failure_.empty())
                  first_failure_ = std::string(to_string(why.code)) + ": " + why.message;
                failures_.push_back(
                    {key_.stream.series.to_string() + " stream " + std::to_string(key_.stream.stream) +
                         " window " + std::to_string(key_.window) + " tile " + std::to_string(tile) +
                         " group " + std::to_string(group) + " epoch " + std::to_string(epoch),
                     why});
                note_failure(facts_,
                             "tile " + std::to_string(tile) + " group " + std::to_string(group) + " epoch " +
                                 std::to_string(epoch),
                             why);
              }};
}

bool WindowAssembler::complete() const {
  return all_here(chains_, windows_, *epochs_.rbegin(), grid_.count());
}

void WindowAssembler::close_chains() {
  for (auto& [key, blocks] : chains_) blocks.advance_over_gaps(output(key.first, key.second));
  chains_.clear();
}

std::uint64_t WindowAssembler::whole_frames() const noexcept {
  std::uint64_t whole = ~std::uint64_t{0};
  for (const TileFrames& tile : tiles_) whole &= tile.decoded;
  return whole;
}

std::uint64_t WindowAssembler::failed_frames() const noexcept {
  std::uint64_t failed = 0;
  for (const TileFrames& tile : tiles_) failed |= tile.failed & ~tile.decoded;
  return failed;
}

// Where a damaged frame was damaged: in the decoder if any of its tiles was.
Stage WindowAssembler::damage_stage(std::uint32_t position) const noexcept {
  for (const TileFrames& tile : tiles_)
    if (((tile.failed & ~tile.decoded & ~tile.damaged_in_log) >> position & 1) != 0) return pb::STAGE_DECODE;
  return pb::STAGE_LOG;
}

std::uint32_t WindowAssembler::frame_count() const noexcept {
  std::uint32_t count = windows_.empty() ? window_frames_ : 0;
  for (const auto& [epoch, window] : windows_) count = std::max(count, window.frame_count());
  const std::uint64_t whole = whole_frames();
  return std::max(count, whole == 0 ? 0 : static_cast<std::uint32_t>(64 - std::countl_zero(whole)));
}

FrameFate WindowAssembler::reported_fate(std::uint32_t position) const {
  const FrameFate lost_in_log = make_fate(pb::LOST, pb::STAGE_LOG);
  FrameFate fate;
  for (auto window = windows_.rbegin(); window != windows_.rend(); ++window) {
    if (position >= window->second.frame_count()) continue;
    const int at = static_cast<int>(position);
    const auto state = window->second.states(at);
    const FrameFate said = state == pb::SENT ? lost_in_log : make_fate(state, window->second.stages(at));
    // Sent by any epoch outweighs what another epoch did not know.
    if (state == pb::SENT) return said;
    fate = better_fate(fate, said);
  }
  return fate.state == pb::FRAME_STATE_UNSPECIFIED ? lost_in_log : fate;
}

void WindowAssembler::collect_frames(const FrameChunkEncoder& chunks, FinishedWindow& finished) {
  const std::uint64_t whole = whole_frames();
  const auto record = windows_.rbegin();
  const std::vector<FrameTimes> times =
      windows_.empty() ? std::vector<FrameTimes>{} : unpack_times(record->second);
  for (std::uint32_t position = 0; position < finished.fates.size(); ++position) {
    std::vector<std::byte> pixels = std::exchange(frames_[position], {});
    if ((whole >> position & 1) == 0) continue;
    DecodedFrame frame;
    frame.position = position;
    frame.pixel_crc = crc32c(pixels);
    finished.raw_bytes += pixels.size();
    FrameChunk chunk = chunks.encode(std::move(pixels), dtype_bytes(grid_.frame().dtype));
    frame.chunk = std::move(chunk.bytes);
    frame.chunk_is_filtered = chunk.filtered;
    if (position < times.size()) frame.times = times[position];
    if (!windows_.empty())
      for (const auto& said : record->second.user_data())
        if (said.frame() == position) frame.user_data = said.cbor();
    finished.frames.push_back(std::move(frame));
  }
}

void WindowAssembler::collect_facts(FinishedWindow& finished) {
  finished.reported = !windows_.empty();
  if (finished.reported) {
    const std::string& digest = windows_.rbegin()->second.payload_sha256();
    if (digest.size() == kSha256Bytes) finished.payload_sha256 = digest;
    note_not_stored(facts_, finished.fates, unpack_times(windows_.rbegin()->second));
  }
  facts_.set_read_utc_ns(utc_now_ns());
  finished.facts = facts_.SerializeAsString();
}

FinishedWindow WindowAssembler::finish(const FrameChunkEncoder& chunks) {
  const std::string missing = first_missing(chains_, windows_, *epochs_.rbegin(), grid_.count());
  const std::uint64_t came = census_digest(chains_, windows_);
  close_chains();
  FinishedWindow finished{
      .key = key_,
      .detector = detector_,
      .epoch = *epochs_.rbegin(),
      .partition = partition_,
      .window_frames = window_frames_,
      .geometry = geometry_,
      .boot_id = windows_.empty() ? std::string() : windows_.rbegin()->second.boot_id(),
      .clock = windows_.empty() ? foreframe::wire::HostClock() : windows_.rbegin()->second.clock(),
      .bounds = std::move(bounds_),
      .fates = std::vector<FrameFate>(frame_count()),
      .frames = {},
      .complete = missing.empty(),
      .reported = false,
      .payload_sha256 = {},
      .facts = {},
      .failure = std::move(first_failure_),
      .missing = missing,
      .came = came,
      .dead = false,
      .letters = std::move(letters_),
      .raw_bytes = 0,
      .tickets = std::move(tickets_),
      .lease = std::move(lease_)};
  const std::uint64_t whole = whole_frames(), failed = failed_frames();
  for (std::uint32_t position = 0; position < finished.fates.size(); ++position) {
    FrameFate& fate = finished.fates[position];
    if ((whole >> position & 1) != 0)
      fate = make_fate((bounded_ >> position & 1) != 0 ? pb::STORED_BOUNDED : pb::STORED_EXACT);
    else if ((failed >> position & 1) != 0)
      fate = make_fate(pb::DAMAGED, damage_stage(position));
    else
      fate = reported_fate(position);
    if (may_improve(fate)) finished.complete = false;
  }
  if (failed == 0) finished.failure.clear();
  collect_frames(chunks, finished);
  collect_facts(finished);
  finished.lease.mark_finished();
  return finished;
}

}  // namespace ff::sink
