// SPDX-License-Identifier: Apache-2.0
//
// Cell runs: which buckets of cells, and which keys of their values, share a context; and what that costs.
//
// Data path  window > [sample] > plan
// Meaning    no part of the format: any legal tables decode.
// Not here   the sample (plan_cell_sample.hpp), the other choices of the model cells (plan_cells.hpp).
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/format/frequencies.hpp"
#include "kernels/reference/log2_fixed.hpp"
#include "kernels/reference/plan_cell_sample.hpp"

namespace ff::kernels::reference {

/// Neighbouring buckets or keys that share a context.
struct Run {
  Histogram histogram{};
  std::uint8_t width = 0;
  FixedBits cost = 0;
};

/// Value keys in runs, the first one from key 0.
[[nodiscard]] std::vector<Run> value_runs(const CellSample& sample);
/// Buckets that occur in the records, each with those behind it that do not; the first one begins at 0.
[[nodiscard]] std::vector<Run> cell_runs(const SampleRecords& records, const CellSample& sample);
/// About what the cells would cost: buckets in runs of a hundred, and what chance seems to save charged back.
[[nodiscard]] FixedBits quick_cost(const SampleRecords& records);
/// Cells and values of a sample under given tables, in bits of the whole group.
[[nodiscard]] std::uint64_t coded_bits(const SampleRecords& records, const CellSample& sample,
                                       const ContextTables& tables);

}  // namespace ff::kernels::reference
