// SPDX-License-Identifier: Apache-2.0
//
// Fuzz target of the block decoder: any bytes give an error or pixels, on every device the same.
//
// The CRCs are repaired first, because a fuzzer can't guess them and would never get behind them. With
// libFuzzer (clang): fuzz_block CORPUS. Without it: fuzz_block FOLDER [--mutations N] replays each file,
// mutated N times.
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "common/base/check.hpp"
#include "common/base/crc32c.hpp"
#include "kernels/codec.hpp"
#include "kernels/format/block_header.hpp"
#include "tests/support/group_images.hpp"

namespace {

using namespace ff;
using namespace ff::kernels;

constexpr std::size_t kGroupBytesMax = std::size_t{1} << 22;  // larger groups only slow the fuzzer down

void repair_crcs(std::vector<std::byte>& block) {
  if (block.size() < kBlockHeaderBytes) return;
  store_le(block.data(), kBlockMagic);
  store_le(block.data() + 24, static_cast<std::uint32_t>(block.size()));
  store_le(block.data() + 52, crc32c(ByteSpan(block).subspan(kBlockHeaderBytes)));
  store_le(block.data() + 60, crc32c(ByteSpan(block).first(60)));
}

void decode_on_every_device(std::vector<std::byte> block) {
  repair_crcs(block);
  const auto info = inspect_block(block);
  if (!info.ok()) return;
  const auto frames = static_cast<std::size_t>(std::popcount(info->place.present));
  if (frames * info->tile.bytes() > kGroupBytesMax) return;
  std::vector<std::byte> first;
  for (const Device device : {Device::reference, Device::cpu}) {
    auto state = TileState::create(info->tile);
    tests::FrameStack stack(info->tile, frames);
    const bool ok = decode_group(device, *state, block, stack.mutable_views()).ok();
    const std::vector<std::byte> result = ok ? stack.pixels : std::vector<std::byte>{};
    if (device == Device::reference) first = result;
    FF_CHECK(result == first);
  }
}

}  // namespace

#ifdef FF_LIBFUZZER
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  decode_on_every_device({bytes, bytes + size});
  return 0;
}
#else
int main(int argc, char** argv) {
  std::size_t mutations = 20, files = 0;
  tests::TestRandom random(1);
  for (int i = 1; i < argc; ++i) {
    if (std::string(argv[i]) == "--mutations" && i + 1 < argc) {
      mutations = std::strtoul(argv[++i], nullptr, 10);
      continue;
    }
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
      if (entry.path().extension() != ".bin") continue;
      std::ifstream file(entry.path(), std::ios::binary);
      const std::string text{std::istreambuf_iterator<char>(file), {}};
      const std::vector<std::byte> block(as_bytes(text).begin(), as_bytes(text).end());
      decode_on_every_device(block);
      for (std::size_t m = 0; m < mutations && !block.empty(); ++m) {
        auto damaged = block;
        for (std::uint64_t flips = 1 + random.below(4); flips > 0; --flips) {
          damaged[random.below(damaged.size())] = static_cast<std::byte>(random.next());
        }
        decode_on_every_device(std::move(damaged));
      }
      ++files;
    }
  }
  std::printf("fuzz_block: %zu files, %zu mutations each\n", files, mutations);
  return files == 0 ? 1 : 0;
}
#endif
