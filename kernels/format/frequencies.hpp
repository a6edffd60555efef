// SPDX-License-Identifier: Apache-2.0
//
// Frequencies from counts: five significant bits each, as block.md §5.6 can hold them.
//
// Data path  context > token > [frequencies] > lanes
// Meaning    no part of the format: any table is legal. Encoders of all devices share this one, so that equal
//            counts give equal bytes.
// Not here   which tokens to count (kernels/reference/plan_tables.hpp, EncodePlan::count_frequencies).
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "kernels/format/context_tables.hpp"

namespace ff::kernels {

using Histogram = std::array<std::uint32_t, kSymbols>;

/// At least 1 for what occurs and for the escape; the most frequent symbol takes the rest of 1 << bits.
/// An empty histogram gives a table in which nearly all is token 128.
[[nodiscard]] Frequencies frequencies_of(const Histogram& counts, unsigned bits) noexcept;

/// What a cell's context counts when symbols too rare for a share of their own are coded as escapes: the
/// smallest share costs all others more than the few escapes cost.
[[nodiscard]] Histogram with_rare_escaped(const Histogram& counts, unsigned bits) noexcept;

/// Tables with the classes and value contexts of `classes`, and one histogram a context.
[[nodiscard]] ContextTables counted_tables(const ContextTables& classes, std::span<const Histogram> counts);

}  // namespace ff::kernels
