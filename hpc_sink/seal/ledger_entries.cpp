// SPDX-License-Identifier: Apache-2.0
//
// Ledger entries: into Protobuf and back.
#include "hpc_sink/seal/ledger_entries.hpp"

namespace ff::sink {
namespace {

namespace pb = foreframe::wire;

bool sink_may_say(FrameFate fate) noexcept {
  return fate.state <= pb::NOT_ACQUIRED && fate.state != pb::SENT && fate.stage <= pb::STAGE_STORE;
}

template <typename Entries>
Result<std::vector<WindowFates>> fates_of_entries(const Entries& entries) {
  std::vector<WindowFates> windows;
  for (const pb::WindowEntry& entry : entries) {
    FF_ASSIGN(WindowFates window, fates_of_entry(entry));
    windows.push_back(std::move(window));
  }
  return windows;
}

Status join_file(Catalogue& catalogue, const pb::FileStored& record) {
  FF_ASSIGN(const Uuid series, Uuid::from_bytes(as_bytes(record.series_uid())));
  FileRow file{.name = record.name(),
               .stream = {series, record.stream()},
               .partition = record.partition(),
               .segment = record.segment(),
               .epoch = record.epoch(),
               .bytes = record.bytes(),
               .frame_numbers = {}};
  std::int64_t number = 0;
  for (const std::int64_t step : record.frame_numbers()) {
    if (__builtin_add_overflow(number, step, &number) || number < 0)
      return fail(Errc::malformed, "ledger: file " + record.name() + " has a frame number out of range");
    file.frame_numbers.push_back(number);
  }
  FF_ASSIGN(const std::vector<WindowFates> windows, fates_of_entries(record.windows()));
  return catalogue.add_windows(file.stream, windows, &file);
}

}  // namespace

pb::WindowEntry entry_of(const WindowFates& window) {
  pb::WindowEntry entry;
  entry.set_window(window.window);
  entry.set_complete(window.complete);
  entry.set_reported(window.reported);
  entry.set_payload_sha256(window.payload_sha256);
  for (std::size_t i = 0; i < window.fates.size(); ++i) {
    entry.mutable_states()->push_back(static_cast<char>(window.fates[i].state));
    entry.mutable_stages()->push_back(static_cast<char>(window.fates[i].stage));
    if (is_stored(window.fates[i])) entry.add_pixel_crc32c(pixel_crc_of(window, i));
  }
  if (!entry.mutable_facts()->ParseFromString(window.facts)) entry.clear_facts();
  return entry;
}

Result<WindowFates> fates_of_entry(const pb::WindowEntry& entry) {
  WindowFates window{.window = entry.window(),
                     .complete = entry.complete(),
                     .fates = {},
                     .reported = entry.reported(),
                     .payload_sha256 = entry.payload_sha256(),
                     .pixel_crcs = std::vector<std::uint32_t>(entry.states().size()),
                     .facts = entry.has_facts() ? entry.facts().SerializeAsString() : std::string()};
  int crc = 0;
  for (std::size_t i = 0; i < entry.states().size(); ++i) {
    const FrameFate fate{static_cast<std::uint8_t>(entry.states()[i]),
                         static_cast<std::uint8_t>(entry.stages()[i])};
    if (!sink_may_say(fate))
      return fail(Errc::malformed, "ledger: a frame state or stage that no sink gives");
    window.fates.push_back(fate);
    if (!is_stored(fate)) continue;
    if (crc >= entry.pixel_crc32c_size())
      return fail(Errc::malformed, "ledger: a stored frame without a pixel CRC");
    window.pixel_crcs[i] = entry.pixel_crc32c(crc++);
  }
  if (crc != entry.pixel_crc32c_size())
    return fail(Errc::malformed, "ledger: more pixel CRCs than stored frames");
  return window;
}

wire::LedgerRecord file_record(const FileRow& file, const std::string& detector, const std::string& sink,
                               const std::vector<WindowFates>& windows) {
  wire::LedgerRecord record;
  pb::FileStored& stored = *record.mutable_file();
  stored.set_series_uid(file.stream.series.to_wire());
  stored.set_detector(detector);
  stored.set_stream(file.stream.stream);
  stored.set_name(file.name);
  stored.set_partition(file.partition);
  stored.set_segment(file.segment);
  stored.set_epoch(file.epoch);
  stored.set_bytes(file.bytes);
  std::int64_t before = 0;
  for (const std::int64_t number : file.frame_numbers)
    stored.add_frame_numbers(number - std::exchange(before, number));
  for (const WindowFates& window : windows) *stored.add_windows() = entry_of(window);
  stored.set_sink(sink);
  return record;
}

wire::LedgerRecord windows_record(const StreamKey& stream, const std::string& detector,
                                  const std::string& sink, const std::vector<WindowFates>& windows) {
  wire::LedgerRecord record;
  pb::WindowsSettled& settled = *record.mutable_windows();
  settled.set_series_uid(stream.series.to_wire());
  settled.set_detector(detector);
  settled.set_stream(stream.stream);
  settled.set_sink(sink);
  for (const WindowFates& window : windows) *settled.add_windows() = entry_of(window);
  return record;
}

Status join_record(Catalogue& catalogue, const wire::LedgerRecord& record) {
  if (record.has_file()) return join_file(catalogue, record.file());
  if (!record.has_windows()) return {};
  FF_ASSIGN(const Uuid series, Uuid::from_bytes(as_bytes(record.windows().series_uid())));
  FF_ASSIGN(const std::vector<WindowFates> windows, fates_of_entries(record.windows().windows()));
  return catalogue.add_windows({series, record.windows().stream()}, windows, nullptr);
}

}  // namespace ff::sink
