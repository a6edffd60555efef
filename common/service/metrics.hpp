// SPDX-License-Identifier: Apache-2.0
//
// Metrics in Prometheus' conventions: foreframe_<program>_<what>_<unit>[_total], base units, few label values
// (never a series id or a frame number). Every way in which a frame can end badly has a counter here.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace ff::service {

using Labels = std::map<std::string, std::string>;

/// Handles stay valid as long as their Metrics. All operations are lock-free and thread-safe.
class Counter {
 public:
  void add(double amount = 1) noexcept;
  [[nodiscard]] double value() const noexcept;

 private:
  friend class Metrics;
  explicit Counter(void* body) noexcept : body_(body) {}
  void* body_;
};

class Gauge {
 public:
  void set(double value) noexcept;
  void add(double amount) noexcept;
  [[nodiscard]] double value() const noexcept;

 private:
  friend class Metrics;
  explicit Gauge(void* body) noexcept : body_(body) {}
  void* body_;
};

class Histogram {
 public:
  void observe(double value) noexcept;

 private:
  friend class Metrics;
  explicit Histogram(void* body) noexcept : body_(body) {}
  void* body_;
};

class Metrics {
 public:
  /// Names get the prefix "foreframe_<program>_"; build_info is there from the start.
  explicit Metrics(std::string program);
  ~Metrics();

  /// Asking twice for the same name and labels gives the same metric. Allocates: ask at start, keep the
  /// handle.
  [[nodiscard]] Counter counter(const std::string& name, const std::string& help, const Labels& labels = {});
  [[nodiscard]] Gauge gauge(const std::string& name, const std::string& help, const Labels& labels = {});
  /// Buckets in the metric's base unit, ascending.
  [[nodiscard]] Histogram histogram(const std::string& name, const std::string& help,
                                    const std::vector<double>& buckets, const Labels& labels = {});
  /// Prometheus text format 0.0.4.
  [[nodiscard]] std::string render() const;

 private:
  struct Body;
  std::unique_ptr<Body> body_;
};

}  // namespace ff::service
