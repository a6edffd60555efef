// SPDX-License-Identifier: Apache-2.0
//
// Joining: neighbouring buckets share a context while that costs fewer bits than a table of their own.
#include "kernels/reference/plan_joining.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

namespace ff::kernels::reference {
namespace {

// Events of one context, for their entropy and its price.
struct Tally {
  std::uint64_t total = 0, inside = 0, symbols = 0, rare = 0;

  void add(std::uint32_t n) noexcept {
    total += n;
    inside += std::uint64_t{n} * log2_fixed(n);
    symbols += n != 0 ? 1 : 0;
    rare += n == 1 ? 1 : 0;
  }
  [[nodiscard]] FixedBits cost(const ContextPrice& price) const noexcept {
    const std::uint64_t whole = total * log2_fixed(static_cast<std::uint32_t>(total));
    return (whole > inside ? whole - inside : 0) + price.context + symbols * price.symbol + rare * price.rare;
  }
};

FixedBits context_cost(const TokenCounts& part, const ContextPrice& price) noexcept {
  Tally tally;
  for (std::size_t s = part.first; s < part.end; ++s) tally.add(part.counts[s]);
  tally.add(part.counts[kEscape]);
  return tally.cost(price);
}

// Of two histograms as one.
FixedBits context_cost(const TokenCounts& a, const TokenCounts& b, const ContextPrice& price) noexcept {
  Tally tally;
  for (std::size_t s = std::min(a.first, b.first); s < std::max(a.end, b.end); ++s)
    tally.add(a.counts[s] + b.counts[s]);
  tally.add(a.counts[kEscape] + b.counts[kEscape]);
  return tally.cost(price);
}

constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

bool same_form(const Cell& a, const Cell& b) noexcept {
  return a.form.residual == b.form.residual && a.form.raw_bits == b.form.raw_bits && a.division == b.division;
}

std::size_t context_count(const std::vector<Cell>& cells) {
  return std::accumulate(cells.begin(), cells.end(), std::size_t{0},
                         [](std::size_t sum, const Cell& cell) { return sum + cell.form.contexts(); });
}

// The cell that loses least, for each context it gives up, when it is no longer split.
struct Unsplit {
  std::size_t cell = 0;
  std::int64_t loss = kNever;
};
Unsplit cheapest_unsplit(const std::vector<Cell>& cells) {
  Unsplit best;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const auto loss = static_cast<std::int64_t>(cells[i].undivided - cells[i].cost) / 3;
    if (cells[i].form.split && loss < best.loss) best = {i, loss};
  }
  return best;
}

}  // namespace

void Joining::appraise_all() {
  for (Cell& cell : cells_) appraise(cell);
}

void Joining::run() {
  loss_.assign(cells_.size(), kNever);
  for (std::size_t i = 0; i + 1 < cells_.size(); ++i) loss_[i] = join_loss(i);
  while (step()) {
  }
}

void Joining::appraise(Cell& cell) const {
  cell.form.split = false;
  cell.cost = cell.undivided = context_cost(wholes_[cell.whole], price_);
  if (cell.division == Division::none || cell.division_given_up) return;
  FixedBits apart = 0;
  for (std::size_t p = 0; p < 4; ++p) apart += context_cost(parts_[cell.first_part + p], price_);
  if (apart < cell.cost) cell.form.split = true, cell.cost = apart;
}

// Bits lost by joining a cell with the one behind it; "never" where their forms differ.
std::int64_t Joining::join_loss(std::size_t i) const {
  const Cell &a = cells_[i], &b = cells_[i + 1];
  if (!same_form(a, b)) return kNever;
  FixedBits cost = context_cost(wholes_[a.whole], wholes_[b.whole], price_);
  if (a.division != Division::none && !a.division_given_up && !b.division_given_up) {
    FixedBits apart = 0;
    for (std::size_t p = 0; p < 4; ++p)
      apart += context_cost(parts_[a.first_part + p], parts_[b.first_part + p], price_);
    cost = std::min(cost, apart);
  }
  return static_cast<std::int64_t>(cost) - static_cast<std::int64_t>(a.cost + b.cost);
}

void Joining::join(std::size_t i) {
  Cell& a = cells_[i];
  const Cell& b = cells_[i + 1];
  a.form.buckets = static_cast<std::uint8_t>(a.form.buckets + b.form.buckets);
  a.count += b.count;
  a.distance += b.distance;
  a.division_given_up = a.division_given_up || b.division_given_up;
  for (std::size_t p = 0; p < a.part_count(); ++p) parts_[a.first_part + p].add(parts_[b.first_part + p]);
  if (a.part_count() == 1) {
    wholes_[a.whole] = parts_[a.first_part];  // the same counts
  } else {
    wholes_[a.whole].add(wholes_[b.whole]);
  }
  const auto next = static_cast<std::ptrdiff_t>(i + 1);
  cells_.erase(cells_.begin() + next);
  loss_.erase(loss_.begin() + next);
  appraise(a);
  renew(i);
}

void Joining::give_up_division(std::size_t i) {
  Cell& cell = cells_[i];
  cell.form.split = false;
  cell.division_given_up = true;
  cell.cost = cell.undivided;
  renew(i);
}

// What joining a cell to its neighbours would lose, after it has changed.
void Joining::renew(std::size_t i) {
  if (i > 0) loss_[i - 1] = join_loss(i - 1);
  loss_[i] = i + 1 < cells_.size() ? join_loss(i) : kNever;
}

std::int64_t Joining::loss_per_context(std::size_t i) const noexcept {
  const bool split = cells_[i].form.split && cells_[i + 1].form.split;
  return loss_[i] > 0 && loss_[i] != kNever && split ? loss_[i] / 4 : loss_[i];
}

bool Joining::step() {
  const bool too_many = context_count(cells_) > kContextsMax;
  std::size_t best = 0;
  std::int64_t least = kNever;
  for (std::size_t i = 0; i + 1 < cells_.size(); ++i) {
    const std::int64_t loss = loss_per_context(i);
    if (loss < least) best = i, least = loss;
  }
  const Unsplit unsplit = too_many ? cheapest_unsplit(cells_) : Unsplit{};
  if (unsplit.loss < least) return give_up_division(unsplit.cell), true;
  if (least == kNever || (least >= 0 && !too_many)) return false;
  return join(best), true;
}

}  // namespace ff::kernels::reference
