// SPDX-License-Identifier: Apache-2.0
#include "common/service/metrics.hpp"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace ff::service {

void Counter::add(double amount) noexcept { static_cast<prometheus::Counter*>(body_)->Increment(amount); }
double Counter::value() const noexcept { return static_cast<prometheus::Counter*>(body_)->Value(); }

void Gauge::set(double value) noexcept { static_cast<prometheus::Gauge*>(body_)->Set(value); }
void Gauge::add(double amount) noexcept { static_cast<prometheus::Gauge*>(body_)->Increment(amount); }
double Gauge::value() const noexcept { return static_cast<prometheus::Gauge*>(body_)->Value(); }

void Histogram::observe(double value) noexcept { static_cast<prometheus::Histogram*>(body_)->Observe(value); }

struct Metrics::Body {
  std::string prefix;
  prometheus::Registry registry;
};

Metrics::Metrics(std::string program) : body_(std::make_unique<Body>()) {
  body_->prefix = "foreframe_" + program + "_";
  gauge("build_info", "Always 1; the version is in the label.", {{"version", FF_VERSION}}).set(1);
}
Metrics::~Metrics() = default;

Counter Metrics::counter(const std::string& name, const std::string& help, const Labels& labels) {
  auto& family = prometheus::BuildCounter().Name(body_->prefix + name).Help(help).Register(body_->registry);
  return Counter(&family.Add(labels));
}

Gauge Metrics::gauge(const std::string& name, const std::string& help, const Labels& labels) {
  auto& family = prometheus::BuildGauge().Name(body_->prefix + name).Help(help).Register(body_->registry);
  return Gauge(&family.Add(labels));
}

Histogram Metrics::histogram(const std::string& name, const std::string& help,
                             const std::vector<double>& buckets, const Labels& labels) {
  auto& family = prometheus::BuildHistogram().Name(body_->prefix + name).Help(help).Register(body_->registry);
  return Histogram(&family.Add(labels, buckets));
}

std::string Metrics::render() const {
  return prometheus::TextSerializer().Serialize(body_->registry.Collect());
}

}  // namespace ff::service
