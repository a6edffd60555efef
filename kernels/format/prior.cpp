// SPDX-License-Identifier: Apache-2.0
//
// Prior: grid values as differences from their neighbours' median, in Exp-Golomb code.
#include "kernels/format/prior.hpp"

#include <algorithm>
#include <array>

namespace ff::kernels {
namespace {

constexpr std::uint32_t kStateMax = 32767;
constexpr unsigned kLog2BlockMin = 2, kLog2BlockMax = 6;

// Median edge detector of JPEG-LS (ITU-T T.87 A.4): follows edges, averages slopes.
std::int32_t median(std::int32_t left, std::int32_t up, std::int32_t corner) noexcept {
  return std::clamp(left + up - corner, std::min(left, up), std::max(left, up));
}

// What point `col` of a row is expected to be; `above` is null in the first row.
std::int32_t predict_grid(const std::uint16_t* row, const std::uint16_t* above, std::size_t col) noexcept {
  if (col == 0) return above == nullptr ? 0 : above[0];
  return above == nullptr ? row[col - 1] : median(row[col - 1], above[col], above[col - 1]);
}

std::size_t grid_size(const FrameShape& tile, unsigned log2_block) noexcept {
  return std::size_t{grid_points(tile.rows, log2_block)} * grid_points(tile.cols, log2_block);
}

std::vector<std::uint32_t> differences(std::span<const std::uint16_t> grid, std::size_t cols) {
  std::vector<std::uint32_t> result(grid.size());
  for (std::size_t first = 0; first < grid.size(); first += cols) {
    const std::uint16_t *row = &grid[first], *above = first == 0 ? nullptr : row - cols;
    result[first] = zigzag(row[0] - predict_grid(row, above, 0));
    for (std::size_t col = 1; col < cols; ++col)
      result[first + col] = zigzag(row[col] - predict_grid(row, above, col));
  }
  return result;
}

std::size_t plane_bits(std::span<const std::uint32_t> numbers, unsigned order) {
  std::size_t bits = 0;
  for (const std::uint32_t number : numbers) bits += golomb_bits(number, order);
  return bits;
}

struct PlaneCode {
  std::vector<std::uint32_t> numbers;
  unsigned order = 0;
  std::size_t bits = 0;
};

PlaneCode code_plane(std::span<const std::uint16_t> plane, unsigned quantum, std::size_t cols) {
  std::vector<std::uint16_t> grid(plane.size());
  std::ranges::transform(plane, grid.begin(),
                         [&](std::uint16_t v) { return static_cast<std::uint16_t>(v >> quantum); });
  PlaneCode code{differences(grid, cols), 0, 0};
  code.bits = plane_bits(code.numbers, 0);
  for (unsigned order = 1; order < 12; ++order) {
    const std::size_t bits = plane_bits(code.numbers, order);
    if (bits >= code.bits) break;
    code.order = order, code.bits = bits;
  }
  return code;
}

void write_plane(std::span<const std::uint16_t> plane, unsigned quantum, std::size_t cols, BitWriter& out) {
  const PlaneCode code = code_plane(plane, quantum, cols);
  out.bits(code.order, 4);
  for (const std::uint32_t number : code.numbers) out.golomb(number, code.order);
}

Result<std::vector<std::uint16_t>> parse_plane(BitReader& in, unsigned quantum, std::size_t points,
                                               std::size_t cols) {
  const auto order = static_cast<unsigned>(in.bits(4));
  std::vector<std::uint16_t> grid(points);
  for (std::size_t i = 0, col = 0; i < points; ++i, col = col + 1 == cols ? 0 : col + 1) {
    const std::uint32_t difference = in.golomb(order);
    if (!in.ok() || difference > 2 * kStateMax + 1)
      return fail(Errc::malformed, "block: the prior ends early");
    const std::uint16_t* row = &grid[i - col];
    const std::uint16_t* above = i < cols ? nullptr : row - cols;
    const std::int32_t value = predict_grid(row, above, col) + unzigzag(difference);
    if (value < 0 || value > static_cast<std::int32_t>(kStateMax >> quantum)) {
      return fail(Errc::malformed, "block: a prior value lies outside 15 bits");
    }
    grid[i] = static_cast<std::uint16_t>(value);
  }
  for (auto& value : grid) value = static_cast<std::uint16_t>(value << quantum);
  return grid;
}

// The two grid points around a pixel and the weight of the second, in 1 / (2 << log2_block).
struct Between {
  std::uint32_t first = 0, second = 0, weight = 0;
};

Between between(std::uint32_t pixel, std::uint32_t points, unsigned log2_block) noexcept {
  const std::uint32_t block = 1u << log2_block;
  const std::uint32_t at = 2 * pixel + 1 + block;  // grid point g stands at g * 2 * block + 2 * block
  const std::uint32_t cell = at >> (log2_block + 1);
  return {std::min(cell == 0 ? 0u : cell - 1, points - 1), std::min(cell, points - 1), at & (2 * block - 1)};
}

// Pixels between two grid points are `block` steps of one size: a loop whose length the compiler knows.
template <unsigned kLog2Block>
void expand_row(const std::uint32_t* line, std::uint32_t points, std::uint32_t cols, std::uint16_t* state) {
  constexpr std::int32_t kBlock = 1 << kLog2Block, kWhole = 2 * kBlock;
  constexpr unsigned kShift = 2 * (kLog2Block + 1);
  const auto width = static_cast<std::int32_t>(cols);
  for (std::int32_t cell = 0, start = -kBlock / 2; start < width; ++cell, start += kBlock) {
    const std::uint32_t second = std::min(static_cast<std::uint32_t>(cell), points - 1);
    const std::uint32_t first = std::min(static_cast<std::uint32_t>(std::max(cell - 1, 0)), points - 1);
    const std::int32_t slope =
        static_cast<std::int32_t>(line[second]) - static_cast<std::int32_t>(line[first]);
    const std::int32_t from = static_cast<std::int32_t>(line[first]) * kWhole + slope + (1 << (kShift - 1));
    const auto value = [&](std::int32_t i) {
      return static_cast<std::uint16_t>((from + 2 * slope * i) >> kShift);
    };
    if (start >= 0 && start + kBlock <= width) {
      for (std::int32_t i = 0; i < kBlock; ++i) state[start + i] = value(i);
    } else {
      for (std::int32_t i = std::max(-start, 0); i < std::min(kBlock, width - start); ++i)
        state[start + i] = value(i);
    }
  }
}

using ExpandRow = void (*)(const std::uint32_t*, std::uint32_t, std::uint32_t, std::uint16_t*);
constexpr std::array<ExpandRow, 5> kExpandRow{expand_row<2>, expand_row<3>, expand_row<4>, expand_row<5>,
                                              expand_row<6>};

}  // namespace

void expand_prior(std::span<const std::uint16_t> grid, unsigned log2_block, const FrameShape& tile,
                  std::uint32_t first_row, std::uint32_t last_row, std::uint16_t* state) {
  const std::uint32_t grid_rows = grid_points(tile.rows, log2_block),
                      grid_cols = grid_points(tile.cols, log2_block);
  const std::uint32_t whole = 2u << log2_block;
  std::vector<std::uint32_t> line(grid_cols);
  for (std::uint32_t row = first_row; row < last_row; ++row, state += tile.cols) {
    const Between v = between(row, grid_rows, log2_block);
    const std::uint16_t* upper = grid.data() + std::size_t{v.first} * grid_cols;
    const std::uint16_t* lower = grid.data() + std::size_t{v.second} * grid_cols;
    for (std::uint32_t g = 0; g < grid_cols; ++g)
      line[g] = upper[g] * (whole - v.weight) + lower[g] * v.weight;
    kExpandRow[log2_block - kLog2BlockMin](line.data(), grid_cols, tile.cols, state);
  }
}

std::size_t prior_bits(const Prior& prior, const FrameShape& tile) {
  const std::size_t cols = grid_points(tile.cols, prior.log2_block);
  std::size_t bits = 3 + 4 + 4 + 4 + code_plane(prior.mean, prior.quantum, cols).bits;
  if (!prior.scale.empty()) bits += 4 + code_plane(prior.scale, prior.quantum, cols).bits;
  return bits;
}

void write_prior(const Prior& prior, const FrameShape& tile, BitWriter& out) {
  out.bits(prior.log2_block, 3);
  out.bits(prior.frames_weight, 4);
  out.bits(prior.quantum, 4);
  const std::size_t cols = grid_points(tile.cols, prior.log2_block);
  write_plane(prior.mean, prior.quantum, cols, out);
  if (!prior.scale.empty()) write_plane(prior.scale, prior.quantum, cols, out);
}

Result<Prior> parse_prior(BitReader& in, const FrameShape& tile, bool has_scale) {
  Prior prior;
  prior.log2_block = static_cast<std::uint8_t>(in.bits(3));
  prior.frames_weight = static_cast<std::uint8_t>(in.bits(4));
  prior.quantum = static_cast<std::uint8_t>(in.bits(4));
  if (!in.ok() || prior.log2_block < kLog2BlockMin || prior.log2_block > kLog2BlockMax ||
      prior.quantum > 14) {
    return fail(Errc::malformed, "block: the prior's grid is not possible");
  }
  const std::size_t points = grid_size(tile, prior.log2_block);
  const std::size_t cols = grid_points(tile.cols, prior.log2_block);
  FF_ASSIGN(prior.mean, parse_plane(in, prior.quantum, points, cols));
  if (has_scale) {
    FF_ASSIGN(prior.scale, parse_plane(in, prior.quantum, points, cols));
  }
  return prior;
}

}  // namespace ff::kernels
