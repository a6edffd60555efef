// SPDX-License-Identifier: Apache-2.0
#include "common/base/result.hpp"

#include <algorithm>
#include <memory>
#include <vector>

#include <catch2/catch.hpp>

using ff::Errc;
using ff::Result;
using ff::Status;

namespace {

Result<int> half(int number) {
  if (number % 2 != 0) return ff::fail(Errc::invalid_argument, std::to_string(number) + " is odd");
  return number / 2;
}

Result<int> quarter(int number) {
  FF_ASSIGN(const int once, half(number));
  FF_ASSIGN(const int twice, half(once));
  return twice;
}

Status check_quarter(int number, bool& went_on) {
  FF_TRY(quarter(number).ok() ? Status() : Status(quarter(number).error()));
  went_on = true;
  return {};
}

}  // namespace

TEST_CASE("a result is a value or an error with code and sentence", "[result]") {
  CHECK(half(4).ok());
  CHECK(*half(4) == 2);
  CHECK_FALSE(half(5));
  CHECK(half(5).error().code == Errc::invalid_argument);
  CHECK(half(5).error().message == "5 is odd");
}

TEST_CASE("FF_ASSIGN hands the first error to the caller, unchanged", "[result]") {
  CHECK(*quarter(8) == 2);
  CHECK(quarter(7).error().message == "7 is odd");
  CHECK(quarter(6).error().message == "3 is odd");
}

TEST_CASE("FF_TRY goes on after success and returns after failure", "[result]") {
  bool went_on = false;
  CHECK_FALSE(check_quarter(6, went_on).ok());
  CHECK_FALSE(went_on);
  CHECK(check_quarter(8, went_on).ok());
  CHECK(went_on);
}

TEST_CASE("a value that can only be moved passes through a result", "[result]") {
  const auto make = []() -> Result<std::unique_ptr<int>> { return std::make_unique<int>(3); };
  const auto pass = [&]() -> Result<std::unique_ptr<int>> {
    FF_ASSIGN(auto owned, make());
    return owned;
  };
  CHECK(**pass() == 3);
}

TEST_CASE("every error code has a word of its own", "[result]") {
  std::vector<std::string_view> words;
  for (int code = 0; code <= static_cast<int>(Errc::stopped); ++code)
    words.push_back(ff::to_string(static_cast<Errc>(code)));
  std::sort(words.begin(), words.end());
  CHECK(std::adjacent_find(words.begin(), words.end()) == words.end());
  CHECK(std::find(words.begin(), words.end(), "unknown") == words.end());
}
