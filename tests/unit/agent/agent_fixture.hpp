// SPDX-License-Identifier: Apache-2.0
//
// The agent's stages without sockets: messages in, what ingest says or what the spool holds out.
#pragma once

#include <atomic>
#include <thread>
#include <vector>

#include "agent/ingest/plain_source.hpp"
#include "agent/ingest/series_ingest.hpp"
#include "agent/ingest/stream_v2_source.hpp"
#include "agent/spool/spool_stage.hpp"
#include "agent/window/window_stage.hpp"
#include "common/base/clock.hpp"
#include "common/wire/envelope.hpp"
#include "tests/support/cbor_build.hpp"
#include "tests/support/temp_dir.hpp"

namespace ff::test {

using namespace ff::agent;

inline SourceEvent stream_v2_event(std::vector<std::byte> message, std::int64_t at_ns = 1) {
  SourceEvent event;
  event.received_utc_ns = 1'700'000'000'000'000'000 + at_ns;
  event.received_monotonic_ns = at_ns;
  event.message_bytes = message.size();
  event.message.push_back(Payload::own(std::move(message)));
  event.what = read_stream_v2(event.message[0].bytes());
  return event;
}

inline std::vector<std::byte> start_of(std::uint64_t series, std::uint64_t images, std::uint32_t rows,
                                       std::uint32_t cols, std::string_view unique_id = "",
                                       std::string_view dtype = "uint16") {
  CborBuild out;
  out.map(unique_id.empty() ? 7 : 8).text("type").text("start").text("series_id").number(series);
  if (!unique_id.empty()) out.text("series_unique_id").text(unique_id);
  out.text("number_of_images").number(images).text("image_dtype").text(dtype);
  out.text("image_size_x").number(cols).text("image_size_y").number(rows);
  out.text("channels").array(1).text("threshold_1");
  return out.take();
}

inline std::vector<std::byte> end_of(std::uint64_t series) {
  CborBuild out;
  return out.map(2).text("type").text("end").text("series_id").number(series).take();
}

/// Pixels that differ from frame to frame and pixel to pixel.
inline std::vector<std::uint16_t> pixels_of(std::uint64_t frame, std::size_t count) {
  std::vector<std::uint16_t> pixels(count);
  for (std::size_t i = 0; i < count; ++i) pixels[i] = static_cast<std::uint16_t>((i * 7 + frame * 13) % 23);
  return pixels;
}

inline std::vector<std::byte> image_of(std::uint64_t series, std::uint64_t frame, std::uint32_t rows = 4,
                                       std::uint32_t cols = 6) {
  return image_message(series, frame, rows, cols, pixels_of(frame, std::size_t{rows} * cols));
}

/// SeriesIngest with its journal and pool in a temporary folder; items are collected, frames let go.
struct IngestBench {
  explicit IngestBench(SeriesIngestOptions options = {})
      : IngestBench(std::make_shared<TempDir>(), std::move(options)) {}
  IngestBench(std::shared_ptr<TempDir> folder, SeriesIngestOptions options,
              PoolKeeper::Make make = FramePool::create)
      : folder_(std::move(folder)),
        metrics(registry),
        journal(std::move(
            AgentJournal::open(folder_->path() / "state", folder_->path() / "test.journal").value())),
        pool(folder_->path(), "test", 64u << 20, std::move(make)),
        ingest(std::move(options), pool, *journal, metrics,
               [this](IngestItem item) { items.push_back(std::move(item)); }) {
    // Without a spool: what the journal says is all there is.
    const auto unfinished = journal->take_unfinished();
    std::vector<SpooledSeries> spooled(unfinished.size());
    for (std::size_t i = 0; i < unfinished.size(); ++i)
      for (const StreamProgress& progress : unfinished[i].progress)
        spooled[i].streams.push_back({progress.offset > 0, progress.windows, {}});
    std::uint64_t forsaken = 0;
    ingest.recover(recover_series(unfinished, spooled, pool.take_salvaged(), 0, forsaken), 1);
  }

  void send(std::vector<std::byte> message, std::int64_t at_ns = 1) {
    ingest.handle(stream_v2_event(std::move(message), at_ns));
  }
  template <typename T>
  [[nodiscard]] std::vector<const T*> all() const {
    std::vector<const T*> found;
    for (const auto& item : items)
      if (const auto* value = std::get_if<T>(&item)) found.push_back(value);
    return found;
  }
  /// frame:state of every frame that was handed on, e.g. "0:1 1:6".
  [[nodiscard]] std::string frames() const {
    std::string text;
    for (const auto* taken : all<FrameTaken>())
      text += (text.empty() ? "" : " ") + std::to_string(taken->note.frame) + ":" +
              std::to_string(taken->note.state);
    return text;
  }

