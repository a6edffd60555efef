// SPDX-License-Identifier: Apache-2.0
//
// Lanes in AVX-512: the 32 states of a stream are two registers; several streams keep the pipeline busy.
//
// Data path  token > [lanes] > block
// Meaning    docs/formats/block.md §7, word for word what kernels/reference/lanes.cpp does.
// Not here   tables as the file has them (kernels/format/context_tables.hpp).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/base/bytes.hpp"
#include "kernels/cpu/scratch.hpp"
#include "kernels/format/sections.hpp"
#include "kernels/model_coder.hpp"

namespace ff::kernels::cpu::avx512 {

/// The symbol of a lane that codes nothing.
inline constexpr std::size_t kIdleSymbol = 0x8000;

/// Words that 32 pixels may take: a token's and those of one raw step or two.
template <typename Level>
inline constexpr std::size_t kGroupWords = (sizeof(Level) == 2 ? 2 : 3) * kLanes;

/// Tables the way a gather wants them. Encoder entry by context << 8 | token: f << 17 | bits of the first raw step << 12
/// | start; an absent token's entry is the escape's; one more for kIdleSymbol. Decoder entry by context << probability bits |
/// slot: f << 20 | offset << 8 | token.
[[nodiscard]] std::vector<std::uint32_t> encoder_entries(const ContextTables& tables,
                                                         std::uint8_t level_bits);
[[nodiscard]] std::vector<std::uint32_t> decoder_entries(const ContextTables& tables);

/// One frame's coded pixels for the encoder: contexts << 8 | token, or kIdleSymbol; and their levels.
template <typename Level>
struct TokenFrame {
  const std::uint16_t* symbols = nullptr;  ///< padded with idle ones to a multiple of 32
  const Level* levels = nullptr;           ///< `pixels` of them
};

/// Codes frames from the last to the first. `Level` is uint32_t with level_bits 32, uint16_t with fewer.
class StreamEncoder {
 public:
  /// `memory` holds streams x words_max words; pages that no word reaches are never touched.
  StreamEncoder(const ContextTables& tables, std::uint8_t level_bits, std::size_t streams,
                std::size_t words_max, std::uint16_t* memory);

  /// Returns false once a stream may run out of room in the next frame: the group does not shrink.
  template <typename Level>
  [[nodiscard]] bool put_frame(const TokenFrame<Level>& frame, std::size_t pixels);
  [[nodiscard]] StreamWords finish();

 private:
  template <std::size_t kStreams, typename Level>
  void put_groups(const TokenFrame<Level>& frame, std::size_t groups) noexcept;
  template <std::size_t kStreams, typename Level>
  void put_checked(const TokenFrame<Level>& frame, std::size_t first, std::size_t last,
                   std::size_t pixels) noexcept;
  template <std::size_t kStreams, typename Level>
  void put_all(const TokenFrame<Level>& frame, std::size_t pixels) noexcept;

  std::vector<std::uint32_t> entries_;
  unsigned probability_bits_;
  std::size_t streams_, words_max_;
  std::uint16_t* memory_;
  std::array<std::uint16_t*, kStreamsMax> write_{};
  alignas(64) std::array<std::array<std::uint32_t, kLanes>, kStreamsMax> states_{};
};

/// Decodes groups in ascending order. `Level` as above.
class StreamDecoder {
 public:
  StreamDecoder(const ContextTables& tables, std::uint8_t level_bits, std::span<const ByteSpan> streams);

  /// The next `count` groups of a frame, of which `first` have been decoded: contexts (context << 8 | raw bits, bit
  /// 15: nothing is coded) and bases in, levels out. All arrays begin with the first of these groups.
  template <typename Level>
  void get_groups(std::size_t first, std::size_t count, const std::uint16_t* contexts, const Level* bases,
                  Level* levels) noexcept;
  [[nodiscard]] bool ended_cleanly() const noexcept;

 private:
  template <std::size_t kStreams, typename Level>
  void get_run(std::size_t first_stream, std::size_t groups, const std::uint16_t* contexts,
               const Level* bases, Level* levels) noexcept;

  std::vector<std::uint32_t> entries_;
  unsigned probability_bits_;
  unsigned level_bits_;
  std::size_t streams_;
  bool ran_out_ = false;
  StreamWords words_;
  std::array<const std::uint16_t*, kStreamsMax> read_{};
  std::array<const std::uint16_t*, kStreamsMax> end_{};
  alignas(64) std::array<std::array<std::uint32_t, kLanes>, kStreamsMax> states_{};
};

}  // namespace ff::kernels::cpu::avx512
