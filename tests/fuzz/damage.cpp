// SPDX-License-Identifier: Apache-2.0
//
// Damage that needs no knowledge of a format.
#include <algorithm>
#include <cstring>

#include "tests/fuzz/fuzz_target.hpp"

namespace ff::fuzz {
namespace {

struct Piece {
  std::ptrdiff_t at = 0, end = 0;
};

Piece some_piece(const Bytes& bytes, Random& random) {
  const std::size_t at = random.below(bytes.size());
  const std::size_t count =
      1 + random.below(std::min<std::size_t>(bytes.size() - at, random.below(4) == 0 ? 200 : 8));
  return {static_cast<std::ptrdiff_t>(at), static_cast<std::ptrdiff_t>(at + count)};
}

void overwrite_number(Bytes& input, Random& random) {
  const std::size_t width = std::min<std::size_t>(std::size_t{1} << random.below(4), input.size());
  const std::size_t at = random.below(input.size() - width + 1);
  const std::uint64_t number = awkward_number(random);
  std::memcpy(input.data() + at, &number, width);
}

void wound(Bytes& input, std::span<const Bytes> others, Random& random) {
  if (input.empty()) input.push_back(std::byte{0});
  const Piece piece = some_piece(input, random);
  const auto first = input.begin() + piece.at, last = input.begin() + piece.end;
  switch (random.below(8)) {
    case 0:
    case 1:
    case 2: *first ^= static_cast<std::byte>(1u << random.below(8)); break;
    case 3: overwrite_number(input, random); break;
    case 4: input.erase(first, last); break;
    case 5: {
      const Bytes copy(first, last);
      input.insert(input.begin() + static_cast<std::ptrdiff_t>(random.below(input.size())), copy.begin(),
                   copy.end());
      break;
    }
    case 6: input.resize(1 + random.below(input.size())); break;
    default: {
      if (others.empty()) break;
      const Bytes& other = others[random.below(others.size())];
      if (other.empty()) break;
      const Piece from = some_piece(other, random);
      const auto room = input.end() - first, length = std::min(from.end - from.at, room);
      std::copy_n(other.begin() + from.at, length, first);
    }
  }
}

}  // namespace

std::uint64_t awkward_number(Random& random) {
  switch (random.below(5)) {
    case 0: return random.below(5);
    case 1: return std::uint64_t{1} << random.below(64);
    case 2: return (std::uint64_t{1} << random.below(64)) - 1;
    case 3: return (std::uint64_t{1} << random.below(64)) + 1;
    default: return random.next();
  }
}

void damage_bytes(Bytes& input, std::span<const Bytes> others, Random& random) {
  for (std::uint64_t wounds = 1 + random.below(4); wounds > 0; --wounds) wound(input, others, random);
}

}  // namespace ff::fuzz
