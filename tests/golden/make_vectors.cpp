// SPDX-License-Identifier: Apache-2.0
//
// make_vectors FOLDER: writes the golden blocks and their JSON twins, and blocks with one defect each.
//
// Run it when block.md changes, and only then; the vectors in git are what every device must decode and write
// again. Block N of a series continues block N - 1 ("after" in the twin). docs/formats/block.md §9 lists
// them.
#include "tests/golden/vector_series.hpp"

namespace {

namespace fs = std::filesystem;
namespace golden = ff::golden;
using namespace ff;
using namespace ff::kernels;
using golden::all;
using golden::place;
using golden::Series;
using golden::write_file;
using tests::FrameStack;

// Module gaps and dead pixels of one value.
void add_gaps(FrameStack& stack, std::int64_t gap, std::int64_t dead) {
  for (std::size_t t = 0; t < stack.count; ++t) {
    for (std::size_t p = 0; p < stack.shape.pixels(); ++p) {
      const std::size_t row = p / stack.shape.cols, col = p % stack.shape.cols;
      if ((row >= 5 && row < 8) || (col >= 20 && col < 23)) stack.set(t, p, gap);
      if (p % 97 == 11) stack.set(t, p, dead);
    }
  }
}

std::vector<std::byte> write_counting(const fs::path& to) {
  const FrameShape tile{Dtype::u16, 48, 67};
  Series series(to, "u16-counting", tile);
  const std::int64_t sentinel[] = {65535};
  EncodeOptions options;
  options.sentinels = sentinel;
  FrameStack first = tests::counting_frames(tile, 4, 32, 5120, 1);
  add_gaps(first, 65535, 65535);
  first.set(2, 300, 65535);  // saturated once: a sentinel that is not masked
  const auto block = series.add(first, place(0, 4, all(4), true),
                                "rate contexts, prior, mask, sentinel, odd width", options);
  FrameStack second = tests::counting_frames(tile, 2, 32, 5120, 2);
  add_gaps(second, 65535, 65535);
  series.add(second, place(4, 3, 0b101, false), "a missing frame; tables reused or sent anew", options);
  FrameStack third = tests::counting_frames(tile, 1, 32, 5120, 3);
  add_gaps(third, 65535, 65535);
  third.set(0, 5 * tile.cols + 1, 7);
  series.add(third, place(7, 1, 1, false), "a masked pixel deviates: the mask is sent again", options);
  return block;
}

void write_others(const fs::path& to) {
  {
    const FrameShape tile{Dtype::u16, 40, 64};
    Series(to, "u16-integrating-4-streams", tile)
        .add(tests::integrating_frames(tile, 6, 900, 1500, 30, 4), place(0, 6, all(6), true),
             "scale contexts, raw bits, pedestal, 4 streams", {}, 4);
  }
  {
    const FrameShape tile{Dtype::i16, 30, 41};
    Series(to, "i16-around-zero-8-streams", tile)
        .add(tests::integrating_frames(tile, 8, -3, 3, 1, 5), place(0, 8, all(8), true),
             "negative values, split classes, 8 streams", {}, 8);
  }
  {
    const FrameShape tile{Dtype::i32, 33, 50};
    const std::int64_t sentinels[] = {-1, -2};
    EncodeOptions options;
    options.sentinels = sentinels;
    FrameStack narrow = tests::counting_frames(tile, 3, 256, 2048, 6);
    add_gaps(narrow, -1, -2);
    Series series(to, "i32-counting", tile);
    series.add(narrow, place(0, 3, all(3), true), "32-bit pixels in 16-bit levels, two masked values",
               options);
    FrameStack wide = tests::counting_frames(tile, 2, 256, 2048, 7);
    add_gaps(wide, -1, -2);
    wide.set(1, 200, 1046527);
    wide.set(0, 201, -1);
    series.add(wide, place(3, 2, all(2), false), "a hot pixel needs 32-bit levels: the predictor starts anew",
               options);
  }
  {
    const FrameShape tile{Dtype::u32, 24, 40};
    Series(to, "u32-integrating", tile)
        .add(tests::integrating_frames(tile, 4, 1000000, 1400000, 900, 8), place(0, 4, all(4), true),
             "values above 16 bits: state shifted down, 32-bit levels");
  }
  {
    const FrameShape tile{Dtype::u8, 60, 60};
    FrameStack comb = tests::integrating_frames(tile, 4, 10, 40, 3, 9);
    for (auto& pixel : comb.pixels) pixel = static_cast<std::byte>(std::to_integer<unsigned>(pixel) * 5);
    Series(to, "u8-comb", tile).add(comb, place(0, 4, all(4), true), "packed levels in value mode");
  }
  {
    const FrameShape tile{Dtype::f32, 9, 11};
    FrameStack floats(tile, 2);
    for (std::size_t p = 0; p < 2 * tile.pixels(); ++p)
      store_le(floats.pixels.data() + 4 * p, static_cast<float>(p % 13) * 0.25f);
    Series(to, "f32-raw", tile).add(floats, place(0, 2, all(2), true), "raw block, bit-transposed and zstd");
  }
  {
    const FrameShape tile{Dtype::u16, 16, 16};
    FrameStack noise(tile, 2);
    tests::TestRandom random(10);
    for (auto& byte : noise.pixels) byte = static_cast<std::byte>(random.next());
    Series(to, "u16-noise-stored", tile)
        .add(noise, place(0, 2, all(2), true), "nothing shrinks: pixels stored");
  }
  {
    const FrameShape tile{Dtype::u8, 1, 1};
    FrameStack one(tile, 1);
    Series(to, "u8-1x1", tile).add(one, place(0, 1, 1, true), "the smallest tile");
  }
}

// Recomputes both CRCs, so that a defect reaches the check behind them.
void reseal(std::vector<std::byte>& block) {
  BlockHeader header = *parse_block_header(block);
  header.payload_crc = crc32c(ByteSpan(block).subspan(kBlockHeaderBytes));
  write_block_header(header, block);
}

void write_defects(const fs::path& to, const std::vector<std::byte>& good) {
  const auto defect = [&](const std::string& name, const std::string& error, auto&& damage) {
    std::vector<std::byte> block = good;
    damage(block);
    golden::write_defect(to, name, error, block);
  };
  const auto header_byte = [](std::vector<std::byte>& block, std::size_t at, unsigned value) {
    block[at] = static_cast<std::byte>(value);
    store_le(block.data() + kHeaderCrcOffset, crc32c(ByteSpan(block).first(kHeaderCrcOffset)));
  };
  defect("truncated_header", "truncated", [](auto& block) { block.resize(63); });
  defect("truncated_payload", "truncated", [](auto& block) { block.resize(block.size() - 1); });
  defect("bad_magic", "bad_magic", [](auto& block) { block[0] = std::byte{'X'}; });
  defect("future_version", "unsupported_version", [&](auto& block) { header_byte(block, 5, 9); });
  defect("header_crc_flipped", "crc_mismatch", [](auto& block) { block[61] ^= std::byte{1}; });
  defect("payload_crc_flipped", "crc_mismatch", [](auto& block) { block.back() ^= std::byte{0x40}; });
  defect("pixel_crc_flipped", "crc_mismatch",
         [&](auto& block) { header_byte(block, 48, std::to_integer<unsigned>(block[48]) ^ 1u); });
  defect("unknown_required_bit", "unsupported_feature", [&](auto& block) { header_byte(block, 11, 0x80); });
  defect("required_bit_neural", "unsupported_feature", [&](auto& block) { header_byte(block, 8, 0x40); });
  defect("reserved_not_zero", "malformed", [&](auto& block) { header_byte(block, 56, 1); });
  defect("zero_rows", "malformed", [&](auto& block) { header_byte(block, 28, 0); });
  defect("present_beyond_group", "malformed", [&](auto& block) { header_byte(block, 16, 0xff); });
  golden::write_feature_defect(to, "feature_lossy_of_exact_pixels", Feature::lossy, good);
  golden::write_feature_defect(to, "feature_probability_12_turned", Feature::probability_12, good);
  defect("unknown_section", "unsupported_feature", [&](auto& block) {
    block[kBlockHeaderBytes] = std::byte{100};
    reseal(block);
  });
  defect("section_past_the_end", "malformed", [&](auto& block) {
    store_le(block.data() + kBlockHeaderBytes + 1, std::uint32_t{0x7fffffff});
    reseal(block);
  });
  defect("lane_word_flipped", "malformed", [&](auto& block) {
    block[block.size() - 2] ^= std::byte{1};
    reseal(block);
  });
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_vectors FOLDER (holding vectors/ and errors/)\n");
    return 64;
  }
  const fs::path folder = argv[1];
  fs::create_directories(folder / "vectors");
  fs::create_directories(folder / "errors");
  const auto good = write_counting(folder / "vectors");
  write_others(folder / "vectors");
  write_defects(folder / "errors", good);
  golden::write_phase_vectors(folder / "vectors");
  golden::write_phase_defects(folder / "errors");
  golden::write_lossy_vectors(folder / "vectors");
  golden::write_lossy_defects(folder / "errors");
  golden::write_cell_vectors(folder / "vectors");
  golden::write_cell_defects(folder / "errors");
  return 0;
}
