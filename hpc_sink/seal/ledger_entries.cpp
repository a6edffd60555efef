// SPDX-License-Identifier: Apache-2.0
//
// Ledger entries: into Protobuf and back.
#include "hpc_sink/seal/ledger_entries.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "hpc_sink/store/window_fates.hpp"

namespace ff::sink {
namespace {

namespace pb = foreframe::wire;

bool sink_may_say(FrameFate fate) noexcept {
  return fate.state <= pb::NOT_ACQUIRED && fate.state != pb::SENT && fate.stage <= pb::STAGE_STORE;
}

std::string key_prefix(const LedgerSpeaker& speaker, const LedgerSubject& subject) {
  return subject.key.series.to_string() + "/" + speaker.destination + "/" + speaker.sink + "/";
}

template <typename Message>
void fill(Message& message, const LedgerSpeaker& speaker, const LedgerSubject& subject) {
  message.set_series_uid(subject.key.series.to_wire());
  message.set_detector(subject.detector);
  message.set_stream(subject.key.stream);
  message.set_sink(speaker.sink);
  message.set_destination(speaker.destination);
  *message.mutable_geometry() = subject.geometry;
  message.set_window_frames(subject.window_frames);
}

// From `next` on as many as fit.
template <typename Message>
void add_entries(Message& message, const LedgerSpeaker& speaker, const std::vector<WindowFates>& windows,
                 const IsSettled& settled, std::size_t& next) {
  std::uint64_t bytes = 0;
  for (; next < windows.size() && bytes < speaker.note_bytes_max; ++next) {
    *message.add_windows() = entry_of(windows[next], settled(windows[next]));
    bytes += message.windows(message.windows_size() - 1).ByteSizeLong();
  }
}

Result<LedgerNote> note_of(const LedgerSubject& subject, std::string key, const wire::LedgerRecord& record) {
  FF_ASSIGN(const Payload value, wire::seal_control(record));
  return LedgerNote{subject.key.series, subject.detector, std::move(key),
                    std::string(as_text(value.bytes()))};
}

void fill_file(pb::FileStored& stored, const FileRow& file) {
  stored.set_name(file.name);
  stored.set_partition(file.partition);
  stored.set_segment(file.segment);
  stored.set_epoch(file.epoch);
  stored.set_bytes(file.bytes);
  std::int64_t before = 0;
  for (const std::int64_t number : file.frame_numbers)
    stored.add_frame_numbers(number - std::exchange(before, number));
}

Result<FileRow> row_of(const pb::FileStored& record, const StreamKey& stream) {
  FileRow file{.name = record.name(),
               .stream = stream,
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
  return file;
}

template <typename Message>
Result<LedgerStatement> read_statement(const Message& message) {
  LedgerStatement statement;
  FF_ASSIGN(const Uuid series, Uuid::from_bytes(as_bytes(message.series_uid())));
  statement.subject = {.key = {series, message.stream()},
                       .detector = message.detector(),
                       .window_frames = message.window_frames(),
                       .geometry = message.geometry()};
  statement.destination = message.destination();
  for (const pb::WindowEntry& entry : message.windows()) {
    FF_ASSIGN(WindowFates window, fates_of_entry(entry));
    statement.windows.push_back(std::move(window));
    if (entry.settled()) statement.settled.push_back(entry.window());
  }
  return statement;
}

bool says_more(const WindowFates& known, const WindowFates& later) {
  const WindowFates merged = merge_fates(known, later);
  return merged.fates != known.fates || merged.complete != known.complete ||
         merged.reported != known.reported || merged.payload_sha256 != known.payload_sha256 ||
         (merged.pixel_crcs != known.pixel_crcs && !known.pixel_crcs.empty());
}

}  // namespace

pb::WindowEntry entry_of(const WindowFates& window, bool settled) {
  pb::WindowEntry entry;
  entry.set_window(window.window);
  entry.set_complete(window.complete);
  entry.set_reported(window.reported);
  entry.set_settled(settled);
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

Result<std::vector<LedgerNote>> file_notes(const LedgerSpeaker& speaker, const LedgerSubject& subject,
                                           const FileRow& file, const std::vector<WindowFates>& windows,
                                           const IsSettled& settled, std::int64_t now_utc_ns) {
  wire::LedgerRecord record;
  fill(*record.mutable_file(), speaker, subject);
  fill_file(*record.mutable_file(), file);
  std::size_t next = 0;
  add_entries(*record.mutable_file(), speaker, windows, settled, next);
  FF_ASSIGN(
      LedgerNote first,
      note_of(subject, key_prefix(speaker, subject) + file.name.substr(file.name.rfind('/') + 1), record));
  std::vector<LedgerNote> notes = {std::move(first)};
  if (next == windows.size()) return notes;
  const std::vector<WindowFates> rest(windows.begin() + static_cast<std::ptrdiff_t>(next), windows.end());
  FF_ASSIGN(std::vector<LedgerNote> more, window_notes(speaker, subject, rest, settled, now_utc_ns));
  std::ranges::move(more, std::back_inserter(notes));
  return notes;
}

Result<std::vector<LedgerNote>> window_notes(const LedgerSpeaker& speaker, const LedgerSubject& subject,
                                             const std::vector<WindowFates>& windows,
                                             const IsSettled& settled, std::int64_t now_utc_ns) {
  std::vector<LedgerNote> notes;
  std::size_t next = 0;
  do {
    wire::LedgerRecord record;
    fill(*record.mutable_windows(), speaker, subject);
    const std::string first = next < windows.size() ? std::to_string(windows[next].window) : "met";
    add_entries(*record.mutable_windows(), speaker, windows, settled, next);
    FF_ASSIGN(LedgerNote note,
              note_of(subject,
                      key_prefix(speaker, subject) + "s" + std::to_string(subject.key.stream) + "_w" + first +
                          "_" + std::to_string(now_utc_ns),
                      record));
    notes.push_back(std::move(note));
  } while (next < windows.size());
  return notes;
}

Result<LedgerNote> gap_note(const LedgerSpeaker& speaker, const LogGapRow& gap) {
  wire::LedgerRecord record;
  record.mutable_gap()->set_destination(speaker.destination);
  record.mutable_gap()->set_partition(gap.partition);
  record.mutable_gap()->set_first_offset(gap.first_offset);
  record.mutable_gap()->set_next_offset(gap.next_offset);
  record.mutable_gap()->set_noticed_utc_ns(gap.noticed_utc_ns);
  return note_of({},
                 "gap/" + speaker.destination + "/" + speaker.sink + "/" + gap.topic + "_p" +
                     std::to_string(gap.partition) + "_" + std::to_string(gap.first_offset),
                 record);
}

Result<std::optional<LedgerStatement>> statement_of(const wire::LedgerRecord& record) {
  std::optional<LedgerStatement> statement;
  if (record.has_file()) {
    FF_ASSIGN(statement, read_statement(record.file()));
    FF_ASSIGN(statement->file, row_of(record.file(), statement->subject.key));
  } else if (record.has_windows()) {
    FF_ASSIGN(statement, read_statement(record.windows()));
  }
  return statement;
}

// What is known already is not written again: a sink reads its own statements too.
Result<bool> join_statement(Catalogue& catalogue, const LedgerStatement& statement, std::int64_t now_utc_ns) {
  const LedgerSubject& subject = statement.subject;
  FF_ASSIGN(const auto row, catalogue.find_series(subject.key.series));
  bool is_new = !row;
  if (subject.window_frames > 0)
    FF_TRY(catalogue.add_stream(
        {.key = subject.key, .window_frames = subject.window_frames, .geometry = subject.geometry},
        subject.detector, now_utc_ns));
  std::vector<WindowFates> news;
  for (const WindowFates& window : statement.windows) {
    FF_ASSIGN(const auto known, catalogue.window({subject.key, window.window}));
    if (!known || says_more(*known, window)) news.push_back(window);
  }
  bool has_file = true;
  if (statement.file) {
    FF_ASSIGN(has_file, catalogue.has_file(statement.file->name));
  }
  is_new = is_new || !news.empty() || !has_file;
  if (!news.empty() || !has_file)
    FF_TRY(catalogue.add_windows(subject.key, news, has_file ? nullptr : &*statement.file));
  return is_new;
}

}  // namespace ff::sink
