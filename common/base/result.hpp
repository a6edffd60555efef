// SPDX-License-Identifier: Apache-2.0
//
// Result<T>: a value, or what went wrong in the world (code + one sentence).
//
// Three kinds of wrong in Foreframe: our own mistake stops the program (check.hpp); the world's
// mistake is a Result; bad set-up is a Result carried up to main, which exits 78.
// g++ 12 has no std::expected in C++20, hence this small one.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "common/base/errc.hpp"

namespace ff {

/// What went wrong: `code` for programs and counters, `message` for people (what, where, what to do).
struct Error {
  Errc code = Errc::invalid_argument;
  std::string message;
};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT(google-explicit-constructor)
  Result(Error error)
      : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool ok() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return ok(); }

  /// Precondition: ok().
  [[nodiscard]] T& value() & { return std::get<0>(state_); }
  [[nodiscard]] const T& value() const& { return std::get<0>(state_); }
  [[nodiscard]] T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  /// Precondition: !ok().
  [[nodiscard]] const Error& error() const& { return std::get<1>(state_); }
  [[nodiscard]] Error&& error() && { return std::get<1>(std::move(state_)); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool ok() const noexcept { return !error_.has_value(); }
  explicit operator bool() const noexcept { return ok(); }
  [[nodiscard]] const Error& error() const& { return *error_; }
  [[nodiscard]] Error&& error() && { return *std::move(error_); }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

/// `return fail(Errc::truncated, "...")` from any function that returns a Result.
[[nodiscard]] inline Error fail(Errc code, std::string message) { return Error{code, std::move(message)}; }

}  // namespace ff

#define FF_CONCAT_INNER(a, b) a##b
#define FF_CONCAT(a, b) FF_CONCAT_INNER(a, b)

/// Returns the error of `expr` (a Status) to the caller, or goes on.
#define FF_TRY(expr)                                                                               \
  do {                                                                                             \
    if (auto ff_try_status = (expr); !ff_try_status.ok()) return std::move(ff_try_status).error(); \
  } while (false)

/// `FF_ASSIGN(auto header, parse(bytes));` assigns the value or returns the error to the caller.
#define FF_ASSIGN(declaration, expr) FF_ASSIGN_INNER(FF_CONCAT(ff_result_, __LINE__), declaration, expr)
#define FF_ASSIGN_INNER(name, declaration, expr)  \
  auto name = (expr);                             \
  if (!name.ok()) return std::move(name).error(); \
  declaration = std::move(name).value()
