// SPDX-License-Identifier: Apache-2.0
//
// Frames into a file, the script's lines into results.
#include "tools/bench/python_peers.hpp"

#include <algorithm>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "tools/bench/child_process.hpp"

namespace ff::tools {

namespace {

using nlohmann::json;

/// A file that is gone when this is.
class TemporaryFile {
 public:
  static Result<TemporaryFile> with(ByteSpan bytes) {
    std::string path = (std::filesystem::temp_directory_path() / "foreframe-bench-XXXXXX").string();
    const int fd = mkstemp(path.data());
    if (fd < 0) return fail(Errc::io_error, path + ": no temporary file can be made");
    TemporaryFile file(path);
    std::size_t at = 0;
    while (at < bytes.size()) {
      const ssize_t put = write(fd, bytes.data() + at, bytes.size() - at);
      if (put <= 0) break;
      at += static_cast<std::size_t>(put);
    }
    close(fd);
    if (at < bytes.size()) return fail(Errc::disk_full, path + ": has no room for the frames");
    return file;
  }

  TemporaryFile(TemporaryFile&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TemporaryFile& operator=(TemporaryFile&&) = delete;
  ~TemporaryFile() {
    if (!path_.empty()) unlink(path_.c_str());
  }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  explicit TemporaryFile(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

std::string label_of(const std::string& codec) {
  const auto peers = python_peers();
  const auto peer =
      std::ranges::find_if(peers, [&](const PythonPeer& known) { return codec == known.codec; });
  return peer == peers.end() ? codec : peer->label;
}

MeasureState state_named(const std::string& name) {
  for (const auto state : {MeasureState::measured, MeasureState::not_installed, MeasureState::not_possible}) {
    if (name == to_string(state)) return state;
  }
  return MeasureState::failed;
}

Measured read_answer(const json& answer) {
  const std::string codec = answer.at("codec");
  const MeasureState state = state_named(answer.at("state"));
  Measured result =
      not_measured(codec, label_of(codec), state, answer.value("note", answer.value("version", "")));
  if (state != MeasureState::measured) return result;
  result.frames = answer.at("frames");
  result.raw_bytes = answer.at("raw_bytes");
  result.bytes = answer.at("bytes");
  const auto raw = static_cast<double>(result.raw_bytes);
  result.encode_gb_s = gigabytes_per_second(raw, answer.at("encode_s").get<std::vector<double>>());
  result.decode_gb_s = gigabytes_per_second(raw, answer.at("decode_s").get<std::vector<double>>());
  if (answer.contains("max_error")) result.max_error = answer["max_error"].get<double>();
  return result;
}

std::string joined(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) line += (line.empty() ? "" : ",") + word;
  return line;
}

Status ask_script(const BenchFrames& frames, const PythonPeerOptions& options,
                  const std::function<void(Measured)>& on_answer) {
  FF_ASSIGN(const PythonPlaces places, find_python());
  FF_ASSIGN(const TemporaryFile file, TemporaryFile::with(frames.pixels));
  const FrameShape& shape = frames.info.shape;
  const std::string extents =
      std::to_string(frames.frames) + "," + std::to_string(shape.rows) + "," + std::to_string(shape.cols);
  const std::vector<std::string> argv = {places.python,   places.scripts + "/codec_peers.py",
                                         "--frames",      file.path(),
                                         "--dtype",       std::string(dtype_name(shape.dtype)),
                                         "--shape",       extents,
                                         "--peers",       joined(options.codecs),
                                         "--repeat",      std::to_string(options.repeat),
                                         "--window",      std::to_string(options.window_frames),
                                         "--bound",       std::to_string(options.bound),
                                         "--max-seconds", std::to_string(options.max_seconds)};
  bool understood = true;
  FF_TRY(run_lines(argv, [&](const std::string& line) {
    try {
      on_answer(read_answer(json::parse(line)));
    } catch (const json::exception&) {
      understood = false;
    }
  }));
  if (!understood) return fail(Errc::malformed, "codec_peers.py: answered a line that is no result");
  return {};
}

}  // namespace

std::span<const PythonPeer> python_peers() noexcept {
  static constexpr PythonPeer kPeers[] = {{"blosc2-lz4", "Blosc2 bitshuffle+LZ4", false},
                                          {"blosc2-zstd", "Blosc2 bitshuffle+zstd", false},
                                          {"jpeg-ls", "JPEG-LS", false},
                                          {"jpeg-xl-3", "JPEG XL, effort 3", false},
                                          {"jpeg-xl-7", "JPEG XL, effort 7", false},
                                          {"ffv1", "FFV1", false},
                                          {"x265", "x265 lossless", false},
                                          {"zfp", "ZFP", true},
                                          {"sz3", "SZ3", true}};
  return kPeers;
}

std::vector<Measured> measure_python_peers(const BenchFrames& frames, const PythonPeerOptions& options,
                                           const std::function<void()>& on_result) {
  std::vector<Measured> results;
  const Status asked = ask_script(frames, options, [&](Measured result) {
    results.push_back(std::move(result));
    on_result();
  });
  const bool no_python = !asked.ok() && results.empty() && asked.error().code != Errc::disk_full;
  for (std::size_t i = results.size(); i < options.codecs.size(); ++i) {
    const std::string& codec = options.codecs[i];
    results.push_back(not_measured(codec, label_of(codec),
                                   no_python ? MeasureState::not_installed : MeasureState::failed,
                                   (asked.ok() ? "the script gave no answer" : asked.error().message) +
                                       (no_python ? "; tools/setup --bench installs it" : "")));
    on_result();
  }
  return results;
}

}  // namespace ff::tools
