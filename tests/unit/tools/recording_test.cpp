// SPDX-License-Identifier: Apache-2.0
#include <fstream>
#include <tiffio.h>

#include "tests/unit/tools/recording_fixture.hpp"

using namespace ff;
using namespace ff::tools;

namespace {

void write_text(const std::filesystem::path& path, const std::string& text) { std::ofstream(path) << text; }

Error error_of(const std::string& source) {
  const auto opened = open_recording(source);
  REQUIRE_FALSE(opened.ok());
  return opened.error();
}

void write_tiff(const std::string& path, const FrameShape& shape, const Frames& frames,
                std::uint16_t format) {
  TIFF* tiff = TIFFOpen(path.c_str(), "w");
  REQUIRE(tiff != nullptr);
  for (const auto& frame : frames) {
    TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, shape.cols);
    TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, shape.rows);
    TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, static_cast<int>(8 * dtype_bytes(shape.dtype)));
    TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, 1);
    TIFFSetField(tiff, TIFFTAG_SAMPLEFORMAT, static_cast<int>(format));
    TIFFSetField(tiff, TIFFTAG_COMPRESSION, COMPRESSION_LZW);
    TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK);
    TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, 3);
    for (std::uint32_t row = 0; row < shape.rows; ++row) {
      std::vector<std::byte> line(frame.begin() + static_cast<std::ptrdiff_t>(row * shape.row_bytes()),
                                  frame.begin() + static_cast<std::ptrdiff_t>((row + 1) * shape.row_bytes()));
      REQUIRE(TIFFWriteScanline(tiff, line.data(), row, 0) == 1);
    }
    REQUIRE(TIFFWriteDirectory(tiff) == 1);
  }
  TIFFClose(tiff);
}

}  // namespace

TEST_CASE("a recording reads back as it was written, in every format and pixel type", "[recording]") {
  const test::TempDir folder;
  const Dtype dtype = GENERATE(Dtype::u8, Dtype::u16, Dtype::u32, Dtype::i16, Dtype::i32, Dtype::f32);
  const std::string name = GENERATE("a.json", "a.raw", "a.raw.zst", "a.h5", "a.h5:/some/where");
  const FrameShape shape{dtype, 13, 37};
  const Frames frames = made_up_frames(shape, 5);
  RecordingInfo info = info_of(shape, 5);
  info.sentinels = conventional_sentinels(dtype);
  info.pixel_mask.assign(shape.pixels(), 0);
  info.pixel_mask[7] = kPixelDead;
  const std::string path = (folder.path() / name).string();
  write_recording(path, info, frames);
  const auto reader = open_recording(path);
  REQUIRE(reader.ok());
  CHECK((*reader)->info().shape == shape);
  CHECK((*reader)->info().sentinels == info.sentinels);
  CHECK((*reader)->info().pixel_mask == info.pixel_mask);
  CHECK(read_all(**reader) == frames);
  std::vector<std::byte> again(shape.bytes());
  REQUIRE((*reader)->read(1, again).ok());  // backwards, also in a compressed file
  CHECK(again == frames[1]);
  CHECK((*reader)->read(5, again).error().code == Errc::out_of_range);
}

TEST_CASE("a TIFF stack is a recording, page by page", "[recording]") {
  const test::TempDir folder;
  const auto [dtype, format] = GENERATE(table<Dtype, std::uint16_t>({{Dtype::u8, SAMPLEFORMAT_UINT},
                                                                     {Dtype::u16, SAMPLEFORMAT_UINT},
                                                                     {Dtype::i32, SAMPLEFORMAT_INT},
                                                                     {Dtype::f32, SAMPLEFORMAT_IEEEFP}}));
  const FrameShape shape{dtype, 11, 23};
  const Frames frames = made_up_frames(shape, 4);
  const std::string path = (folder.path() / "stack.tif").string();
  write_tiff(path, shape, frames, format);
  const auto reader = open_recording(path);
  REQUIRE(reader.ok());
  CHECK((*reader)->info().frames == 4);
  CHECK((*reader)->info().shape == shape);
  CHECK(read_all(**reader) == frames);
}

