// SPDX-License-Identifier: Apache-2.0
//
// RecordTicket: proof that a record was read and is owed to the log; given back once its content is durable.
//
// Data path  log > [ticket taken] > decode > store > [ticket given back] > commit
// Not here   the book-keeping (offset_ledger.hpp).
#pragma once

#include <cstdint>
#include <vector>

#include "common/transport/log.hpp"

namespace ff::sink {

struct RecordTicket {
  transport::Topic topic = transport::Topic::blocks;
  std::int32_t partition = 0;
  std::int64_t first_offset = 0;  ///< of the record's first chunk
  std::uint64_t generation = 0;   ///< of the partition's assignment; an older one is worth nothing
};

using RecordTickets = std::vector<RecordTicket>;

}  // namespace ff::sink
