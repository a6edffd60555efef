// SPDX-License-Identifier: Apache-2.0
//
// Tables: from sampled pixels to context classes and frequencies.
//
// Data path  sample > [classes, frequencies] > plan
// Meaning    no part of the format: any legal tables decode. The choice is judged by bits, header included.
// Not here   what tables look like in a block (kernels/format/context_tables.hpp).
#pragma once

#include "kernels/format/context_tables.hpp"
#include "kernels/reference/log2_fixed.hpp"
#include "kernels/reference/plan_sample.hpp"

namespace ff::kernels::reference {

/// A quick guess of what the records would cost, without building tables: the planner's inner loop.
[[nodiscard]] FixedBits estimate_cost(const SampleRecords& records, const PredictorSetup& setup);

struct BuiltTables {
  ContextTables tables;
  std::uint64_t bits = 0;  ///< about what all pixels will cost, tables included
  std::uint64_t sample_bits =
      0;  ///< the same if they were as the sample, which the tables fit best; not if counted
};

/// Builds classes and frequencies. `ratio_256`: pixels coded per sampled pixel, x 256; the rarer the sample,
/// the less a context's header weighs. `counted`: the encoder will count the frequencies itself; those returned are
/// the sample's.
[[nodiscard]] BuiltTables build_tables(const SampleRecords& records, const PredictorSetup& setup,
                                       std::uint64_t ratio_256, bool counted = false);

/// What the records cost under given tables: tokens, raw bits and escapes.
[[nodiscard]] FixedBits table_cost(const SampleRecords& records, const PredictorSetup& setup,
                                   const ContextTables& tables);

/// Streams for a group of so many bits: each costs 128 bytes, four decode faster than one. Never more than about 0.3 %
/// for that.
[[nodiscard]] std::uint8_t streams_for(std::uint64_t bits) noexcept;

}  // namespace ff::kernels::reference
