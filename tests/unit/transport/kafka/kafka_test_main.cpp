// SPDX-License-Identifier: Apache-2.0
// Catch2's main for tests that need a Kafka broker: 77 ("skipped") where FF_KAFKA_BOOTSTRAP names none.
#define CATCH_CONFIG_RUNNER
#include <cstdio>
#include <cstdlib>

#include <catch2/catch.hpp>

int main(int argc, char** argv) {
  if (std::getenv("FF_KAFKA_BOOTSTRAP") == nullptr) {
    std::puts("skipped: FF_KAFKA_BOOTSTRAP is not set (host:port of a Kafka broker)");
    return 77;
  }
  return Catch::Session().run(argc, argv);
}
