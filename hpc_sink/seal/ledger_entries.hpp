// SPDX-License-Identifier: Apache-2.0
//
// Ledger entries: what a sink has made durable, as records for the ledger topic, and back into a catalogue.
//
// Data path  catalogue of sink A > [FileStored, WindowsSettled] > ledger topic > [joined] > catalogue of the sealer
// Order and repeats change nothing: entries are joined by merge_fates. Every statement has a key of its own, so that
// the topic folds none away before it is sealed: <series_uid>/<destination>/<sink>/<file, or windows and time>.
// Not here   the notes on their way into the topic (ledger_publisher.hpp), who joins them (sealing_desk.hpp).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "common/wire/control_record.hpp"
#include "hpc_sink/store/catalogue.hpp"

namespace ff::sink {

/// `settled`: nothing more of the window will come.
[[nodiscard]] foreframe::wire::WindowEntry entry_of(const WindowFates& window, bool settled);
/// Errors: malformed (states and CRCs contradict each other, a fate that no sink gives).
[[nodiscard]] Result<WindowFates> fates_of_entry(const foreframe::wire::WindowEntry& entry);

/// Who says it, for whom.
struct LedgerSpeaker {
  std::string sink, destination;
  std::uint64_t note_bytes_max = 256u << 10;  ///< above it the windows go on in the next record
};
/// Of which stream.
struct LedgerSubject {
  StreamKey key;
  std::string detector;
  std::uint32_t window_frames = 0;
  foreframe::wire::StreamGeometry geometry{};
};
/// True when nothing more of the window will come.
using IsSettled = std::function<bool(const WindowFates&)>;

/// `windows`: those whose frames the file holds. `now_utc_ns` makes the keys unlike those of any other statement.
/// Errors: too_large.
[[nodiscard]] Result<std::vector<LedgerNote>> file_notes(const LedgerSpeaker& speaker,
                                                         const LedgerSubject& subject, const FileRow& file,
                                                         const std::vector<WindowFates>& windows,
                                                         const IsSettled& settled, std::int64_t now_utc_ns);
/// No windows: says that the sink has met the stream.
[[nodiscard]] Result<std::vector<LedgerNote>> window_notes(const LedgerSpeaker& speaker,
                                                           const LedgerSubject& subject,
                                                           const std::vector<WindowFates>& windows,
                                                           const IsSettled& settled, std::int64_t now_utc_ns);
/// It is of no detector: "" chooses its partition. It is never deleted.
[[nodiscard]] Result<LedgerNote> gap_note(const LedgerSpeaker& speaker, const LogGapRow& gap);

/// What a record says of one stream.
struct LedgerStatement {
  LedgerSubject subject;
  std::string destination;
  std::optional<FileRow> file;
  std::vector<WindowFates> windows;
  std::vector<std::uint64_t> settled;  ///< windows of which nothing more will come
};
/// Nothing for seals and gaps. The record has been parsed, so it is checked. Errors: malformed.
[[nodiscard]] Result<std::optional<LedgerStatement>> statement_of(const wire::LedgerRecord& record);
/// Joins the statement into the catalogue. True: it said something new. Errors: those of the catalogue.
[[nodiscard]] Result<bool> join_statement(Catalogue& catalogue, const LedgerStatement& statement,
                                          std::int64_t now_utc_ns);

}  // namespace ff::sink
