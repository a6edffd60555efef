// SPDX-License-Identifier: Apache-2.0
//
// Window leaf: writing and reading it, byte for byte.
#include "hpc_sink/seal/window_leaf.hpp"

namespace ff::sink {
namespace {

constexpr std::uint8_t kLeafVersion = 1;
constexpr std::uint8_t kComplete = 1, kReported = 2;
constexpr std::size_t kFramesMax = 64, kSha256Bytes = 32;

template <typename T>
void put(std::string& bytes, T value) {
  char raw[sizeof value];
  store_le(raw, value);
  bytes.append(raw, sizeof raw);
}

}  // namespace

std::string leaf_bytes(std::uint32_t stream, const WindowFates& window) {
  std::string bytes;
  put<std::uint8_t>(bytes, kLeafVersion);
  put<std::uint32_t>(bytes, stream);
  put<std::uint64_t>(bytes, window.window);
  put<std::uint8_t>(bytes, static_cast<std::uint8_t>((window.complete ? kComplete : 0) |
                                                     (window.reported ? kReported : 0)));
  put<std::uint8_t>(bytes, static_cast<std::uint8_t>(window.fates.size()));
  for (const FrameFate fate : window.fates) put<std::uint8_t>(bytes, fate.state);
  for (const FrameFate fate : window.fates) put<std::uint8_t>(bytes, fate.stage);
  put<std::uint8_t>(bytes, static_cast<std::uint8_t>(window.payload_sha256.size()));
  bytes += window.payload_sha256;
  for (std::size_t i = 0; i < window.fates.size(); ++i)
    if (is_stored(window.fates[i])) put<std::uint32_t>(bytes, pixel_crc_of(window, i));
  return bytes;
}

Result<WindowLeaf> parse_leaf(ByteSpan bytes) {
  ByteReader reader(bytes);
  const auto version = reader.read<std::uint8_t>();
  WindowLeaf leaf;
  leaf.stream = reader.read<std::uint32_t>();
  leaf.window.window = reader.read<std::uint64_t>();
  const auto flags = reader.read<std::uint8_t>();
  const std::size_t frames = reader.read<std::uint8_t>();
  const ByteSpan states = reader.take(frames), stages = reader.take(frames);
  const std::size_t digest_bytes = reader.read<std::uint8_t>();
  const ByteSpan digest = reader.take(digest_bytes);
  if (!reader.ok()) return fail(Errc::truncated, "a window's leaf is cut off");
  if (version != kLeafVersion || flags > (kComplete | kReported) || frames > kFramesMax ||
      (digest_bytes != 0 && digest_bytes != kSha256Bytes))
    return fail(Errc::malformed, "a window's leaf has a version, flag or length that none has");
  leaf.window.complete = (flags & kComplete) != 0;
  leaf.window.reported = (flags & kReported) != 0;
  leaf.window.payload_sha256 = as_text(digest);
  leaf.window.pixel_crcs.resize(frames);
  for (std::size_t i = 0; i < frames; ++i) {
    leaf.window.fates.push_back({static_cast<std::uint8_t>(states[i]), static_cast<std::uint8_t>(stages[i])});
    if (is_stored(leaf.window.fates[i])) leaf.window.pixel_crcs[i] = reader.read<std::uint32_t>();
  }
  if (!reader.ok() || !reader.rest().empty())
    return fail(Errc::malformed, "a window's leaf has too few or too many pixel CRCs");
  return leaf;
}

}  // namespace ff::sink
