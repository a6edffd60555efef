// SPDX-License-Identifier: Apache-2.0
//
// Ledger entries: what a sink has made durable, as records for the ledger topic, and back into a catalogue.
//
// Data path  catalogue of sink A > [FileStored, WindowsSettled] > ledger topic > [joined] > catalogue of the sealer
// Order and repeats change nothing: entries are joined by merge_fates.
#pragma once

#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "common/wire/control_record.hpp"
#include "hpc_sink/store/catalogue.hpp"

namespace ff::sink {

[[nodiscard]] foreframe::wire::WindowEntry entry_of(const WindowFates& window);
/// Errors: malformed (states and CRCs contradict each other, a fate that no sink gives).
[[nodiscard]] Result<WindowFates> fates_of_entry(const foreframe::wire::WindowEntry& entry);

/// `windows`: those whose frames the file holds.
[[nodiscard]] wire::LedgerRecord file_record(const FileRow& file, const std::string& detector,
                                             const std::string& sink,
                                             const std::vector<WindowFates>& windows);
[[nodiscard]] wire::LedgerRecord windows_record(const StreamKey& stream, const std::string& detector,
                                                const std::string& sink,
                                                const std::vector<WindowFates>& windows);

/// Joins the record into the catalogue; seals and gaps change nothing. The record has been parsed, so it is checked.
/// Errors: malformed, those of the catalogue.
[[nodiscard]] Status join_record(Catalogue& catalogue, const wire::LedgerRecord& record);

}  // namespace ff::sink
