// SPDX-License-Identifier: Apache-2.0
//
// Frame by frame through bitshuffle, LZ4, zstd and TERSE.
#include "tools/bench/frame_peers.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <zstd.h>

#include "kernels/interop/bslz4.hpp"
#include "tools/bench/terse_code.hpp"

namespace ff::tools {

namespace {

/// One codec for single frames. encode gives 0, decode false on failure.
class FrameCoder {
 public:
  virtual ~FrameCoder() = default;
  [[nodiscard]] virtual std::size_t bound() const = 0;
  virtual std::size_t encode(ByteSpan frame, MutableByteSpan out) = 0;
  virtual bool decode(ByteSpan coded, MutableByteSpan frame) = 0;
};

class BitshuffleLz4 final : public FrameCoder {
 public:
  explicit BitshuffleLz4(const FrameShape& shape) : shape_(shape) {}
  std::size_t bound() const override {
    return kernels::detector_compressed_bound(kKind, shape_.bytes(), dtype_bytes(shape_.dtype));
  }
  std::size_t encode(ByteSpan frame, MutableByteSpan out) override {
    const auto bytes = kernels::compress_detector(kKind, frame, dtype_bytes(shape_.dtype), out);
    return bytes.ok() ? *bytes : 0;
  }
  bool decode(ByteSpan coded, MutableByteSpan frame) override {
    return kernels::decompress_detector(kKind, coded, dtype_bytes(shape_.dtype), frame).ok();
  }

 private:
  static constexpr auto kKind = kernels::DetectorCompression::bslz4;
  FrameShape shape_;
};

struct ZstdFree {
  void operator()(ZSTD_CCtx* context) const noexcept { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const noexcept { ZSTD_freeDCtx(context); }
};

class Zstd : public FrameCoder {
 public:
  Zstd(const FrameShape& shape, int level) : shape_(shape), level_(level) {}
  std::size_t bound() const override { return ZSTD_compressBound(shape_.bytes()); }
  std::size_t encode(ByteSpan frame, MutableByteSpan out) override {
    const std::size_t bytes =
        ZSTD_compressCCtx(writer_.get(), out.data(), out.size(), frame.data(), frame.size(), level_);
    return ZSTD_isError(bytes) ? 0 : bytes;
  }
  bool decode(ByteSpan coded, MutableByteSpan frame) override {
    return ZSTD_decompressDCtx(reader_.get(), frame.data(), frame.size(), coded.data(), coded.size()) ==
           frame.size();
  }

 protected:
  FrameShape shape_;

 private:
  int level_;
  std::unique_ptr<ZSTD_CCtx, ZstdFree> writer_{ZSTD_createCCtx()};
  std::unique_ptr<ZSTD_DCtx, ZstdFree> reader_{ZSTD_createDCtx()};
};

/// Blocks of 8 KiB behind their lengths; pixels beyond a multiple of eight stay as they are. The 12 bytes that
/// open bitshuffle's chunks are counted.
class BitshuffleZstd final : public Zstd {
 public:
  explicit BitshuffleZstd(const FrameShape& shape) : Zstd(shape, 3), planes_(kBlock) {}
  std::size_t bound() const override {
    return kHeader + (shape_.bytes() / kBlock + 1) * (4 + ZSTD_compressBound(kBlock)) + 64;
  }

  std::size_t encode(ByteSpan frame, MutableByteSpan out) override {
    std::size_t at = kHeader;
    const std::size_t whole = whole_bytes();
    for (std::size_t first = 0; first < whole; first += kBlock) {
      const ByteSpan block = frame.subspan(first, std::min(kBlock, whole - first));
      const auto planes = MutableByteSpan(planes_).first(block.size());
      kernels::bitshuffle(block, dtype_bytes(shape_.dtype), planes);
      const std::size_t bytes = Zstd::encode(planes, out.subspan(at + 4));
      if (bytes == 0) return 0;
      const auto length = static_cast<std::uint32_t>(bytes);
      std::memcpy(out.data() + at, &length, 4);
      at += 4 + bytes;
    }
    const ByteSpan rest = frame.subspan(whole);
    std::copy(rest.begin(), rest.end(), out.begin() + static_cast<std::ptrdiff_t>(at));
    return at + rest.size();
  }

