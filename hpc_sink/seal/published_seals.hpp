// SPDX-License-Identifier: Apache-2.0
//
// Published seals: a seal's record in the ledger topic, written and read.
//
// Data path  sealer > [ledger topic, key series_uid/seal] > whoever compares a store with what was said in public
// Each seal has a key of its own, <series_uid>/<destination>/seal/<number>: the topic keeps them all, so that whoever
// seals next for a detector finds its whole chain there. (Until 0.1 the key was <series_uid>/seal.)
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/payload.hpp"
#include "common/base/result.hpp"
#include "common/base/uuid.hpp"
#include "common/transport/log.hpp"
#include "hpc_sink/seal/seal_record.hpp"

namespace ff::sink {

[[nodiscard]] std::string seal_record_key(const Uuid& series, const std::string& destination,
                                          std::uint32_t number);
/// Errors: too_large.
[[nodiscard]] Result<Payload> seal_record_value(const Seal& seal);

/// Reads the topic to its present end: of each series and destination its latest seal, by series. Other records are passed over.
/// Errors: those of the reader; timed_out.
[[nodiscard]] Result<std::vector<Seal>> read_published_seals(transport::LogReader& reader);

}  // namespace ff::sink