TEST_CASE("an output is not there before it is whole, and never overwritten unasked", "[recording]") {
  const test::TempDir folder;
  const FrameShape shape{Dtype::u16, 4, 4};
  const std::string path = (folder.path() / GENERATE("a.h5", "a.raw", "a.json")).string();
  {
    auto writer = create_recording(path, info_of(shape, 2), false);
    REQUIRE(writer.ok());
    REQUIRE((*writer)->write(made_up_frames(shape, 1)[0]).ok());
    CHECK((*writer)->finish().error().code == Errc::truncated);
  }
  CHECK(std::filesystem::is_empty(folder.path()));
  write_recording(path, info_of(shape, 2), made_up_frames(shape, 2));
  CHECK(create_recording(path, info_of(shape, 2), false).error().code == Errc::already_exists);
}

TEST_CASE("a recording that can't be read is refused by name, with what to do", "[recording]") {
  const test::TempDir folder;
  const auto path = [&](const char* name) { return (folder.path() / name).string(); };
  CHECK(error_of(path("none.json")).code == Errc::not_found);
  write_text(path("a.raw"), std::string(32, '\0'));
  CHECK(error_of(path("a.raw")).code == Errc::not_found);  // no JSON beside it
  write_text(path("a.json"), "{\"file\": \"a.raw\", \"shape\": [2, 4, 4], \"dtype\": \"uint16\"}");
  CHECK(error_of(path("a.json")).code == Errc::truncated);
  write_text(path("a.json"), "{\"file\": \"a.raw\", \"shape\": [1, 4, 4], \"dtype\": \"complex64\"}");
  CHECK(error_of(path("a.json")).code == Errc::dtype_unsupported);
  write_text(path("a.json"), "{\"file\": \"a.raw\", \"shape\": [1, 0, 4], \"dtype\": \"uint16\"}");
  CHECK(error_of(path("a.json")).code == Errc::malformed);
  write_text(path("a.json"), "{\"file\": \"a.raw\", \"shape\": [1, 99999999, 4], \"dtype\": \"uint16\"}");
  CHECK(error_of(path("a.json")).code == Errc::too_large);
  write_text(path("a.json"), "{\"file\": ");
  CHECK(error_of(path("a.json")).code == Errc::malformed);
  write_text(path("b.h5"), "not HDF5 at all");
  CHECK(error_of(path("b.h5")).code == Errc::malformed);
  write_text(path("b.tif"), "not TIFF at all");
  CHECK(error_of(path("b.tif")).code == Errc::malformed);
  write_text(path("b.png"), "");
  CHECK(error_of(path("b.png")).code == Errc::invalid_argument);
  CHECK(error_of(path("b.png")).message.find("b.png") != std::string::npos);
}

TEST_CASE("a zstd recording that ends early or is damaged says in which frame", "[recording]") {
  const test::TempDir folder;
  const FrameShape shape{Dtype::u16, 64, 64};
  const std::string path = (folder.path() / "a.raw.zst").string();
  write_recording(path, info_of(shape, 8), made_up_frames(shape, 8));
  std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
  const auto reader = open_recording(path);
  REQUIRE(reader.ok());
  std::vector<std::byte> frame(shape.bytes());
  const Status read = (*reader)->read(7, frame);
  REQUIRE_FALSE(read.ok());
  CHECK(read.error().code == Errc::truncated);
  CHECK(read.error().message.find("frame ") != std::string::npos);
}

TEST_CASE("sentinels are declared as a list, not guessed from signs", "[recording]") {
  CHECK(parse_sentinels("65535").value() == std::vector<std::int64_t>{65535});
  CHECK(parse_sentinels("-1,-2").value() == std::vector<std::int64_t>{-1, -2});
  CHECK(parse_sentinels("none").value().empty());
  for (const char* wrong : {"", "x", "1,", "1;2", "1,2,3,4,5,6,7,8,9"})
    CHECK_FALSE(parse_sentinels(wrong).ok());
}
