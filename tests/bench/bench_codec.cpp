// SPDX-License-Identifier: Apache-2.0
//
// bench_codec: sizes and speeds of the codec beside bitshuffle + LZ4, bitshuffle + zstd-3 and zstd-3, on the
// same frames in the same run.
//
//   bench_codec [--window N] [--group N] [--device reference|cpu] [--repeat N] [--sizes FILE] [RECORDING ...]
//
// Peers compress one frame at a time, bitshuffle in 8 KiB blocks, as HDF5 filter 32008 does. Times are the
// best of N on one thread; every decoded pixel is compared. --sizes writes the exact sizes and nothing else.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <functional>
#include <lz4.h>
#include <string>
#include <vector>
#include <zstd.h>

#include "kernels/codec.hpp"
#include "kernels/interop/bslz4.hpp"
#include "tests/support/group_codec.hpp"
#include "tests/support/recording_for_tests.hpp"

namespace {

using ff::kernels::Device;
using ff::kernels::Profile;
using ff::tests::Recording;

struct Arguments {
  std::uint32_t window = 16, group = 0;
  Device device = Device::cpu;
  int repeat = 3;
  std::string sizes_file;
  std::vector<std::string> names;
};

struct Measured {
  std::size_t bytes = 0;
  double plan_s = 1e9, encode_s = 1e9, decode_s = 1e9;
};

// Time of this thread alone: a busy machine does not change it much.
double seconds(const std::function<void()>& work) {
  const auto now = [] {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  };
  const double start = now();
  work();
  return now() - start;
}

Measured measure_codec(const Recording& recording, const Arguments& arguments) {
  Measured best;
  for (int round = 0; round < arguments.repeat; ++round) {
    ff::tests::GroupCodec codec(recording, arguments.device, arguments.window, arguments.group);
    codec.run();
    best.bytes = codec.coded_bytes();
    best.plan_s = std::min(best.plan_s, codec.plan_seconds());
    best.encode_s = std::min(best.encode_s, codec.encode_seconds());
    best.decode_s = std::min(best.decode_s, codec.decode_seconds());
  }
  return best;
}

// One frame as HDF5's bitshuffle + zstd filter stores it, block by block.
std::size_t bitshuffle_zstd_bytes(ff::ByteSpan frame, std::size_t element_bytes) {
  constexpr std::size_t kBlock = 8192;
  std::vector<std::byte> planes(kBlock), out(ZSTD_compressBound(kBlock));
  std::size_t total = 12;
  const std::size_t whole = frame.size() / (8 * element_bytes) * (8 * element_bytes);
  for (std::size_t at = 0; at < whole; at += kBlock) {
    const ff::ByteSpan block = frame.subspan(at, std::min(kBlock, whole - at));
    ff::kernels::bitshuffle(block, element_bytes, ff::MutableByteSpan(planes).first(block.size()));
    total += 4 + ZSTD_compress(out.data(), out.size(), planes.data(), block.size(), 3);
  }
  return total + frame.size() - whole;
}

Measured measure_bslz4(const Recording& recording, int repeat) {
  const std::size_t width = ff::dtype_bytes(recording.shape.dtype), frame_bytes = recording.shape.bytes();
  const auto kind = ff::kernels::DetectorCompression::bslz4;
  std::vector<std::vector<std::byte>> frames(recording.frames);
  std::vector<std::byte> out(ff::kernels::detector_compressed_bound(kind, frame_bytes, width)),
      back(frame_bytes);
  Measured best;
  for (int round = 0; round < repeat; ++round) {
    best.bytes = 0;
    double encode = 0, decode = 0;
    for (std::size_t t = 0; t < recording.frames; ++t) {
      const ff::ByteSpan raw = ff::ByteSpan(recording.pixels).subspan(t * frame_bytes, frame_bytes);
      std::size_t bytes = 0;
      encode += seconds([&] { bytes = *ff::kernels::compress_detector(kind, raw, width, out); });
      decode += seconds(
          [&] { (void)ff::kernels::decompress_detector(kind, ff::ByteSpan(out).first(bytes), width, back); });
      best.bytes += bytes;
    }
    best.encode_s = std::min(best.encode_s, encode);
    best.decode_s = std::min(best.decode_s, decode);
  }
  return best;
}

std::size_t peer_zstd_bytes(const Recording& recording, bool bitshuffled) {
  const std::size_t frame_bytes = recording.shape.bytes();
  std::vector<std::byte> out(ZSTD_compressBound(frame_bytes));
  std::size_t total = 0;
  for (std::size_t t = 0; t < recording.frames; ++t) {
    const ff::ByteSpan raw = ff::ByteSpan(recording.pixels).subspan(t * frame_bytes, frame_bytes);
    total += bitshuffled ? bitshuffle_zstd_bytes(raw, ff::dtype_bytes(recording.shape.dtype))
                         : ZSTD_compress(out.data(), out.size(), raw.data(), raw.size(), 3);
  }
  return total;
}

void print_row(const Recording& recording, const Arguments& arguments) {
  const Measured ours = measure_codec(recording, arguments);
  const Measured bslz4 = measure_bslz4(recording, arguments.repeat);
  const double pixels = static_cast<double>(recording.frames * recording.shape.pixels());
  const double raw = static_cast<double>(recording.pixels.size());
  const auto bits = [&](std::size_t bytes) { return static_cast<double>(bytes) * 8 / pixels; };
  std::printf("%-26s %7.4f %7.4f %7.4f %7.4f | %5.3f | %5.2f %5.2f %5.2f | %5.2f %5.2f\n",
              recording.name.c_str(), bits(ours.bytes), bits(bslz4.bytes),
              bits(peer_zstd_bytes(recording, true)), bits(peer_zstd_bytes(recording, false)),
              static_cast<double>(bslz4.bytes) / static_cast<double>(ours.bytes), raw / ours.encode_s / 1e9,
              raw / (ours.encode_s + ours.plan_s) / 1e9, raw / ours.decode_s / 1e9,
              raw / bslz4.encode_s / 1e9, raw / bslz4.decode_s / 1e9);
  std::fflush(stdout);
}

int write_sizes(const Arguments& arguments) {
  std::ofstream file(arguments.sizes_file);
  file << "recording,window_frames,raw_bytes,fast_bytes\n";
  for (const std::string& name : arguments.names) {
    const Recording recording = ff::tests::load_recording(name);
    ff::tests::GroupCodec codec(recording, arguments.device, arguments.window);
    codec.run();
    file << name << ',' << arguments.window << ',' << recording.pixels.size() << ',' << codec.coded_bytes()
         << '\n';
  }
  return file.good() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const bool has_value = i + 1 < argc;
    if (word == "--window" && has_value) {
      arguments.window = static_cast<std::uint32_t>(std::stoul(argv[++i]));
    } else if (word == "--group" && has_value) {
      arguments.group = static_cast<std::uint32_t>(std::stoul(argv[++i]));
    } else if (word == "--repeat" && has_value) {
      arguments.repeat = std::stoi(argv[++i]);
    } else if (word == "--sizes" && has_value) {
      arguments.sizes_file = argv[++i];
    } else if (word == "--device" && has_value) {
      arguments.device = std::string(argv[++i]) == "reference" ? Device::reference : Device::cpu;
    } else {
      arguments.names.push_back(word);
    }
  }
  if (arguments.names.empty()) arguments.names = ff::tests::recording_names();
  if (arguments.names.empty()) {
    std::fprintf(stderr, "bench_codec: no recordings; set FF_DATA_DIR to their folder\n");
    return 77;
  }
  if (!arguments.sizes_file.empty()) return write_sizes(arguments);
  std::printf("bits per pixel (window of %u frames, device %s); speeds in GB/s of raw pixels, one thread\n",
              arguments.window, std::string(ff::kernels::to_string(arguments.device)).c_str());
  std::printf("%-26s %7s %7s %7s %7s | %5s | %5s %5s %5s | %5s %5s\n", "recording", "fast", "bs+lz4",
              "bs+zst3", "zstd-3", "ratio", "enc", "+plan", "dec", "bslz4e", "d");
  for (const std::string& name : arguments.names) print_row(ff::tests::load_recording(name), arguments);
  return 0;
}
