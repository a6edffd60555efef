// SPDX-License-Identifier: Apache-2.0
//
// WindowFacts: where a window's frames came from (agent, groups, device, profile, bound, offsets), gathered from
// its records' headers; the catalogue keeps it as bytes for `foreframe why`.
//
// Data path  consume > [decode: one note per record] > catalogue
// Memory     a few dozen bytes a group; failures and times of frames that are in no file only where there are some.
#pragma once

#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "common/wire/envelope.hpp"
#include "common/wire/ledger.pb.h"
#include "hpc_sink/consume/record_ticket.hpp"
#include "hpc_sink/decode/finished_window.hpp"

namespace ff::sink {

using foreframe::wire::WindowFacts;

inline constexpr int kFailuresKeptMax = 8;  ///< of one window; the metrics count them all

/// Of a window of which nothing is known.
[[nodiscard]] WindowFacts no_facts();
/// Notes a record of the window that was taken.
void note_record(WindowFacts& facts, const wire::EnvelopeHeader& header, std::size_t payload_bytes,
                 const RecordTicket& ticket);
/// Notes that the window's own record came, also when the same is here already.
void note_sent(WindowFacts& facts);
/// Notes a block that could not be decoded.
void note_failure(WindowFacts& facts, const std::string& block, const Error& why);
/// The same, of facts that are serialised already.
void note_failure(std::string& facts, const std::string& block, const Error& why);
/// The window will not be stored, and why: it keeps no frames, those that were sent are lost (store).
void refuse_window(FinishedWindow& window, const Error& why);
/// Notes the times of frames that `fates` does not call stored.
void note_not_stored(WindowFacts& facts, const std::vector<FrameFate>& fates,
                     const std::vector<FrameTimes>& times);

/// Two serialised WindowFacts of one window as one: groups and agents of both, the widest range of offsets, the rest
/// from the newer window record. What can't be parsed counts as empty.
[[nodiscard]] std::string merge_facts(const std::string& known, const std::string& later);
/// True when `a`'s window record has the higher epoch.
[[nodiscard]] bool newer_record(const std::string& a, const std::string& b);

}  // namespace ff::sink
