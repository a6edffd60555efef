// SPDX-License-Identifier: Apache-2.0
//
// Runs one target: under libFuzzer (FF_LIBFUZZER), or by itself over its seeds, a corpus and seeded mutations.
//
//   fuzz_X [--mutations N] [--seed S] [FILE | FOLDER ...]
//
// An input may take 20 seconds; the one that ends the program is left as crash-X in the working folder.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <unistd.h>

#include "common/base/check.hpp"
#include "tests/fuzz/fuzz_target.hpp"

namespace {

namespace fs = std::filesystem;
using namespace ff;
using namespace ff::fuzz;

Bytes read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  return {as_bytes(text).begin(), as_bytes(text).end()};
}

}  // namespace

#ifdef FF_LIBFUZZER
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t size_max);

// FF_FUZZ_WRITE_SEEDS=FOLDER: writes the target's seeds there, for libFuzzer to start from, and ends.
extern "C" int LLVMFuzzerInitialize(int*, char***) {
  const char* folder = std::getenv("FF_FUZZ_WRITE_SEEDS");
  if (folder == nullptr) return 0;
  const auto seeds = kTarget.seeds();
  for (std::size_t i = 0; i < seeds.size(); ++i) {
    std::ofstream file(fs::path(folder) / ("seed-" + std::to_string(i)), std::ios::binary);
    file.write(reinterpret_cast<const char*>(seeds[i].data()), static_cast<std::streamsize>(seeds[i].size()));
  }
  std::_Exit(0);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static_cast<void>(kTarget.run({reinterpret_cast<const std::byte*>(data), size}));
  return 0;
}

// Half of the damage is the target's own, which knows the format.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t size_max,
                                               unsigned seed) {
  if (kTarget.damage == damage_bytes || seed % 2 == 0) return LLVMFuzzerMutate(data, size, size_max);
  static const std::vector<Bytes> others = kTarget.seeds();
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  Bytes input(bytes, bytes + size);
  Random random(seed);
  kTarget.damage(input, others, random);
  input.resize(std::min(input.size(), size_max));
  std::copy_n(reinterpret_cast<const std::uint8_t*>(input.data()), input.size(), data);
  return input.size();
}
#else
namespace {

constexpr unsigned kSecondsPerInput = 20;

const Bytes* running = nullptr;  // for the last words

void leave_input() {
  if (running == nullptr) return;
  const std::string name = std::string("crash-") + kTarget.name;
  std::ofstream(name, std::ios::binary)
      .write(reinterpret_cast<const char*>(running->data()), static_cast<std::streamsize>(running->size()));
  std::fprintf(stderr, "fuzz: the input is left in %s, %zu bytes\n", name.c_str(), running->size());
}

extern "C" void last_words(int signal) {
  std::fprintf(stderr, "fuzz: signal %d%s\n", signal, signal == SIGALRM ? ": an input takes too long" : "");
  leave_input();
  std::_Exit(1);
}

Verdict run(const Bytes& input) {
  running = &input;
  alarm(kSecondsPerInput);
  const Verdict verdict = kTarget.run(input);
  alarm(0);
  running = nullptr;
  return verdict;
}

struct Options {
  std::uint64_t mutations = 0, seed = 1;
  std::vector<fs::path> files;
};

Options parse_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--mutations" && i + 1 < argc) {
      options.mutations = std::strtoull(argv[++i], nullptr, 10);
    } else if (argument == "--seed" && i + 1 < argc) {
      options.seed = std::strtoull(argv[++i], nullptr, 10);
    } else if (fs::is_directory(argument)) {
      for (const auto& entry : fs::directory_iterator(argument)) options.files.push_back(entry.path());
    } else if (fs::exists(argument)) {
      options.files.emplace_back(argument);
    } else {
      std::fprintf(stderr, "fuzz: '%s' is neither an option nor a file\n", argument.c_str());
      std::exit(64);
    }
  }
  std::ranges::sort(options.files);
  return options;
}

// Small inputs come more often: they are as rich, and a thousand times faster.
const Bytes& pick(const std::vector<Bytes>& inputs, Random& random) {
  const Bytes& one = inputs[random.below(inputs.size())];
  const Bytes& other = inputs[random.below(inputs.size())];
  return random.below(16) == 0 || one.size() < other.size() ? one : other;
}

}  // namespace

// ASan's last words, where it is linked.
extern "C" void __sanitizer_set_death_callback(void (*)()) __attribute__((weak));

int main(int argc, char** argv) {
  const Options options = parse_options(argc, argv);
  for (const int signal : {SIGABRT, SIGALRM, SIGSEGV, SIGFPE, SIGILL, SIGBUS}) {
    if (__sanitizer_set_death_callback == nullptr || signal == SIGABRT || signal == SIGALRM)
      std::signal(signal, last_words);
  }
  if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(leave_input);

  std::vector<Bytes> inputs = kTarget.seeds();
  FF_CHECK(!inputs.empty());
  for (const Bytes& seed : inputs) FF_CHECK(run(seed) == Verdict::accepted);
  const std::size_t seeds = inputs.size();
  for (const fs::path& file : options.files) {
    inputs.push_back(read_file(file));
    static_cast<void>(run(inputs.back()));
  }
  Random random(options.seed);
  std::uint64_t accepted = 0;
  for (std::uint64_t i = 0; i < options.mutations; ++i) {
    Bytes input = pick(inputs, random);
    kTarget.damage(input, inputs, random);
    input.shrink_to_fit();  // so that a byte read behind the end is noticed
    accepted += run(input) == Verdict::accepted ? 1 : 0;
  }
  std::printf("fuzz_%s: %zu seeds, %zu files, %llu mutations of which %llu accepted\n", kTarget.name, seeds,
              options.files.size(), static_cast<unsigned long long>(options.mutations),
              static_cast<unsigned long long>(accepted));
  return 0;
}
#endif
