// SPDX-License-Identifier: Apache-2.0
//
// Writes raw recordings: plain or zstd-compressed pixels, the JSON that describes them, the mask if there is
// one.
#include <atomic>
#include <filesystem>
#include <optional>
#include <zstd.h>

#include <nlohmann/json.hpp>

#include "tools/recording/part_file.hpp"
#include "tools/recording/recording_writer.hpp"

namespace ff::tools {

namespace {

namespace fs = std::filesystem;

struct CStreamFree {
  void operator()(ZSTD_CCtx* context) const noexcept { ZSTD_freeCCtx(context); }
};

/// The files of one raw recording; the JSON comes last, so that whoever finds it finds the pixels too.
struct RawTargets {
  std::string raw, json, mask;
  bool compressed = false;
};

std::string short_name(Dtype dtype) {
  std::string name(dtype_name(dtype));
  const std::string kind = name.starts_with("uint") ? "u" : name.starts_with("int") ? "i" : "f";
  return kind + std::to_string(dtype_bytes(dtype) * 8);
}

RawTargets targets_of(const std::string& target, const RecordingInfo& info) {
  RawTargets targets;
  std::string stem = target;
  const auto cut = [&](std::string_view ending) {
    if (!stem.ends_with(ending)) return false;
    stem.resize(stem.size() - ending.size());
    return true;
  };
  if (cut(".json")) {
    targets.raw = stem + "." + short_name(info.shape.dtype) + ".raw";
  } else {
    targets.compressed = cut(".zst");
    cut(".raw");
    targets.raw = target;
    cut("." + short_name(info.shape.dtype));
  }
  targets.json = stem + ".json";
  if (!info.pixel_mask.empty()) targets.mask = stem + ".mask.u32.raw";
  return targets;
}

nlohmann::ordered_json describe(const RawTargets& targets, const RecordingInfo& info) {
  nlohmann::ordered_json described = {
      {"file", fs::path(targets.raw).filename().string()},
      {"shape", {info.frames, info.shape.rows, info.shape.cols}},
      {"dtype", std::string(dtype_name(info.shape.dtype))},
      {"byteorder", "little"},
      {"sentinels", info.sentinels},
  };
  if (info.frame_time_s) described["frame_time_s"] = *info.frame_time_s;
  if (!targets.mask.empty()) described["pixel_mask"] = fs::path(targets.mask).filename().string();
  if (!info.description.empty()) described["shows"] = info.description;
  if (info.entropy_bits_per_pixel) described["entropy_bits_per_pixel"] = *info.entropy_bits_per_pixel;
  return described;
}

RecordingInfo without_mask(const RecordingInfo& info) {
  RecordingInfo rest;
  rest.source = info.source;
  rest.description = info.description;
  rest.detector_mode = info.detector_mode;
  rest.shape = info.shape;
  rest.frames = info.frames;
  rest.frame_time_s = info.frame_time_s;
  rest.sentinels = info.sentinels;
  rest.entropy_bits_per_pixel = info.entropy_bits_per_pixel;
  return rest;
}

class RawWriter final : public RecordingWriter {
 public:
  RawWriter(RecordingInfo info, RawTargets targets, PartFile raw, PartFile json, std::optional<PartFile> mask)
      : info_(std::move(info)),
        targets_(std::move(targets)),
        raw_(std::move(raw)),
        json_(std::move(json)),
        mask_(std::move(mask)) {
    if (!targets_.compressed) return;
    context_.reset(ZSTD_createCCtx());
    ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, 3);
    ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_checksumFlag, 1);
    coded_.resize(ZSTD_CStreamOutSize());
  }

  Status write(ByteSpan pixels) override {
    if (pixels.size() != info_.shape.bytes()) {
      return fail(Errc::shape_mismatch,
                  targets_.raw + ": frame " + std::to_string(frames_) + " has the wrong size");
    }
    ++frames_;
    return context_ ? compress(pixels, ZSTD_e_continue) : raw_.write(pixels);
  }

  bool has_places() const noexcept override { return !targets_.compressed; }

  Status write_at(std::uint64_t index, ByteSpan frames) override {
    const std::uint64_t count = frames.size() / info_.shape.bytes();
    if (frames.size() % info_.shape.bytes() != 0 || count > info_.frames || index > info_.frames - count) {
      return fail(Errc::out_of_range,
                  targets_.raw + ": frames from " + std::to_string(index) + " on have no place in it");
    }
    frames_ += count;
    return raw_.write_at(index * info_.shape.bytes(), frames);
  }

  Status finish() override {
    if (frames_ != info_.frames) {
      return fail(Errc::truncated, targets_.raw + ": " + std::to_string(frames_) + " of " +
                                       std::to_string(info_.frames) + " frames came");
    }
    if (context_) FF_TRY(compress({}, ZSTD_e_end));
    FF_TRY(raw_.commit());
    if (mask_) FF_TRY(mask_->commit());
    FF_TRY(json_.write(as_bytes(describe(targets_, info_).dump(1) + "\n")));
    return json_.commit();
  }

 private:
  Status compress(ByteSpan pixels, ZSTD_EndDirective directive) {
    ZSTD_inBuffer in{pixels.data(), pixels.size(), 0};
    for (;;) {
      ZSTD_outBuffer out{coded_.data(), coded_.size(), 0};
      const std::size_t left = ZSTD_compressStream2(context_.get(), &out, &in, directive);
      if (ZSTD_isError(left))
        return fail(Errc::io_error, targets_.raw + ": zstd says " + ZSTD_getErrorName(left));
      FF_TRY(raw_.write(ByteSpan(coded_).first(out.pos)));
      const bool done = directive == ZSTD_e_end ? left == 0 : in.pos == in.size;
      if (done) return {};
    }
  }

  RecordingInfo info_;  ///< without the mask: that is in its file
  RawTargets targets_;
  PartFile raw_, json_;
  std::optional<PartFile> mask_;
  std::unique_ptr<ZSTD_CCtx, CStreamFree> context_;
  std::vector<std::byte> coded_;
  std::atomic<std::uint64_t> frames_{0};
};

}  // namespace

Result<RecordingWriterPtr> create_raw_recording(const std::string& target, const RecordingInfo& info,
                                                bool force) {
  RawTargets targets = targets_of(target, info);
  FF_ASSIGN(PartFile json, PartFile::create(targets.json, force));
  FF_ASSIGN(PartFile raw, PartFile::create(targets.raw, force));
  std::optional<PartFile> mask;
  if (!targets.mask.empty()) {
    FF_ASSIGN(PartFile file, PartFile::create(targets.mask, force));
    FF_TRY(file.write(std::as_bytes(std::span(info.pixel_mask))));
    mask.emplace(std::move(file));
  }
  return RecordingWriterPtr(std::make_unique<RawWriter>(without_mask(info), std::move(targets),
                                                        std::move(raw), std::move(json), std::move(mask)));
}

}  // namespace ff::tools
