// SPDX-License-Identifier: Apache-2.0
//
// What the golden blocks' makers share: a window of blocks written to a folder, each with its JSON twin.
//
// Not here   what the blocks show (make_vectors.cpp, make_phase_vectors.cpp, make_lossy_vectors.cpp).
#pragma once

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

namespace ff::golden {

namespace fs = std::filesystem;
using namespace kernels;
using tests::FrameStack;

inline void write_file(const fs::path& path, ByteSpan bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  FF_CHECK(file.good());
}

inline std::string twin(const BlockInfo& info, const FrameStack& frames, const std::string& shows,
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
      : folder_(std::move(folder)),
        name_(std::move(name)),
        state_(*TileState::create(tile)),
        reader_(*TileState::create(tile)) {}

  std::vector<std::byte> add(const FrameStack& frames, GroupPlace place, const std::string& shows,
                             const EncodeOptions& options = {}, int streams = 0) {
    auto plan = plan_group(state_, place, frames.views(), options);
    FF_CHECK(plan.ok());
    if (streams != 0) (*plan)->group.streams = static_cast<std::uint8_t>(streams);
    return add_planned(frames, **plan, shows);
  }

  /// The next block with a plan made elsewhere, for `state()`.
  std::vector<std::byte> add_planned(const FrameStack& frames, const EncodePlan& plan,
                                     const std::string& shows) {
    std::vector<std::byte> block(encoded_size_bound(frames.shape, static_cast<std::uint32_t>(frames.count)));
    const auto bytes = encode_group(Device::reference, state_, plan, frames.views(), block);
    FF_CHECK(bytes.ok());
    block.resize(*bytes);
    const std::string file = name_ + "-" + std::to_string(blocks_++);
    write_file(folder_ / (file + ".bin"), block);
    FrameStack decoded(frames.shape, frames.count);
    FF_CHECK(decode_group(Device::reference, reader_, block, decoded.mutable_views()).ok());
    const std::string text = twin(*inspect_block(block), decoded, shows, before_);
    write_file(folder_ / (file + ".json"), as_bytes(text));
    before_ = file + ".bin";
    return block;
  }
  [[nodiscard]] const TileState& state() const noexcept { return state_; }

 private:
  fs::path folder_;
  std::string name_, before_;
  TileState state_, reader_;
  int blocks_ = 0;
};

inline GroupPlace place(unsigned first, unsigned count, std::uint64_t present, bool key) {
  return {static_cast<std::uint8_t>(first), static_cast<std::uint8_t>(count), present, key};
}
inline std::uint64_t all(unsigned count) { return (std::uint64_t{1} << count) - 1; }

/// A damaged block and the word that block.md §10 has for it.
inline void write_defect(const fs::path& to, const std::string& name, const std::string& error,
                         ByteSpan block) {
  write_file(to / (name + ".bin"), block);
  const std::string text = "{\"error\": \"" + error + "\"}\n";
  write_file(to / (name + ".json"), as_bytes(text));
}

/// The same block with one feature bit turned.
inline void write_feature_defect(const fs::path& to, const std::string& name, Feature feature,
                                 std::vector<std::byte> block) {
  BlockHeader header = *parse_block_header(block);
  header.required ^= static_cast<std::uint32_t>(feature);
  write_block_header(header, block);
  write_defect(to, name, "malformed", block);
}

void write_phase_vectors(const fs::path& to);
void write_phase_defects(const fs::path& to);
void write_lossy_vectors(const fs::path& to);
void write_lossy_defects(const fs::path& to);
void write_cell_vectors(const fs::path& to);
void write_cell_defects(const fs::path& to);

}  // namespace ff::golden
