// SPDX-License-Identifier: Apache-2.0
//
// Lanes in AVX-512: compress writes the words that leave, expand places the words that come.
#include "kernels/cpu/avx512_lanes.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <immintrin.h>

#include "common/base/check.hpp"
#include "kernels/cpu/avx512_steps.hpp"

// From here on this file's own functions are compiled for AVX-512; what the headers above define is not.
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,bmi2,popcnt")

namespace ff::kernels::cpu::avx512 {
namespace {

constexpr std::size_t kOverread = 64;  // words a vector may read behind the last

}  // namespace

std::vector<std::uint32_t> encoder_entries(const ContextTables& tables, std::uint8_t level_bits) {
  std::array<std::uint8_t, kContextsMax> raw_bits{};
  std::size_t context = 0;
  for (const ContextClass& c : tables.classes) {
    for (std::size_t i = 0; i < c.contexts(); ++i) raw_bits[context++] = c.raw_bits;
  }
  std::vector<std::uint32_t> entries(kIdleSymbol + 1);
  entries[kIdleSymbol] = tables.scale() << 17;  // the whole scale: leaves the state as it is
  for (std::size_t c = 0; c < tables.frequencies.size(); ++c) {
    std::uint32_t start = 0;
    for (std::size_t s = 0; s < kSymbols; ++s) {
      const std::uint32_t f = tables.frequencies[c][s];
      const std::uint32_t k = s == kEscape ? std::min<std::uint32_t>(level_bits, kStepBits) : raw_bits[c];
      entries[c * kSymbols + s] = f << 17 | k << 12 | start;
      start += f;
    }
    for (std::size_t s = 0; s < kEscape; ++s) {
      if (tables.frequencies[c][s] == 0) entries[c * kSymbols + s] = entries[c * kSymbols + kEscape];
    }
  }
  return entries;
}

std::vector<std::uint32_t> decoder_entries(const ContextTables& tables) {
  std::vector<std::uint32_t> entries(tables.frequencies.size() * tables.scale());
  std::uint32_t* entry = entries.data();
  for (const Frequencies& frequencies : tables.frequencies) {
    for (std::uint32_t s = 0; s < kSymbols; ++s) {
      const std::uint32_t f = frequencies[s];
      for (std::uint32_t i = 0; i < f; ++i) *entry++ = f << 20 | i << 8 | s;
    }
  }
  return entries;
}

StreamEncoder::StreamEncoder(const ContextTables& tables, std::uint8_t level_bits, std::size_t streams,
                             std::size_t words_max, std::uint16_t* memory)
    : entries_(encoder_entries(tables, level_bits)),
      probability_bits_(tables.bits),
      streams_(streams),
      words_max_(words_max),
      memory_(memory) {
  for (std::size_t s = 0; s < streams; ++s) {
    write_[s] = memory_ + (s + 1) * words_max;
    states_[s].fill(kLaneStart);
  }
}

template <std::size_t kStreams, typename Level>
void StreamEncoder::put_groups(const TokenFrame<Level>& frame, std::size_t groups) noexcept {
  Half x[kStreams][2];
  std::uint16_t* out[kStreams];
  for (std::size_t s = 0; s < kStreams; ++s) {
    x[s][0] = _mm512_load_si512(&states_[s][0]);
    x[s][1] = _mm512_load_si512(&states_[s][16]);
    out[s] = write_[s];
  }
  const std::uint32_t* entries = entries_.data();
  const Half bits = set32(probability_bits_);
  for (std::size_t g = groups; g != 0; g -= kStreams) {
#pragma GCC unroll 4
    for (std::size_t s = 0; s < kStreams; ++s) {
      const std::size_t at = (g - kStreams + s) * kLanes;
      const Half high = look_up(entries, frame.symbols + at + 16);
      const Half low = look_up(entries, frame.symbols + at);
      const Half raw_bits[2] = {raw_bits_of(low), raw_bits_of(high)};
      if (_mm512_test_epi32_mask(raw_bits[0], raw_bits[0]) |
          _mm512_test_epi32_mask(raw_bits[1], raw_bits[1])) {
        const Half level[2] = {load_levels(frame.levels + at), load_levels(frame.levels + at + 16)};
        put_raw_steps<Level>(x[s], level, raw_bits, out[s]);
      }
      x[s][1] = put_token(x[s][1], high, 0xffff, bits, out[s]);
      x[s][0] = put_token(x[s][0], low, 0xffff, bits, out[s]);
    }
  }
  for (std::size_t s = 0; s < kStreams; ++s) {
    _mm512_store_si512(&states_[s][0], x[s][0]);
    _mm512_store_si512(&states_[s][16], x[s][1]);
    write_[s] = out[s];
  }
}

// The same one by one, for a frame's last groups: levels end with the pixels.
template <std::size_t kStreams, typename Level>
void StreamEncoder::put_checked(const TokenFrame<Level>& frame, std::size_t first, std::size_t last,
                                std::size_t pixels) noexcept {
  for (std::size_t g = last; g-- > first;) {
    const std::size_t s = g % kStreams;
    Half entry[2], level[2], raw_bits[2], x[2];
    __mmask16 active[2];
    for (std::size_t h = 0; h < 2; ++h) {
      const std::size_t at = g * kLanes + 16 * h;
      const Half symbol = load16(frame.symbols + at);
      const std::size_t there = at < pixels ? std::min<std::size_t>(pixels - at, 16) : 0;
      active[h] =
          static_cast<__mmask16>(_mm512_testn_epi32_mask(symbol, set32(0x8000)) & ((1u << there) - 1u));
      entry[h] = _mm512_mask_i32gather_epi32(set32(1u << 17), active[h], symbol, entries_.data(), 4);
      level[h] = load_levels(active[h], frame.levels + at);
      raw_bits[h] = raw_bits_of(entry[h]);
      x[h] = _mm512_load_si512(&states_[s][16 * h]);
    }
    put_raw_steps<Level>(x, level, raw_bits, write_[s]);
    for (const std::size_t h : {1u, 0u})
      x[h] = put_token(x[h], entry[h], active[h], set32(probability_bits_), write_[s]);
    for (std::size_t h = 0; h < 2; ++h) _mm512_store_si512(&states_[s][16 * h], x[h]);
  }
}

template <std::size_t kStreams, typename Level>
void StreamEncoder::put_all(const TokenFrame<Level>& frame, std::size_t pixels) noexcept {
  const std::size_t groups = (pixels + kLanes - 1) / kLanes;
  const std::size_t whole = pixels / kLanes / kStreams * kStreams;
  put_checked<kStreams>(frame, whole, groups, pixels);
  if (whole != 0) put_groups<kStreams>(frame, whole);
}

template <typename Level>
bool StreamEncoder::put_frame(const TokenFrame<Level>& frame, std::size_t pixels) {
  const std::size_t groups_per_stream = (pixels + kLanes - 1) / kLanes / streams_ + 1;
  for (std::size_t s = 0; s < streams_; ++s) {
    const auto room = static_cast<std::size_t>(write_[s] - (memory_ + s * words_max_));
    if (room < groups_per_stream * kGroupWords<Level> + 2 * kLanes) return false;
  }
  switch (streams_) {
    case 1: put_all<1>(frame, pixels); break;
    case 2: put_all<2>(frame, pixels); break;
    case 4: put_all<4>(frame, pixels); break;
    default: put_all<8>(frame, pixels); break;
  }
  return true;
}

template bool StreamEncoder::put_frame(const TokenFrame<std::uint16_t>&, std::size_t);
template bool StreamEncoder::put_frame(const TokenFrame<std::uint32_t>&, std::size_t);

StreamWords StreamEncoder::finish() {
  StreamWords words(streams_);
  for (std::size_t s = 0; s < streams_; ++s) {
    write_[s] -= 2 * kLanes;
    std::memcpy(write_[s], states_[s].data(), 4 * kLanes);
    words[s].assign(write_[s], memory_ + (s + 1) * words_max_);
  }
  return words;
}

StreamDecoder::StreamDecoder(const ContextTables& tables, std::uint8_t level_bits,
                             std::span<const ByteSpan> streams)
    : entries_(decoder_entries(tables)),
      probability_bits_(tables.bits),
      level_bits_(level_bits),
      streams_(streams.size()),
      words_(streams.size()) {
  for (std::size_t s = 0; s < streams_; ++s) {
    // A copy with zeros behind it: a hostile string may make every group ask for more than there is.
    const std::size_t count = streams[s].size() / 2;
    words_[s].assign(count + kGroupWords<std::uint32_t> + kOverread, 0);
    std::memcpy(words_[s].data(), streams[s].data(), 2 * count);
    std::memcpy(states_[s].data(), streams[s].data(), 4 * kLanes);
    ran_out_ = ran_out_ || std::ranges::any_of(states_[s], [](std::uint32_t x) { return x < kLaneStart; });
    read_[s] = words_[s].data() + 2 * kLanes;
    end_[s] = words_[s].data() + count;
  }
}

template <std::size_t kStreams, typename Level>
void StreamDecoder::get_run(std::size_t first_stream, std::size_t groups, const std::uint16_t* contexts,
                            const Level* bases, Level* levels) noexcept {
  Half x[kStreams][2];
  const std::uint16_t* in[kStreams];
  std::size_t stream[kStreams];
  for (std::size_t s = 0; s < kStreams; ++s) {
    stream[s] = (first_stream + s) % streams_;
    x[s][0] = _mm512_load_si512(&states_[stream[s]][0]);
    x[s][1] = _mm512_load_si512(&states_[stream[s]][16]);
    in[s] = read_[stream[s]];
  }
  const Half escape = set32(kEscape), escape_bits = set32(std::min(level_bits_, kStepBits));
  const Half probability_bits = set32(probability_bits_);
  for (std::size_t g = 0; g != groups; g += kStreams) {
#pragma GCC unroll 4
    for (std::size_t s = 0; s < kStreams; ++s) {
      const std::size_t at = (g + s) * kLanes;
      Half token[2], bits[2], raw[2];
      __mmask16 escaped[2];
      for (std::size_t h = 0; h < 2; ++h) {
        const Half context = load16(contexts + at + 16 * h);
        const __mmask16 active = _mm512_testn_epi32_mask(context, set32(0x8000));
        const Decoded decoded = get_token(x[s][h], context, entries_.data(), active, probability_bits);
        x[s][h] = refill(decoded.state, in[s]);
        token[h] = decoded.token;
        escaped[h] = _mm512_cmpeq_epi32_mask(token[h], escape);
        bits[h] = _mm512_and_epi32(context, set32(15));
        bits[h] = _mm512_mask_mov_epi32(bits[h], escaped[h], escape_bits);
        raw[h] = _mm512_setzero_si512();
      }
      if (_mm512_test_epi32_mask(bits[0], bits[0]) | _mm512_test_epi32_mask(bits[1], bits[1])) {
        for (std::size_t h = 0; h < 2; ++h) {
          raw[h] = _mm512_andnot_si512(_mm512_sllv_epi32(set32(~0u), bits[h]), x[s][h]);
          x[s][h] = refill(_mm512_srlv_epi32(x[s][h], bits[h]), in[s]);
        }
        if constexpr (sizeof(Level) == 4) {
          if (escaped[0] | escaped[1]) [[unlikely]] {
            for (std::size_t h = 0; h < 2; ++h) get_second_step(x[s][h], raw[h], escaped[h], in[s]);
          }
        }
      }
      for (std::size_t h = 0; h < 2; ++h) {
        const Half high = _mm512_add_epi32(token[h], load_levels(bases + at + 16 * h));
        Half level = _mm512_or_si512(_mm512_sllv_epi32(high, bits[h]), raw[h]);
        level = _mm512_mask_mov_epi32(level, escaped[h], raw[h]);
        store_levels(levels + at + 16 * h, level);
      }
      if (in[s] > end_[stream[s]]) [[unlikely]] {
        in[s] = end_[stream[s]];
        ran_out_ = true;
      }
    }
  }
  for (std::size_t s = 0; s < kStreams; ++s) {
    _mm512_store_si512(&states_[stream[s]][0], x[s][0]);
    _mm512_store_si512(&states_[stream[s]][16], x[s][1]);
    read_[stream[s]] = in[s];
  }
}

template <typename Level>
void StreamDecoder::get_groups(std::size_t first, std::size_t count, const std::uint16_t* contexts,
                               const Level* bases, Level* levels) noexcept {
  const std::size_t stream = first % streams_, whole = count / streams_ * streams_;
  switch (streams_) {
    case 1: get_run<1>(stream, whole, contexts, bases, levels); break;
    case 2: get_run<2>(stream, whole, contexts, bases, levels); break;
    case 4: get_run<4>(stream, whole, contexts, bases, levels); break;
    default: get_run<8>(stream, whole, contexts, bases, levels); break;
  }
  // What is left goes to a stream each, so the processor still works on several at a time.
  for (std::size_t g = whole; g < count; ++g) {
    const std::size_t at = g * kLanes;
    get_run<1>(stream + g, 1, contexts + at, bases + at, levels + at);
  }
}

template void StreamDecoder::get_groups(std::size_t, std::size_t, const std::uint16_t*, const std::uint16_t*,
                                        std::uint16_t*) noexcept;
template void StreamDecoder::get_groups(std::size_t, std::size_t, const std::uint16_t*, const std::uint32_t*,
                                        std::uint32_t*) noexcept;

bool StreamDecoder::ended_cleanly() const noexcept {
  for (std::size_t s = 0; s < streams_; ++s) {
    const bool at_start = std::ranges::all_of(states_[s], [](std::uint32_t x) { return x == kLaneStart; });
    if (read_[s] != end_[s] || !at_start) return false;
  }
  return !ran_out_;
}

}  // namespace ff::kernels::cpu::avx512

#pragma GCC pop_options
