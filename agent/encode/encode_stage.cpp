// SPDX-License-Identifier: Apache-2.0
//
// The encode workers.
#include "agent/encode/encode_stage.hpp"

#include <cstring>
#include <pthread.h>

#include "common/base/clock.hpp"
#include "common/service/logging.hpp"

namespace ff::agent {
namespace {

using kernels::Device;

/// Same bytes from every device: the choice is one of speed.
Device choose_device(const std::string& wanted) {
  return wanted == "reference" ? Device::reference : Device::cpu;
}

}  // namespace

EncodeStage::EncodeStage(EncodeOptions options, SpoolQueue& out, AgentMetrics& metrics)
    : options_(std::move(options)), out_(out), metrics_(metrics) {
  for (std::size_t index = 0; index < options_.threads; ++index)
    workers_.push_back(std::make_unique<Worker>(options_.queue_groups));
  for (std::size_t index = 0; index < workers_.size(); ++index)
    workers_[index]->thread = std::thread([this, index] { run(index); });
}

EncodeStage::~EncodeStage() { finish(); }

// A bound that the detector's pixels can't have must not cost frames: they are then coded exactly.
void EncodeStage::open(StreamWork& stream) const {
  set_bound(stream);
  const bool degrades = options_.degrade_bound &&
                        kernels::check_loss_bound(options_.degrade_bound, stream.info().shape.dtype).ok();
  stream.set_degrade_bound(degrades ? options_.degrade_bound : stream.bound());
}

void EncodeStage::set_bound(StreamWork& stream) const {
  const Status possible = kernels::check_loss_bound(options_.bound, stream.info().shape.dtype);
  if (possible.ok()) {
    stream.set_bound(options_.bound);
    return;
  }
  metrics_.report(Fault::bound_impossible, "encode.bound does not fit the detector's pixels");
  service::log_error("encode.bound does not fit the detector's pixels; the series is coded exactly",
                     {{"series", stream.series().uid.to_string()},
                      {"stream", stream.info().stream},
                      {"why", std::string_view(possible.error().message)}});
}

void EncodeStage::submit(FrameGroup group, std::shared_ptr<WindowWork> window) {
  window->hold(static_cast<std::uint32_t>(workers_.size()));
  const auto frames = static_cast<double>(group.frames.size());
  const bool degraded = window->degraded();
  auto work = std::make_shared<const GroupWork>(GroupWork{std::move(group), std::move(window)});
  for (const auto& worker : workers_) FF_CHECK(worker->queue.push(work));
  metrics_.frames_coded.add(frames);
  if (degraded) metrics_.frames_degraded.add(frames);
}

void EncodeStage::finish() {
  for (const auto& worker : workers_) worker->queue.close();
  for (const auto& worker : workers_)
    if (worker->thread.joinable()) worker->thread.join();
}

void EncodeStage::run(std::size_t index) {
  pthread_setname_np(pthread_self(), ("encode-" + std::to_string(index)).c_str());
  Worker& worker = *workers_[index];
  while (!worker.queue.finished()) {
    auto work = worker.queue.pop_for(std::chrono::milliseconds(200));
    if (!work) continue;
    StreamWork& stream = (*work)->window->stream();
    const auto count = static_cast<std::uint32_t>(stream.tiles().size());
    const auto step = static_cast<std::uint32_t>(workers_.size());
    // Streams of few tiles are spread over the workers by starting each stream at another one.
    const auto first = static_cast<std::uint32_t>((index + stream.index()) % workers_.size());
    for (std::uint32_t tile = first; tile < count; tile += step) encode_tile(worker, *work, tile);
    const auto window = (*work)->window;
    work->reset();
    window->release(out_);
  }
}

void EncodeStage::encode_tile(Worker& worker, const std::shared_ptr<const GroupWork>& shared,
                              std::uint32_t tile) {
  const GroupWork& work = *shared;
  StreamWork::Tile& entry = work.window->stream().tiles()[tile];
  if (entry.window != work.group.window) {
    entry.window = work.group.window;
    entry.blocks = 0;
    entry.needs_key = true;
  }
  auto record = encode_block(worker, work, tile);
  if (!record.ok()) {
    entry.needs_key = true;
    work.window->note_failed(work.group.present << work.group.first_frame);
    metrics_.report(
        Fault::encode_failed, "group can't be coded; its frames are lost",
        {{"window", work.group.window}, {"tile", tile}, {"why", std::string_view(record.error().message)}});
    return;
  }
  entry.needs_key = false;
  ++entry.blocks;
  work.window->note_block(tile, record->payload_bytes, work.group.frames.size());
  metrics_.blocks.add();
  metrics_.coded_bytes.add(static_cast<double>(record->payload_bytes));
  record->frames = shared;
  FF_CHECK(out_.push(std::move(*record)));
}

Result<OutgoingRecord> EncodeStage::encode_block(Worker& worker, const GroupWork& work, std::uint32_t tile) {
  const std::int64_t begin = monotonic_now_ns();
  StreamWork& stream = work.window->stream();
  StreamWork::Tile& entry = stream.tiles()[tile];
  const FrameGroup& group = work.group;
  std::vector<FrameView> views;
  for (const FrameHandle& frame : group.frames)
    views.push_back(dense_view(stream.info().shape, frame->frame.pixels().data()).tile(entry.rect));

  kernels::GroupPlace place;
  place.first_frame = static_cast<std::uint8_t>(group.first_frame);
  place.frame_count = static_cast<std::uint8_t>(group.frame_count);
  place.present = group.present;
  place.key = entry.needs_key;
  kernels::EncodeOptions options;
  options.profile = options_.profile;
  options.mask = entry.mask;
  options.sentinels = stream.info().sentinels;
  options.bound = work.window->bound();

  worker.scratch.resize(
      std::max(worker.scratch.size(), kernels::encoded_size_bound(entry.coder->shape(), group.frame_count)));
  FF_ASSIGN(const CodedGroup coded,
            entry.coder->encode(choose_device(options_.device), place, views, options, worker.scratch));
  const std::size_t bytes = coded.bytes;

  // A block is much smaller than its bound: one short copy instead of a bound-sized buffer in every queue.
  OutgoingRecord record;
  record.buffer.resize(wire::kBlockHeadroomBytes + bytes);
  std::memcpy(record.buffer.data() + wire::kBlockHeadroomBytes, worker.scratch.data(), bytes);
  record.payload_bytes = bytes;
  record.stream_index = stream.index();
  record.payload_sha256 = wire::sha256(ByteSpan(worker.scratch).first(bytes));
  record.header = stream.new_header();
  auto& block = *record.header.mutable_block();
  *block.mutable_geometry() = stream.geometry();
  block.set_window(group.window);
  block.set_tile(tile);
  block.set_group(entry.blocks);
  block.set_first_frame(group.first_frame);
  block.set_frame_count(group.frame_count);
  block.set_present(group.present);
  block.set_key(coded.key);
  block.set_mask_hash(stream.mask_hash());
  block.set_profile(static_cast<std::uint32_t>(options_.profile));
  block.set_device(static_cast<std::uint32_t>(coded.device));
  block.set_bound(coded.bound);
  metrics_.encode_seconds.observe(static_cast<double>(monotonic_now_ns() - begin) * 1e-9);
  return record;
}

}  // namespace ff::agent