  std::shared_ptr<TempDir> folder_;
  service::Metrics registry{"agent"};
  AgentMetrics metrics;
  std::unique_ptr<AgentJournal> journal;  ///< before the pool, whose thread writes it
  PoolKeeper pool;
  std::vector<IngestItem> items;
  SeriesIngest ingest;
};

/// Everything from message to spool, with its threads; the spool's envelopes are read back at the end.
struct SpoolBench {
  explicit SpoolBench(std::shared_ptr<TempDir> folder, SeriesIngestOptions ingest_options = {},
                      std::size_t threads = 2, Windowing windowing = {}, kernels::LossBound bound = {},
                      bool hold_spool = false, BackPressureOptions pressure_options = {},
                      std::uint64_t spool_bytes_max = 16ull << 30)
      : folder_(std::move(folder)),
        metrics(registry),
        journal(std::move(
            AgentJournal::open(folder_->path() / "state", folder_->path() / "test.journal").value())),
        pool(folder_->path(), "test", 256u << 20),
        pressure(std::move(pressure_options), health, metrics),
        encode(EncodeOptions{threads, 2, kernels::Profile::fast, "auto", bound,
                             kernels::parse_loss_bound("abs:2").value()},
               queue, metrics),
        window(window_options(windowing), partition_count, encode, queue, metrics),
        ingest(ask_pressure(std::move(ingest_options)), pool, *journal, metrics,
               [this](IngestItem item) { window.handle(std::move(item)); }) {
    transport::SegmentLogOptions options;
    options.folder = folder_->path() / "spool";
    options.log_bytes_max = spool_bytes_max;
    std::filesystem::create_directories(options.folder);
    spool = std::make_unique<SpoolStage>(std::move(transport::SegmentLog::open(options).value()), *journal,
                                         waits, pressure, metrics);
    {
      auto reader = std::move(transport::SegmentReader::open(options.folder, "restart").value());
      const auto unfinished = journal->take_unfinished();
      const auto spooled = std::move(scan_spool(*reader, unfinished, 0).value());
      for (std::size_t i = 0; i < unfinished.size(); ++i)
        spool->take_over(unfinished[i].series.uid, 0, spooled[i]);
      recovered = recover_series(unfinished, spooled, pool.take_salvaged(), 0, forsaken);
    }
    if (hold_spool) return;
    spooler = std::thread([this] { spool_ok = spool->run(queue, give_up).ok(); });
  }
  ~SpoolBench() { finish(); }

  void send(std::vector<std::byte> message) {
    if (!recovered.empty()) ingest.recover(std::exchange(recovered, {}), now_ns);
    ingest.handle(stream_v2_event(std::move(message), ++now_ns));
  }
  /// Lets everything run out, as a graceful stop does; `crash`: without closing the series.
  void finish(bool crash = false) {
    if (!spooler.joinable()) return;
    if (!recovered.empty()) ingest.recover(std::exchange(recovered, {}), now_ns);
    if (!crash) ingest.stop();
    encode.finish();
    queue.close();
    spooler.join();
    spool.reset();
  }
  [[nodiscard]] std::vector<Payload> spooled() const {
    std::vector<Payload> records;
    auto reader = transport::SegmentReader::open(folder_->path() / "spool", "test");
    for (auto record = (*reader)->next();; record = (*reader)->next()) {
      if (!record.ok() && record.error().code == Errc::crc_mismatch)
        continue;  // what is behind it counts too
      if (!record.ok() || !record->has_value()) return records;
      records.push_back(Payload::copy((**record).value.bytes()));
    }
  }

  SeriesIngestOptions ask_pressure(SeriesIngestOptions options) {
    options.vetoes = [this](std::uint64_t frame) { return pressure.vetoes(frame); };
    return options;
  }
  WindowStageOptions window_options(Windowing windowing) {
    WindowStageOptions options;
    options.windowing = windowing;
    options.identity.agent = "agent";
    options.identity.detector = "eiger";
    options.identity.epoch = journal->epoch();
    options.degrades = [this] { return pressure.degrades(); };
    return options;
  }

  std::shared_ptr<TempDir> folder_;
  service::Metrics registry{"agent"};
  AgentMetrics metrics;
  std::unique_ptr<AgentJournal> journal;  ///< before the pool, whose thread writes it
  PoolKeeper pool;
  SpoolQueue queue{8};
  std::atomic<std::uint32_t> partition_count{4};
  std::atomic<bool> give_up{false};
  SpoolWaits waits;
  service::Health health;
  BackPressure pressure;
  EncodeStage encode;
  WindowStage window;
  SeriesIngest ingest;
  std::vector<RecoveredSeries> recovered;
  std::uint64_t forsaken = 0;
  std::unique_ptr<SpoolStage> spool;
  std::thread spooler;
  bool spool_ok = false;
  std::int64_t now_ns = 0;
};

}  // namespace ff::test
