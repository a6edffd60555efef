// SPDX-License-Identifier: Apache-2.0
//
// TIFF recordings: a stack with one page a frame; 8-, 16- or 32-bit integers or float32, one sample a pixel.
#include <algorithm>
#include <cstdarg>
#include <cstring>
#include <filesystem>
#include <tiffio.h>

#include "tools/recording/recording.hpp"

namespace ff::tools {

namespace {

struct TiffCloser {
  void operator()(TIFF* tiff) const noexcept { TIFFClose(tiff); }
};
using Tiff = std::unique_ptr<TIFF, TiffCloser>;

thread_local std::string last_tiff_error;  // libtiff reports through a global handler, without a context

void keep_tiff_error(const char* /*module*/, const char* format, va_list values) {
  char text[256];
  std::vsnprintf(text, sizeof text, format, values);
  last_tiff_error = text;
}

Tiff open_tiff(const std::string& path) {
  TIFFSetWarningHandler(nullptr);  // every vendor's private tag would be a warning
  TIFFSetErrorHandler(&keep_tiff_error);
  last_tiff_error.clear();
  return Tiff(TIFFOpen(path.c_str(), "r"));
}

std::optional<Dtype> dtype_of(std::uint16_t format, std::uint16_t bits) {
  switch (format) {
    case SAMPLEFORMAT_UINT:
    case SAMPLEFORMAT_VOID:
      return bits == 8    ? std::optional(Dtype::u8)
             : bits == 16 ? std::optional(Dtype::u16)
             : bits == 32 ? std::optional(Dtype::u32)
                          : std::nullopt;
    case SAMPLEFORMAT_INT:
      return bits == 8    ? std::optional(Dtype::i8)
             : bits == 16 ? std::optional(Dtype::i16)
             : bits == 32 ? std::optional(Dtype::i32)
                          : std::nullopt;
    case SAMPLEFORMAT_IEEEFP: return bits == 32 ? std::optional(Dtype::f32) : std::nullopt;
    default: return std::nullopt;
  }
}

/// Shape of the page that `tiff` stands at.
Result<FrameShape> page_shape(TIFF* tiff, const std::string& where) {
  std::uint32_t rows = 0, cols = 0;
  std::uint16_t bits = 1, samples = 1, format = SAMPLEFORMAT_UINT;
  TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &rows);
  TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &cols);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &bits);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &samples);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLEFORMAT, &format);
  const auto dtype = dtype_of(format, bits);
  if (samples != 1 || !dtype) {
    return fail(Errc::dtype_unsupported, where + ": " + std::to_string(samples) + " samples of " +
                                             std::to_string(bits) +
                                             " bits a pixel; frames have one sample of 8, 16 or 32 bits");
  }
  return FrameShape{*dtype, rows, cols};
}

class TiffReader final : public FrameReader {
 public:
  TiffReader(RecordingInfo info, Tiff tiff) : FrameReader(std::move(info)), tiff_(std::move(tiff)) {}

  Status read(std::uint64_t index, MutableByteSpan pixels) override {
    FF_TRY(check_read(index, pixels));
    const std::string where = info_.source + ": page " + std::to_string(index);
    FF_TRY(go_to(index, where));
    FF_ASSIGN(const FrameShape shape, page_shape(tiff_.get(), where));
    if (shape != info_.shape) {
      return fail(Errc::shape_mismatch,
                  where + " is " + std::to_string(shape.rows) + " x " + std::to_string(shape.cols) + " " +
                      std::string(dtype_name(shape.dtype)) + ", unlike page 0; split the stack");
    }
    return TIFFIsTiled(tiff_.get()) != 0 ? read_tiles(pixels, where) : read_rows(pixels, where);
  }

 private:
  /// Pages are a linked list: the next one is one step away, an earlier one means walking from the front.
  Status go_to(std::uint64_t index, const std::string& where) {
    if (index == page_) return {};
    const bool there = index == page_ + 1 ? TIFFReadDirectory(tiff_.get()) != 0
                                          : TIFFSetDirectory(tiff_.get(), static_cast<tdir_t>(index)) != 0;
    if (!there) return fail(Errc::malformed, where + " can't be found: " + last_tiff_error);
    page_ = index;
    return {};
  }

  Status read_rows(MutableByteSpan pixels, const std::string& where) {
    const std::size_t row_bytes = info_.shape.row_bytes();
    if (TIFFScanlineSize64(tiff_.get()) != row_bytes)
      return fail(Errc::malformed, where + ": its rows have the wrong length");
    for (std::uint32_t row = 0; row < info_.shape.rows; ++row) {
      if (TIFFReadScanline(tiff_.get(), pixels.data() + row * row_bytes, row, 0) != 1) {
        return fail(Errc::malformed, where + ": row " + std::to_string(row) + ": " + last_tiff_error);
      }
    }
    return {};
  }

  Status read_tiles(MutableByteSpan pixels, const std::string& where) {
    std::uint32_t tile_rows = 0, tile_cols = 0;
    TIFFGetField(tiff_.get(), TIFFTAG_TILELENGTH, &tile_rows);
    TIFFGetField(tiff_.get(), TIFFTAG_TILEWIDTH, &tile_cols);
    const std::size_t pixel_bytes = dtype_bytes(info_.shape.dtype), tile_row_bytes = tile_cols * pixel_bytes;
    if (tile_rows == 0 || tile_cols == 0 || tile_row_bytes * tile_rows > kRecordingFrameBytesMax ||
        TIFFTileSize64(tiff_.get()) != tile_row_bytes * tile_rows) {
      return fail(Errc::malformed, where + ": its tiles have an impossible size");
    }
    std::vector<std::byte> tile(tile_row_bytes * tile_rows);
    for (std::uint32_t row = 0; row < info_.shape.rows; row += tile_rows) {
      for (std::uint32_t col = 0; col < info_.shape.cols; col += tile_cols) {
        if (TIFFReadTile(tiff_.get(), tile.data(), col, row, 0, 0) < 0) {
          return fail(Errc::malformed,
                      where + ": tile at row " + std::to_string(row) + ": " + last_tiff_error);
        }
        const std::uint32_t rows = std::min(tile_rows, info_.shape.rows - row),
                            cols = std::min(tile_cols, info_.shape.cols - col);
        for (std::uint32_t i = 0; i < rows; ++i) {
          std::memcpy(pixels.data() + (row + i) * info_.shape.row_bytes() + col * pixel_bytes,
                      tile.data() + i * tile_row_bytes, cols * pixel_bytes);
        }
      }
    }
    return {};
  }

  Tiff tiff_;
  std::uint64_t page_ = 0;
};

}  // namespace

Result<FrameReaderPtr> open_tiff_recording(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return fail(Errc::not_found, path + ": no such file");
  Tiff tiff = open_tiff(path);
  if (!tiff) return fail(Errc::malformed, path + ": can't be opened as TIFF: " + last_tiff_error);
  RecordingInfo info;
  info.source = path;
  FF_ASSIGN(info.shape, page_shape(tiff.get(), path + ": page 0"));
  info.frames = TIFFNumberOfDirectories(tiff.get());
  FF_TRY(check_recording_shape(path, info.shape, info.frames));
  if (TIFFSetDirectory(tiff.get(), 0) == 0)
    return fail(Errc::malformed, path + ": page 0: " + last_tiff_error);
  return FrameReaderPtr(std::make_unique<TiffReader>(std::move(info), std::move(tiff)));
}

}  // namespace ff::tools
