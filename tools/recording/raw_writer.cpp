// SPDX-License-Identifier: Apache-2.0
//
// Writes raw recordings: plain or zstd-compressed pixels, the JSON that describes them, the mask if there is
// one.
#include <filesystem>
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

class RawWriter final : public RecordingWriter {
 public:
  RawWriter(RecordingInfo info, RawTargets targets, PartFile raw, PartFile json, bool force)
      : info_(std::move(info)),
        targets_(std::move(targets)),
        raw_(std::move(raw)),
        json_(std::move(json)),
        force_(force) {
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

  Status finish() override {
    if (frames_ != info_.frames) {
      return fail(Errc::truncated, targets_.raw + ": " + std::to_string(frames_) + " of " +
                                       std::to_string(info_.frames) + " frames came");
    }
    if (context_) FF_TRY(compress({}, ZSTD_e_end));
    FF_TRY(raw_.commit());
    if (!targets_.mask.empty()) {
      FF_ASSIGN(PartFile mask, PartFile::create(targets_.mask, force_));
      FF_TRY(mask.write(std::as_bytes(std::span(info_.pixel_mask))));
      FF_TRY(mask.commit());
    }
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

  RecordingInfo info_;
  RawTargets targets_;
  PartFile raw_, json_;
  bool force_;
  std::unique_ptr<ZSTD_CCtx, CStreamFree> context_;
  std::vector<std::byte> coded_;
  std::uint64_t frames_ = 0;
};

}  // namespace

Result<RecordingWriterPtr> create_raw_recording(const std::string& target, const RecordingInfo& info,
                                                bool force) {
  RawTargets targets = targets_of(target, info);
  if (!targets.mask.empty()) FF_TRY(check_output(targets.mask, force));
  FF_ASSIGN(PartFile json, PartFile::create(targets.json, force));
  FF_ASSIGN(PartFile raw, PartFile::create(targets.raw, force));
  return RecordingWriterPtr(
      std::make_unique<RawWriter>(info, std::move(targets), std::move(raw), std::move(json), force));
}

}  // namespace ff::tools