  bool decode(ByteSpan coded, MutableByteSpan frame) override {
    std::size_t at = kHeader;
    const std::size_t whole = whole_bytes();
    for (std::size_t first = 0; first < whole; first += kBlock) {
      const auto block = frame.subspan(first, std::min(kBlock, whole - first));
      std::uint32_t length = 0;
      if (coded.size() - at < 4) return false;
      std::memcpy(&length, coded.data() + at, 4);
      at += 4;
      if (length > coded.size() - at) return false;
      const auto planes = MutableByteSpan(planes_).first(block.size());
      if (!Zstd::decode(coded.subspan(at, length), planes)) return false;
      kernels::bitunshuffle(planes, dtype_bytes(shape_.dtype), block);
      at += length;
    }
    const ByteSpan rest = coded.subspan(at);
    if (rest.size() != frame.size() - whole) return false;
    std::copy(rest.begin(), rest.end(), frame.begin() + static_cast<std::ptrdiff_t>(whole));
    return true;
  }

 private:
  static constexpr std::size_t kBlock = 8192, kHeader = 12;

  [[nodiscard]] std::size_t whole_bytes() const noexcept {
    const std::size_t eight = 8 * dtype_bytes(shape_.dtype);
    return shape_.bytes() / eight * eight;
  }

  std::vector<std::byte> planes_;
};

class Terse final : public FrameCoder {
 public:
  explicit Terse(const FrameShape& shape) : shape_(shape) {}
  std::size_t bound() const override { return terse_bound(shape_); }
  std::size_t encode(ByteSpan frame, MutableByteSpan out) override {
    return terse_encode(shape_, frame, out);
  }
  bool decode(ByteSpan coded, MutableByteSpan frame) override {
    return terse_decode(shape_, coded, frame).ok();
  }

 private:
  FrameShape shape_;
};

std::unique_ptr<FrameCoder> coder_named(std::string_view codec, const FrameShape& shape) {
  if (codec == "bitshuffle-lz4") return std::make_unique<BitshuffleLz4>(shape);
  if (codec == "bitshuffle-zstd") return std::make_unique<BitshuffleZstd>(shape);
  if (codec == "zstd-1") return std::make_unique<Zstd>(shape, 1);
  if (codec == "zstd-3") return std::make_unique<Zstd>(shape, 3);
  return std::make_unique<Terse>(shape);
}

struct PeerRound {
  double encode_s = 0, decode_s = 0;
  std::uint64_t bytes = 0;
  bool good = true;
};

PeerRound code_all(const BenchFrames& frames, FrameCoder& coder) {
  std::vector<std::byte> out(coder.bound()), back(frames.info.shape.bytes());
  PeerRound round;
  for (std::uint64_t t = 0; t < frames.frames; ++t) {
    const ByteSpan raw = frames.frame_bytes(t);
    std::size_t bytes = 0;
    bool decoded = false;
    round.encode_s += seconds_of([&] { bytes = coder.encode(raw, out); });
    if (bytes != 0)
      round.decode_s += seconds_of([&] { decoded = coder.decode(ByteSpan(out).first(bytes), back); });
    round.good = round.good && decoded && std::memcmp(back.data(), raw.data(), raw.size()) == 0;
    round.bytes += bytes;
  }
  return round;
}

}  // namespace

std::span<const FramePeer> frame_peers() noexcept {
  static constexpr FramePeer kPeers[] = {{"bitshuffle-lz4", "bitshuffle+LZ4"},
                                         {"bitshuffle-zstd", "bitshuffle+zstd-3"},
                                         {"zstd-1", "zstd-1"},
                                         {"zstd-3", "zstd-3"},
                                         {"terse", "TERSE/PROLIX"}};
  return kPeers;
}

Measured measure_frame_peer(const BenchFrames& frames, std::string_view codec, int repeat) {
  const auto peers = frame_peers();
  const auto peer = std::ranges::find(peers, codec, &FramePeer::codec);
  Measured result;
  result.codec = codec;
  result.label = peer == peers.end() ? std::string(codec) : peer->label;
  result.frames = frames.frames;
  result.raw_bytes = frames.pixels.size();
  const auto coder = coder_named(codec, frames.info.shape);
  std::vector<double> encode_s, decode_s;
  for (int i = 0; i < repeat; ++i) {
    const PeerRound round = code_all(frames, *coder);
    if (!round.good)
      return not_measured(result.codec, result.label, MeasureState::failed, "a decoded frame differs");
    result.bytes = round.bytes;
    encode_s.push_back(round.encode_s);
    decode_s.push_back(round.decode_s);
  }
  result.encode_gb_s = gigabytes_per_second(static_cast<double>(result.raw_bytes), encode_s);
  result.decode_gb_s = gigabytes_per_second(static_cast<double>(result.raw_bytes), decode_s);
  return result;
}

}  // namespace ff::tools
