// SPDX-License-Identifier: Apache-2.0
//
// Hardware path: three interleaved CRC streams hide the instruction's latency of three clocks; they are
// joined by multiplying with x^(8n) mod P through tables: long lanes, and short ones for what is as short as a row of
// pixels. Software path: slicing by eight.
#include "common/base/crc32c.hpp"

#include <array>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace ff {
namespace {

constexpr std::uint32_t kPolynomial = 0x82f63b78u;  // reflected 0x1edc6f41

using Table = std::array<std::uint32_t, 256>;

constexpr std::array<Table, 8> make_slicing_tables() {
  std::array<Table, 8> tables{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) ? kPolynomial : 0);
    tables[0][i] = crc;
  }
  for (std::size_t k = 1; k < 8; ++k)
    for (std::size_t i = 0; i < 256; ++i)
      tables[k][i] = (tables[k - 1][i] >> 8) ^ tables[0][tables[k - 1][i] & 0xff];
  return tables;
}

constexpr std::array<Table, 8> kSlicing = make_slicing_tables();

std::uint32_t update_software(std::uint32_t crc, const std::byte* p, std::size_t count) noexcept {
  for (; count >= 8; count -= 8, p += 8) {
    const std::uint64_t word = load_le<std::uint64_t>(p) ^ crc;
    crc = 0;
    for (std::size_t k = 0; k < 8; ++k) crc ^= kSlicing[7 - k][(word >> (8 * k)) & 0xff];
  }
  for (; count > 0; --count, ++p)
    crc = (crc >> 8) ^ kSlicing[0][(crc ^ static_cast<std::uint32_t>(*p)) & 0xff];
  return crc;
}

#if defined(__x86_64__)

/// Matrix of "append so many zero bytes", as four tables of one byte each.
std::array<Table, 4> make_shift_tables(std::size_t zero_bytes) noexcept {
  std::array<Table, 4> tables{};
  for (std::size_t byte = 0; byte < 4; ++byte)
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t crc = i << (8 * byte);
      for (std::size_t n = 0; n < zero_bytes; ++n) crc = (crc >> 8) ^ kSlicing[0][crc & 0xff];
      tables[byte][i] = crc;
    }
  return tables;
}

/// The CRC as it is kLaneBytes zero bytes later.
template <std::size_t kLaneBytes>
std::uint32_t shift_lane(std::uint32_t crc) noexcept {
  static const std::array<Table, 4> tables = make_shift_tables(kLaneBytes);
  return tables[0][crc & 0xff] ^ tables[1][(crc >> 8) & 0xff] ^ tables[2][(crc >> 16) & 0xff] ^
         tables[3][crc >> 24];
}

/// Goes on over as many whole triples of lanes as there are, and moves `p` and `count` behind them.
template <std::size_t kLaneBytes>
__attribute__((target("sse4.2"))) std::uint32_t update_in_lanes(std::uint32_t crc, const std::byte*& p,
                                                                std::size_t& count) noexcept {
  for (; count >= 3 * kLaneBytes; p += 3 * kLaneBytes, count -= 3 * kLaneBytes) {
    std::uint64_t a = crc, b = 0, c = 0;
    for (std::size_t i = 0; i < kLaneBytes; i += 8) {
      a = _mm_crc32_u64(a, load_le<std::uint64_t>(p + i));
      b = _mm_crc32_u64(b, load_le<std::uint64_t>(p + kLaneBytes + i));
      c = _mm_crc32_u64(c, load_le<std::uint64_t>(p + 2 * kLaneBytes + i));
    }
    crc = shift_lane<kLaneBytes>(shift_lane<kLaneBytes>(static_cast<std::uint32_t>(a)) ^
                                 static_cast<std::uint32_t>(b)) ^
          static_cast<std::uint32_t>(c);
  }
  return crc;
}

__attribute__((target("sse4.2"))) std::uint32_t update_hardware(std::uint32_t crc, const std::byte* p,
                                                                std::size_t count) noexcept {
  crc = update_in_lanes<1024>(crc, p, count);
  crc = update_in_lanes<128>(crc, p, count);
  std::uint64_t tail = crc;
  for (; count >= 8; count -= 8, p += 8) tail = _mm_crc32_u64(tail, load_le<std::uint64_t>(p));
  crc = static_cast<std::uint32_t>(tail);
  for (; count > 0; --count, ++p) crc = _mm_crc32_u8(crc, static_cast<unsigned char>(*p));
  return crc;
}

#endif

}  // namespace

std::uint32_t crc32c(ByteSpan bytes, std::uint32_t previous) noexcept {
#if defined(__x86_64__)
  static const bool has_sse42 = __builtin_cpu_supports("sse4.2") != 0;
  if (has_sse42) return ~update_hardware(~previous, bytes.data(), bytes.size());
#endif
  return crc32c_by_tables(bytes, previous);
}

std::uint32_t crc32c_by_tables(ByteSpan bytes, std::uint32_t previous) noexcept {
  return ~update_software(~previous, bytes.data(), bytes.size());
}

}  // namespace ff
