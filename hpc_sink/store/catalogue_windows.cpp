// SPDX-License-Identifier: Apache-2.0
//
// Catalogue: windows and files, and how two reports of a window are joined.
#include <cstring>

#include "hpc_sink/store/catalogue.hpp"
#include "hpc_sink/store/sqlite_statement.hpp"

namespace ff::sink {
namespace {

std::string pack_fates(const std::vector<FrameFate>& fates) {
  std::string packed;
  for (const FrameFate fate : fates) {
    packed += static_cast<char>(fate.state);
    packed += static_cast<char>(fate.stage);
  }
  return packed;
}

std::vector<FrameFate> unpack_fates(const std::string& packed) {
  std::vector<FrameFate> fates(packed.size() / 2);
  for (std::size_t i = 0; i < fates.size(); ++i)
    fates[i] = {static_cast<std::uint8_t>(packed[2 * i]), static_cast<std::uint8_t>(packed[2 * i + 1])};
  return fates;
}

template <typename T>
std::string_view number_bytes(const std::vector<T>& numbers) {
  return {reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(T)};
}

template <typename T>
std::vector<T> unpack_numbers(const std::string& packed) {
  std::vector<T> numbers(packed.size() / sizeof(T));
  if (!numbers.empty()) std::memcpy(numbers.data(), packed.data(), numbers.size() * sizeof(T));
  return numbers;
}

// Columns complete, fates, reported, payload_sha256, pixel_crcs, facts from `column` on.
WindowFates window_of(std::uint64_t window, const Statement& row, int column) {
  return {.window = window,
          .complete = row.integer(column) != 0,
          .fates = unpack_fates(row.bytes(column + 1)),
          .reported = row.integer(column + 2) != 0,
          .payload_sha256 = row.bytes(column + 3),
          .pixel_crcs = unpack_numbers<std::uint32_t>(row.bytes(column + 4)),
          .facts = row.bytes(column + 5)};
}

}  // namespace

// A first report is joined with nothing, so that what it says of itself follows the same rules.
Status Catalogue::merge_window(const StreamKey& stream, const WindowFates& fates) {
  FF_ASSIGN(const auto known, window({stream, fates.window}));
  const WindowFates merged =
      merge_fates(known.value_or(WindowFates{.window = fates.window, .fates = {}}), fates);
  return Statement(database_,
                   "INSERT OR REPLACE INTO windows (uid, stream, window, complete, fates, reported, "
                   "payload_sha256, pixel_crcs, facts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
      .bind_text(stream.series.to_string())
      .bind(stream.stream)
      .bind(static_cast<std::int64_t>(fates.window))
      .bind(merged.complete ? 1 : 0)
      .bind_blob(pack_fates(merged.fates))
      .bind(merged.reported ? 1 : 0)
      .bind_blob(merged.payload_sha256)
      .bind_blob(number_bytes(merged.pixel_crcs))
      .bind_blob(merged.facts)
      .run();
}

Status Catalogue::insert_file(const FileRow& file) {
  return Statement(database_,
                   "INSERT OR REPLACE INTO files (name, uid, stream, partition, segment, epoch, bytes, "
                   "frame_numbers)"
                   " VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
      .bind_text(file.name)
      .bind_text(file.stream.series.to_string())
      .bind(file.stream.stream)
      .bind(file.partition)
      .bind(file.segment)
      .bind(static_cast<std::int64_t>(file.epoch))
      .bind(static_cast<std::int64_t>(file.bytes))
      .bind_blob(number_bytes(file.frame_numbers))
      .run();
}

Status Catalogue::add_windows(const StreamKey& stream, const std::vector<WindowFates>& windows,
                              const FileRow* file, const std::vector<LedgerNote>& notes) {
  return at_once([&]() -> Status {
    if (file != nullptr) FF_TRY(insert_file(*file));
    for (const WindowFates& fates : windows) FF_TRY(merge_window(stream, fates));
    return insert_notes(notes);
  });
}

Result<std::vector<FileRow>> Catalogue::files(const Uuid& series) const {
  Statement rows(database_,
                 "SELECT name, stream, partition, segment, epoch, bytes, frame_numbers FROM files"
                 " WHERE uid = ? ORDER BY stream, epoch, partition, segment");
  rows.bind_text(series.to_string());
  std::vector<FileRow> found;
  while (true) {
    FF_ASSIGN(const bool row, rows.step());
    if (!row) return found;
    found.push_back({.name = rows.bytes(0),
                     .stream = {series, static_cast<std::uint32_t>(rows.integer(1))},
                     .partition = static_cast<std::int32_t>(rows.integer(2)),
                     .segment = static_cast<std::uint32_t>(rows.integer(3)),
                     .epoch = static_cast<std::uint64_t>(rows.integer(4)),
                     .bytes = static_cast<std::uint64_t>(rows.integer(5)),
                     .frame_numbers = unpack_numbers<std::int64_t>(rows.bytes(6))});
  }
}

Status Catalogue::for_each_window(const StreamKey& stream,
                                  const std::function<Status(const WindowFates&)>& visit) const {
  Statement rows(database_,
                 "SELECT window, complete, fates, reported, payload_sha256, pixel_crcs, facts FROM windows"
                 " WHERE uid = ? AND stream = ? ORDER BY window");
  rows.bind_text(stream.series.to_string()).bind(stream.stream);
  while (true) {
    FF_ASSIGN(const bool row, rows.step());
    if (!row) return {};
    FF_TRY(visit(window_of(static_cast<std::uint64_t>(rows.integer(0)), rows, 1)));
  }
}

Result<std::vector<WindowFates>> Catalogue::windows(const StreamKey& stream) const {
  std::vector<WindowFates> found;
  FF_TRY(for_each_window(stream, [&](const WindowFates& window) {
    found.push_back(window);
    return Status{};
  }));
  return found;
}

Result<std::optional<WindowFates>> Catalogue::window(const WindowKey& key) const {
  Statement rows(database_,
                 "SELECT complete, fates, reported, payload_sha256, pixel_crcs, facts FROM windows"
                 " WHERE uid = ? AND stream = ? AND window = ?");
  rows.bind_text(key.stream.series.to_string())
      .bind(key.stream.stream)
      .bind(static_cast<std::int64_t>(key.window));
  FF_ASSIGN(const bool row, rows.step());
  if (!row) return std::optional<WindowFates>();
  return std::optional(window_of(key.window, rows, 0));
}

Result<bool> Catalogue::has_file(const std::string& name) const {
  Statement rows(database_, "SELECT 1 FROM files WHERE name = ?");
  rows.bind_text(name);
  return rows.step();
}

Result<std::uint64_t> Catalogue::window_count(const StreamKey& stream) const {
  Statement rows(database_, "SELECT count(*) FROM windows WHERE uid = ? AND stream = ?");
  rows.bind_text(stream.series.to_string()).bind(stream.stream);
  FF_ASSIGN(const bool row, rows.step());
  return static_cast<std::uint64_t>(row ? rows.integer(0) : 0);
}

}  // namespace ff::sink
