// SPDX-License-Identifier: Apache-2.0
//
// Windows, predictors and times around TEZip's back end.
#include "tools/bench/tezip_peer.hpp"

#include <algorithm>
#include <cstdlib>
#include <limits>

#include "tools/bench/tezip_back_end.hpp"

namespace ff::tools {

namespace {

using Frame = std::span<const std::int32_t>;

/// What is expected of the next frame, from the decoded frames since the key frame.
class Predictor {
 public:
  Predictor(TezipPredictor kind, std::size_t pixels) : kind_(kind), expected_(pixels), sum_(pixels) {}

  void start(Frame key) {
    frames_ = 0;
    std::ranges::fill(sum_, 0);
    update(key);
  }

  void update(Frame frame) {
    ++frames_;
    if (kind_ == TezipPredictor::previous) {
      std::ranges::copy(frame, expected_.begin());
      return;
    }
    for (std::size_t i = 0; i < frame.size(); ++i) {
      sum_[i] += frame[i];
      const std::int64_t twice = 2 * sum_[i] + frames_;
      const std::int64_t floor = twice / (2 * frames_) - (twice % (2 * frames_) < 0 ? 1 : 0);
      expected_[i] = static_cast<std::int32_t>(floor);
    }
  }

  [[nodiscard]] Frame expected() const noexcept { return expected_; }

 private:
  TezipPredictor kind_;
  std::vector<std::int32_t> expected_;
  std::vector<std::int64_t> sum_;
  std::int64_t frames_ = 0;
};

/// The range that decoded pixels are cut to.
std::pair<std::int64_t, std::int64_t> range_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::u8: return {0, 255};
    case Dtype::i8: return {-128, 127};
    case Dtype::u16: return {0, 65535};
    case Dtype::i16: return {-32768, 32767};
    default: return {std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()};
  }
}

struct Coded {
  std::vector<std::byte> keys, residuals;
};

class TezipCodec {
 public:
  TezipCodec(const FrameShape& shape, std::size_t frames, const TezipOptions& options)
      : pixels_(shape.pixels()), frames_(frames), options_(options), range_(range_of(shape.dtype)) {}

  Coded encode(std::span<const std::int32_t> values) const {
    Predictor predictor(options_.predictor, pixels_);
    std::vector<std::int32_t> keys, residuals, decoded(pixels_);
    residuals.reserve(values.size());
    for (std::size_t t = 0; t < frames_; ++t) {
      const Frame frame = values.subspan(t * pixels_, pixels_);
      if (is_key(t)) {
        keys.insert(keys.end(), frame.begin(), frame.end());
        predictor.start(frame);
        continue;
      }
      const std::size_t at = residuals.size();
      residuals.resize(at + pixels_);
      const auto residual = std::span(residuals).subspan(at, pixels_);
      for (std::size_t i = 0; i < pixels_; ++i) residual[i] = minus(frame[i], predictor.expected()[i]);
      merge_runs(residual, options_.bound);
      restore(predictor.expected(), residual, decoded);
      predictor.update(decoded);
    }
    return {zstd9(narrowed(keys)), encode_residuals(residuals)};
  }

  Result<std::vector<std::int32_t>> decode(const Coded& coded) const {
    const std::size_t windows = (frames_ + options_.window_frames - 1) / options_.window_frames;
    FF_ASSIGN(const std::vector<std::byte> keys, unzstd(coded.keys, windows * pixels_ * key_bytes()));
    FF_ASSIGN(const auto residuals, decode_residuals(coded.residuals, (frames_ - windows) * pixels_));
    Predictor predictor(options_.predictor, pixels_);
    std::vector<std::int32_t> values(frames_ * pixels_);
    std::size_t key = 0, at = 0;
    for (std::size_t t = 0; t < frames_; ++t) {
      const auto frame = std::span(values).subspan(t * pixels_, pixels_);
      if (is_key(t)) {
        widen(keys, key++ * pixels_, frame);
        predictor.start(frame);
        continue;
      }
      restore(predictor.expected(), std::span(residuals).subspan(at, pixels_), frame);
      predictor.update(frame);
      at += pixels_;
    }
    return values;
  }

 private:
  bool is_key(std::size_t t) const noexcept { return t % options_.window_frames == 0; }

