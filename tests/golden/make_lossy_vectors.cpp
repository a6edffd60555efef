// SPDX-License-Identifier: Apache-2.0
//
// Golden blocks of the lossy map: each kind of bound, each width, sentinels inside bins, exact pixels; and bounds that
// no decoder may make tables for.
#include "tests/golden/vector_series.hpp"

namespace ff::golden {
namespace {

EncodeOptions with_bound(const char* bound, std::span<const std::int64_t> sentinels = {}) {
  EncodeOptions options;
  options.bound = *parse_loss_bound(bound);
  options.sentinels = sentinels;
  return options;
}

// Counts, saturated and missing pixels, and a few near both.
FrameStack detector_frames(const FrameShape& tile, unsigned count, std::int64_t sentinel,
                           std::uint64_t seed) {
  FrameStack frames = tests::counting_frames(tile, count, 200, 6000, seed);
  for (std::size_t t = 0; t < count; ++t) {
    for (std::size_t p = 11; p < tile.pixels(); p += 131)
      frames.set(t, p, p % 3 == 0 ? sentinel : sentinel - static_cast<std::int64_t>(p % 5));
  }
  return frames;
}

void write_root(const fs::path& to) {
  const FrameShape tile{Dtype::u16, 40, 67};
  const std::int64_t sentinels[] = {65535, 7};
  EncodeOptions options = with_bound("sqrt:0.5", sentinels);
  Series series(to, "u16-lossy-sqrt", tile);
  FrameStack first = detector_frames(tile, 3, 65535, 31);
  std::vector<std::uint8_t> mask(tile.pixels(), 0);
  for (std::size_t p = 40; p < tile.pixels(); p += 151) mask[p] = 1;
  options.mask = mask;
  series.add(first, place(0, 3, all(3), true),
             "sqrt:0.5; sentinel 7 cuts a bin; masked pixels that vary come back exactly", options);
  series.add(detector_frames(tile, 2, 65535, 32), place(3, 2, all(2), false), "the map of the group before",
             options);
}

void write_lattices(const fs::path& to) {
  {
    const FrameShape tile{Dtype::u8, 33, 41};
    const std::int64_t sentinels[] = {255, 254};
    Series(to, "u8-lossy-abs", tile)
        .add(detector_frames(tile, 4, 255, 33), place(0, 4, all(4), true), "abs:2 in 8 bits, two sentinels",
             with_bound("abs:2", sentinels));
  }
  {
    const FrameShape tile{Dtype::i16, 30, 44};
    Series(to, "i16-lossy-rel", tile)
        .add(tests::integrating_frames(tile, 4, -300, 500, 40, 34), place(0, 4, all(4), true),
             "rel:1% of 0 to 1000, negative values, base below them", with_bound("rel:1%,0,1000"));
  }
  {
    const FrameShape tile{Dtype::u16, 30, 44};
    Series(to, "u16-lossy-photon", tile)
        .add(tests::integrating_frames(tile, 4, 1000, 1300, 20, 35), place(0, 4, all(4), true),
             "photon:21.5,1000.25", with_bound("photon:21.5,1000.25"));
  }
}

void write_wide(const fs::path& to) {
  {
    const FrameShape tile{Dtype::u32, 32, 47};
    const std::int64_t sentinels[] = {4294967295};
    Series series(to, "u32-lossy-sqrt", tile);
    FrameStack narrow = tests::counting_frames(tile, 2, 300, 90000, 36);
    narrow.set(0, 100, 4294967295);
    narrow.set(1, 100, 70000000);
    const EncodeOptions options = with_bound("sqrt:0.5", sentinels);
    series.add(narrow, place(0, 2, all(2), true), "sqrt:0.5 of 32-bit pixels in 16-bit levels", options);
    FrameStack wide = tests::counting_frames(tile, 2, 300, 90000, 37);
    wide.set(1, 5, 4294967290);
    series.add(wide, place(2, 2, all(2), false), "a hot pixel needs 32-bit levels of the same bins", options);
  }
  {
    const FrameShape tile{Dtype::i32, 30, 40};
    const std::int64_t sentinels[] = {-1, -2};
    FrameStack frames = tests::counting_frames(tile, 3, 300, 9000, 38);
    for (std::size_t p = 3; p < tile.pixels(); p += 70) frames.set(1, p, -static_cast<std::int64_t>(p % 6));
    Series(to, "i32-lossy-abs", tile)
        .add(frames, place(0, 3, all(3), true), "abs:3, sentinels beside small negative values",
             with_bound("abs:3", sentinels));
  }
}

}  // namespace

void write_lossy_vectors(const fs::path& to) {
  write_root(to);
  write_lattices(to);
  write_wide(to);
}

void write_lossy_defects(const fs::path& to) {
  const FrameShape tile{Dtype::u32, 16, 40};
  const FrameStack frames = tests::counting_frames(tile, 1, 300, 9000, 39);
  auto state = *TileState::create(tile);
  const auto plan = plan_group(state, place(0, 1, 1, true), frames.views(), with_bound("sqrt:0.5"));
  std::vector<std::byte> block(encoded_size_bound(tile, 1));
  block.resize(*encode_group(Device::reference, state, **plan, frames.views(), block));
  // The setup's first bits: model 2, source 2, up 4, down 5, width 2, kind 2, base 64, n 4, then bound kind 2.
  constexpr std::size_t kParameterBit = 2 + 2 + 4 + 5 + 2 + 2 + 64 + 4 + 2;
  const auto defect = [&](const std::string& name, std::uint32_t factor) {
    std::vector<std::byte> bad = block;
    for (unsigned i = 0; i < 32; ++i) {
      const std::size_t bit = (kBlockHeaderBytes + 5) * 8 + kParameterBit + i;
      const auto mask = static_cast<std::byte>(1u << (bit % 8));
      bad[bit / 8] = (factor >> i & 1u) != 0 ? bad[bit / 8] | mask : bad[bit / 8] & ~mask;
    }
    BlockHeader header = *parse_block_header(bad);
    header.payload_crc = crc32c(ByteSpan(bad).subspan(kBlockHeaderBytes));
    write_block_header(header, bad);
    write_defect(to, name, "malformed", bad);
  };
  write_feature_defect(to, "feature_lossy_missing", Feature::lossy, block);
  defect("lossy_list_too_long", 1);
  defect("lossy_factor_too_large", 0xffffffff);
  defect("lossy_factor_zero", 0);
}

}  // namespace ff::golden
