// SPDX-License-Identifier: Apache-2.0
//
// Series leaves: every window of a closed series as it is sealed, in the order of the leaves.
//
// Data path  catalogue, ledger > [settled windows] > leaf bytes > root, master file
// A window that no record speaks of is here too, with its frames lost: silence is sealed as silence.
#pragma once

#include <functional>

#include "common/wire/ledger.pb.h"
#include "hpc_sink/store/ledger.hpp"

namespace ff::sink {

/// Order: stream, then window. Errors: those of the catalogue and of `visit`. Memory: one window.
[[nodiscard]] Status for_each_leaf(
    const Catalogue& catalogue, const SeriesLedger& ledger,
    const std::function<Status(const StreamLedger&, const WindowFates&)>& visit);

/// Adds one window's frames to the counts of its stream; frames beyond `expected` don't count.
void count_window(const WindowFates& window, foreframe::wire::SealBody::StreamCounts& counts);

}  // namespace ff::sink