  static std::int32_t minus(std::int32_t a, std::int32_t b) noexcept {  // modulo 2^32
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(a) - static_cast<std::uint32_t>(b));
  }

  void restore(Frame expected, Frame residual, std::span<std::int32_t> out) const {
    for (std::size_t i = 0; i < out.size(); ++i) {
      const auto sum = static_cast<std::int32_t>(static_cast<std::uint32_t>(expected[i]) +
                                                 static_cast<std::uint32_t>(residual[i]));
      out[i] = static_cast<std::int32_t>(std::clamp<std::int64_t>(sum, range_.first, range_.second));
    }
  }

  std::size_t key_bytes() const noexcept { return range_.second <= 255 ? 1 : range_.second <= 65535 ? 2 : 4; }

  std::vector<std::byte> narrowed(const std::vector<std::int32_t>& values) const {
    std::vector<std::byte> out(values.size() * key_bytes());
    for (std::size_t i = 0; i < values.size(); ++i) {
      for (std::size_t b = 0; b < key_bytes(); ++b)
        out[i * key_bytes() + b] = static_cast<std::byte>(static_cast<std::uint32_t>(values[i]) >> (8 * b));
    }
    return out;
  }

  void widen(const std::vector<std::byte>& keys, std::size_t at, std::span<std::int32_t> out) const {
    const unsigned unused = static_cast<unsigned>(32 - 8 * key_bytes());
    for (std::size_t i = 0; i < out.size(); ++i) {
      std::uint32_t value = 0;
      for (std::size_t b = 0; b < key_bytes(); ++b)
        value |= std::to_integer<std::uint32_t>(keys[(at + i) * key_bytes() + b]) << (8 * b);
      out[i] = range_.first < 0 ? static_cast<std::int32_t>(value << unused) >> unused
                                : static_cast<std::int32_t>(value);
    }
  }

  std::size_t pixels_, frames_;
  TezipOptions options_;
  std::pair<std::int64_t, std::int64_t> range_;
};

/// Largest difference; nothing where it is above the bound.
std::optional<std::int64_t> error_within(Frame original, Frame decoded, std::int64_t bound) {
  std::int64_t largest = 0;
  for (std::size_t i = 0; i < original.size(); ++i)
    largest = std::max(largest, std::abs(std::int64_t{original[i]} - decoded[i]));
  if (largest > bound) return std::nullopt;
  return largest;
}

}  // namespace

Measured measure_tezip(const BenchFrames& frames, const TezipOptions& options) {
  Measured result;
  const bool mean = options.predictor == TezipPredictor::mean;
  result.codec = mean ? "tezip-mean" : "tezip-previous";
  result.label = mean ? "TEZip back end, running mean" : "TEZip back end, previous frame";
  result.frames = frames.frames;
  result.raw_bytes = frames.pixels.size();
  std::vector<std::int32_t> values;
  for (const std::int64_t value : pixel_values(frames)) values.push_back(static_cast<std::int32_t>(value));
  const TezipCodec codec(frames.info.shape, frames.frames, options);
  std::vector<double> encode_s, decode_s;
  double spent = 0;
  for (int i = 0; i < options.repeat && (i == 0 || spent < options.max_seconds); ++i) {
    Coded coded;
    Result<std::vector<std::int32_t>> decoded = std::vector<std::int32_t>{};
    encode_s.push_back(seconds_of([&] { coded = codec.encode(values); }));
    decode_s.push_back(seconds_of([&] { decoded = codec.decode(coded); }));
    spent += encode_s.back() + decode_s.back();
    const auto error = decoded.ok() ? error_within(values, *decoded, options.bound) : std::nullopt;
    if (!error) {
      return not_measured(result.codec, result.label, MeasureState::failed,
                          decoded.ok() ? "a decoded pixel is above the bound" : decoded.error().message);
    }
    if (options.bound > 0) result.max_error = static_cast<double>(*error);
    result.bytes = coded.keys.size() + coded.residuals.size();
  }
  result.encode_gb_s = gigabytes_per_second(static_cast<double>(result.raw_bytes), encode_s);
  result.decode_gb_s = gigabytes_per_second(static_cast<double>(result.raw_bytes), decode_s);
  return result;
}

}  // namespace ff::tools
