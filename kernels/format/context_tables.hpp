// SPDX-License-Identifier: Apache-2.0
//
// Contexts and their frequency tables: which symbol is how likely, given what the predictor expects.
//
//     key (rate or scale, 15 bits) -> bucket (0 ... 223) -> class -> context (0 ... 63) -> frequencies
//
// Data path  predict > [context > token] > lanes
// Meaning    docs/formats/block.md §5.6. A class is a run of buckets; a split class has four contexts, one
//            by the prediction's fraction or, with phases and source rate, by the ratio of scale to rate. Everything here is transmitted.
// Not here   how classes and frequencies are chosen (kernels/reference/plan_tables.hpp).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "common/base/result.hpp"
#include "kernels/format/bit_code.hpp"

namespace ff::kernels {

inline constexpr unsigned kProbabilityBitsMin = 11;
inline constexpr unsigned kProbabilityBitsMax =
    12;  ///< sparse and static data, where the likeliest symbol is nearly sure
inline constexpr std::size_t kBuckets = 224;
inline constexpr std::size_t kContextsMax = 64;
inline constexpr std::size_t kSymbols = 256;
inline constexpr std::uint8_t kEscape = 255;
inline constexpr unsigned kRawBitsMax = 15;

/// Bucket of a key: fine where keys are small, coarser above; a bucket is never wider than an eighth of its
/// keys, except below 32. 0 <= key <= 32767.
[[nodiscard]] constexpr std::uint32_t bucket_of(std::uint32_t key) noexcept {
  if (key < 256) return key >> 2;
  if (key < 2048) return 64 + (key >> 5);
  return key < 8192 ? 128 + (key >> 7) : 192 + (key >> 10);
}

/// Smallest key of a bucket, and of the one after it.
[[nodiscard]] constexpr std::uint32_t bucket_floor(std::uint32_t bucket) noexcept {
  if (bucket < 64) return bucket << 2;
  if (bucket < 128) return (bucket - 64) << 5;
  return bucket < 192 ? (bucket - 128) << 7 : (bucket - 192) << 10;
}

/// Buckets [64, 72), [128, 144) and [192, 200) are never reached: bucket_of jumps over them.
struct ContextClass {
  std::uint8_t buckets = 1;  ///< how many buckets the class spans
  bool residual = false;     ///< token is the distance from the prediction; else the level itself
  bool split = false;  ///< four contexts: by the prediction's fraction, or by the ratio (block.md §6.3)
  std::uint8_t raw_bits = 0;  ///< low bits of the level sent as they are (0 ... 15; 0 unless residual)

  [[nodiscard]] std::size_t contexts() const noexcept { return split ? 4 : 1; }
  friend bool operator==(const ContextClass&, const ContextClass&) = default;
};

using Frequencies = std::array<std::uint16_t, kSymbols>;

struct ContextTables {
  std::vector<ContextClass> classes;        ///< in bucket order; their spans sum to kBuckets
  std::uint8_t bits = kProbabilityBitsMin;  ///< frequencies sum to 1 << bits: 11 or 12
  std::vector<Frequencies> frequencies;     ///< per context; each f < 1 << bits
  /// Model cells: how many keys each value context spans (their sum is kValueKeys). These contexts come behind
  /// those of the classes; empty with the other models.
  std::vector<std::uint8_t> value_keys;

  [[nodiscard]] std::uint32_t scale() const noexcept { return 1u << bits; }
  /// Contexts of the classes: the first ones.
  [[nodiscard]] std::size_t pixel_contexts() const noexcept {
    std::size_t contexts = 0;
    for (const ContextClass& c : classes) contexts += c.contexts();
    return contexts;
  }

  friend bool operator==(const ContextTables&, const ContextTables&) = default;
};

/// What a pixel's context says, looked up by bucket.
struct BucketEntry {
  std::uint8_t first_context = 0;
  std::uint8_t raw_bits = 0;
  bool residual = false;
  bool split = false;
};
[[nodiscard]] std::array<BucketEntry, kBuckets> bucket_entries(const ContextTables& tables) noexcept;

/// Frequencies a file can hold: five significant bits.
[[nodiscard]] constexpr std::uint32_t frequency_of_level(std::uint32_t level) noexcept {
  return level < 32 ? level : (16 + level % 16) << (level / 16 - 1);
}
[[nodiscard]] constexpr std::uint32_t level_of_frequency(std::uint32_t f) noexcept {
  if (f < 32) return f;
  const auto shift = static_cast<std::uint32_t>(std::bit_width(f)) - 5;
  return (shift + 1) * 16 + (f >> shift) - 16;
}

/// Rounds down to five significant bits.
[[nodiscard]] constexpr std::uint32_t coarse_frequency(std::uint32_t f) noexcept {
  return frequency_of_level(level_of_frequency(f));
}

void write_context_tables(const ContextTables& tables, BitWriter& out);
/// Errors: malformed (spans, counts or sums that no encoder writes).
[[nodiscard]] Result<ContextTables> parse_context_tables(BitReader& in);

/// The context of each value key, 0 ... kValueKeys - 1; empty without value contexts.
[[nodiscard]] std::vector<std::uint8_t> value_contexts(const ContextTables& tables);

/// The value contexts: a section of their own (block.md §5.9), behind that of the classes.
void write_value_tables(const ContextTables& tables, BitWriter& out);
/// Adds them to `tables`. Errors: malformed.
[[nodiscard]] Status parse_value_tables(BitReader& in, ContextTables& tables);

}  // namespace ff::kernels
