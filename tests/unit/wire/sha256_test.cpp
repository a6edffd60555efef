// SPDX-License-Identifier: Apache-2.0
//
// SHA-256 against the examples of FIPS 180-2 and against libsodium.
#include "common/wire/sha256.hpp"

#include <random>
#include <sodium.h>
#include <string_view>
#include <vector>

#include <catch2/catch.hpp>

namespace {

std::string hex(const ff::wire::Sha256& digest) {
  std::string text(2 * digest.size(), 0);
  for (std::size_t i = 0; i < digest.size(); ++i) {
    text[2 * i] = "0123456789abcdef"[digest[i] >> 4];
    text[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
  }
  return text;
}

ff::ByteSpan bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

}  // namespace

TEST_CASE("SHA-256 gives the values of FIPS 180-2", "[sha256]") {
  CHECK(hex(ff::wire::sha256({})) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(hex(ff::wire::sha256(bytes_of("abc"))) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(hex(ff::wire::sha256(bytes_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"))) ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST_CASE("SHA-256 is that of libsodium, with which seals and archives are checked", "[sha256]") {
  std::mt19937 rng(4);
  for (const std::size_t count : {1u, 55u, 56u, 63u, 64u, 65u, 1000u, 100'003u}) {
    std::vector<std::byte> bytes(count);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(rng());
    ff::wire::Sha256 expected;
    crypto_hash_sha256(expected.data(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
    CHECK(ff::wire::sha256(bytes) == expected);
  }
}
