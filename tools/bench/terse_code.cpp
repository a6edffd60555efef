// SPDX-License-Identifier: Apache-2.0
//
// Blocks of 12 pixels in just enough bits.
#include "tools/bench/terse_code.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <type_traits>

namespace ff::tools {

namespace {

constexpr std::size_t kBlock = 12;

/// Appends numbers of up to 32 bits, lowest bit first.
class BitWriter {
 public:
  explicit BitWriter(std::byte* out) : out_(out) {}

  void put(std::uint64_t value, unsigned bits) {
    waiting_ |= value << held_;
    held_ += bits;
    if (held_ < 32) return;
    std::memcpy(out_ + at_, &waiting_, 4);
    at_ += 4;
    waiting_ >>= 32;
    held_ -= 32;
  }

  /// Bytes in all; one more than whole ones, as TERSE does.
  std::size_t finish() {
    std::memcpy(out_ + at_, &waiting_, 8);
    return at_ + held_ / 8 + 1;
  }

 private:
  std::byte* out_;
  std::size_t at_ = 0;
  std::uint64_t waiting_ = 0;
  unsigned held_ = 0;
};

class BitReader {
 public:
  explicit BitReader(ByteSpan in) : in_(in) {}

  std::uint32_t take(unsigned bits) {
    while (held_ < bits) {
      if (at_ == in_.size()) {
        failed_ = true;
        return 0;
      }
      refill();
    }
    const auto value = static_cast<std::uint32_t>(waiting_ & ((1ull << bits) - 1));
    waiting_ >>= bits;
    held_ -= bits;
    return value;
  }

  [[nodiscard]] bool failed() const noexcept { return failed_; }

 private:
  void refill() {
    if (held_ <= 32 && in_.size() - at_ >= 4) {
      std::uint32_t word = 0;
      std::memcpy(&word, in_.data() + at_, 4);
      waiting_ |= std::uint64_t{word} << held_;
      held_ += 32;
      at_ += 4;
    } else {
      waiting_ |= std::to_integer<std::uint64_t>(in_[at_++]) << held_;
      held_ += 8;
    }
  }

  ByteSpan in_;
  std::size_t at_ = 0;
  std::uint64_t waiting_ = 0;
  unsigned held_ = 0;
  bool failed_ = false;
};

void put_width(BitWriter& bits, unsigned width) {
  if (width < 7) {
    bits.put(width << 1, 4);
  } else if (width < 10) {
    bits.put((0b111u | ((width - 7) << 3)) << 1, 6);
  } else {
    bits.put((0b11111u | ((width - 10) << 5)) << 1, 12);
  }
}

unsigned take_width(BitReader& bits) {
  unsigned width = bits.take(3);
  if (width == 7) width += bits.take(2);
  if (width == 10) width += bits.take(6);
  return width;
}

template <typename Pixel>
unsigned width_of(const Pixel* pixels, std::size_t count) {
  using Bits = std::make_unsigned_t<Pixel>;
  Bits set = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto bits = static_cast<Bits>(pixels[i]);
    set |= std::is_signed_v<Pixel> && pixels[i] < 0 ? static_cast<Bits>(0u - bits) : bits;
  }
  const auto width = static_cast<unsigned>(std::bit_width(set));
  const unsigned with_sign = width + 1;
  if constexpr (std::is_signed_v<Pixel>)
    return width == 0 ? 0u : std::min(with_sign, 8u * unsigned{sizeof(Pixel)});
  return width;
}

template <typename Pixel>
std::size_t encode_pixels(const Pixel* pixels, std::size_t count, std::byte* out) {
  using Bits = std::make_unsigned_t<Pixel>;
  BitWriter bits(out);
  unsigned before = 0;
  for (std::size_t first = 0; first < count; first += kBlock) {
    const std::size_t in_block = std::min(kBlock, count - first);
    const unsigned width = width_of(pixels + first, in_block);
    if (width == before)
      bits.put(1, 1);
    else
      put_width(bits, width);
    before = width;
    const std::uint64_t mask = (1ull << width) - 1;
    if (width == 0) continue;
    for (std::size_t i = 0; i < in_block; ++i) bits.put(static_cast<Bits>(pixels[first + i]) & mask, width);
  }
  return bits.finish();
}

template <typename Pixel>
Status decode_pixels(ByteSpan coded, Pixel* pixels, std::size_t count) {
  BitReader bits(coded);
  unsigned width = 0;
  for (std::size_t first = 0; first < count; first += kBlock) {
    if (bits.take(1) == 0) width = take_width(bits);
    if (width > 8 * sizeof(Pixel)) return fail(Errc::malformed, "TERSE: a block is wider than its pixels");
    const unsigned unused = 32 - width;
    for (std::size_t i = first; i < std::min(first + kBlock, count); ++i) {
      const std::uint32_t value = width == 0 ? 0 : bits.take(width);
      if constexpr (std::is_signed_v<Pixel>)
        pixels[i] =
            width == 0 ? Pixel{0} : static_cast<Pixel>(static_cast<std::int32_t>(value << unused) >> unused);
      else
        pixels[i] = static_cast<Pixel>(value);
    }
    if (bits.failed()) return fail(Errc::truncated, "TERSE: ends inside a frame");
  }
  return {};
}

/// Calls `work` with a pixel of the frame's type.
template <typename Work>
auto with_pixel(Dtype dtype, const Work& work) {
  switch (dtype) {
    case Dtype::u8: return work(std::uint8_t{});
    case Dtype::i8: return work(std::int8_t{});
    case Dtype::u16: return work(std::uint16_t{});
    case Dtype::i16: return work(std::int16_t{});
    case Dtype::u32: return work(std::uint32_t{});
    default: return work(std::int32_t{});
  }
}

}  // namespace

std::size_t terse_bound(const FrameShape& shape) noexcept {
  return shape.bytes() + (shape.pixels() / kBlock + 1) * 2 + 16;
}

std::size_t terse_encode(const FrameShape& shape, ByteSpan frame, MutableByteSpan out) {
  return with_pixel(shape.dtype, [&](auto pixel) {
    return encode_pixels(reinterpret_cast<const decltype(pixel)*>(frame.data()), shape.pixels(), out.data());
  });
}

Status terse_decode(const FrameShape& shape, ByteSpan coded, MutableByteSpan frame) {
  return with_pixel(shape.dtype, [&](auto pixel) {
    return decode_pixels(coded, reinterpret_cast<decltype(pixel)*>(frame.data()), shape.pixels());
  });
}

}  // namespace ff::tools
