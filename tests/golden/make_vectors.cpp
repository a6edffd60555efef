// SPDX-License-Identifier: Apache-2.0
//
// make_vectors FOLDER: writes the golden blocks and their JSON twins, and blocks with one defect each.
//
// Run it when block.md changes, and only then; the vectors in git are what every device must decode and write
// again. Block N of a series continues block N - 1 ("after" in the twin). docs/formats/block.md §9 lists
// them.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "common/base/check.hpp"
#include "common/base/crc32c.hpp"
#include "kernels/codec.hpp"
#include "kernels/format/block_header.hpp"
#include "kernels/format/sections.hpp"
#include "kernels/predictor_state.hpp"
#include "tests/support/group_images.hpp"

namespace {

namespace fs = std::filesystem;
using namespace ff;
using namespace ff::kernels;
using ff::tests::FrameStack;

void write_file(const fs::path& path, ByteSpan bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  FF_CHECK(file.good());
}

std::string twin(const BlockInfo& info, const FrameStack& frames, const std::string& shows,
                 const std::string& after) {
  char crc[16];
  std::snprintf(crc, sizeof crc, "%08x", crc32c(frames.pixels));
  return "{\"shows\": \"" + shows + "\",\n \"after\": \"" + after +
         "\",\n \"frames\": " + std::to_string(frames.count) + ",\n \"pixels_crc32c\": \"" + crc +
         "\",\n \"header\": " + info.summary_json + "}\n";
}

// One window of blocks: each call adds the group that follows.
class Series {
 public:
  Series(fs::path folder, std::string name, const FrameShape& tile)
      : folder_(std::move(folder)), name_(std::move(name)), state_(*TileState::create(tile)) {}

  std::vector<std::byte> add(const FrameStack& frames, GroupPlace place, const std::string& shows,
                             const EncodeOptions& options = {}, int streams = 0) {
    const auto views = frames.views();
    auto plan = plan_group(state_, place, views, options);
    FF_CHECK(plan.ok());
    if (streams != 0) (*plan)->group.streams = static_cast<std::uint8_t>(streams);
    std::vector<std::byte> block(encoded_size_bound(frames.shape, static_cast<std::uint32_t>(frames.count)));
    const auto bytes = encode_group(Device::reference, state_, **plan, views, block);
    FF_CHECK(bytes.ok());
    block.resize(*bytes);
    const std::string file = name_ + "-" + std::to_string(blocks_++);
    write_file(folder_ / (file + ".bin"), block);
    const std::string text = twin(*inspect_block(block), frames, shows, before_);
    write_file(folder_ / (file + ".json"), as_bytes(text));
    before_ = file + ".bin";
    return block;
  }

 private:
  fs::path folder_;
  std::string name_, before_;
  TileState state_;
  int blocks_ = 0;
};

GroupPlace place(unsigned first, unsigned count, std::uint64_t present, bool key) {
  return {static_cast<std::uint8_t>(first), static_cast<std::uint8_t>(count), present, key};
}
std::uint64_t all(unsigned count) { return (std::uint64_t{1} << count) - 1; }

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
    write_file(to / (name + ".bin"), block);
    write_file(to / (name + ".json"), as_bytes("{\"error\": \"" + error + "\"}\n"));
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
  return 0;
}
