// SPDX-License-Identifier: Apache-2.0
#include "common/base/units.hpp"

#include <catch2/catch.hpp>

using namespace std::chrono_literals;
using namespace ff;

TEST_CASE("sizes know powers of 1000 and of 1024", "[units]") {
  CHECK(*parse_size_bytes("0 B") == 0);
  CHECK(*parse_size_bytes("900 kB") == 900'000);
  CHECK(*parse_size_bytes("2 GiB") == 2'147'483'648);
  CHECK(*parse_size_bytes("1.5 MiB") == 1'572'864);
  CHECK(*parse_size_bytes("3TB") == 3'000'000'000'000);
}

TEST_CASE("durations know every unit from ns to d", "[units]") {
  CHECK(*parse_duration("5 ns") == 5ns);
  CHECK(*parse_duration("50 us") == 50us);
  CHECK(*parse_duration("200 ms") == 200ms);
  CHECK(*parse_duration("10 s") == 10s);
  CHECK(*parse_duration("1.5 min") == 90s);
  CHECK(*parse_duration("2 h") == 2h);
  CHECK(*parse_duration("1 d") == 24h);
}

TEST_CASE("rates are bytes per second, frequencies hertz", "[units]") {
  CHECK(*parse_rate_bytes_per_second("8 Gbit/s") == 1e9);
  CHECK(*parse_rate_bytes_per_second("500 MB/s") == 5e8);
  CHECK(*parse_frequency_hz("17.4 kHz") == Approx(17'400));
  CHECK(*parse_frequency_hz("500 Hz") == 500);
}

TEST_CASE("a quantity needs a number, a known unit, and nothing else", "[units]") {
  for (const char* bad :
       {"", "5", "GiB", "5 gib", "-1 B", "1e400 B", "nan B", "inf B", "1 B B", " 1 B", "0x10 B", "1,5 kB"}) {
    INFO(bad);
    REQUIRE_FALSE(parse_size_bytes(bad).ok());
    CHECK(parse_size_bytes(bad).error().code == Errc::malformed);
  }
  CHECK_FALSE(parse_duration("5 m").ok());  // metres, minutes or milli?
  CHECK_FALSE(parse_size_bytes("10000000 TiB").ok());
  CHECK_FALSE(parse_duration("1000000 d").ok());
}

TEST_CASE("what is formatted reads back exactly, with the largest unit that divides it", "[units]") {
  for (const std::uint64_t bytes :
       {0ull, 1ull, 999ull, 1024ull, 900'000ull, 1'234'567ull, 1ull << 31, 1ull << 60})
    CHECK(*parse_size_bytes(format_size(bytes)) == bytes);
  for (const Nanoseconds duration :
       {Nanoseconds(0), Nanoseconds(1), Nanoseconds(1500ms), Nanoseconds(90s), Nanoseconds(48h)})
    CHECK(*parse_duration(format_duration(duration)) == duration);
  CHECK(format_size(2ull << 30) == "2 GiB");
  CHECK(format_size(900'000) == "900 kB");
  CHECK(format_duration(1500ms) == "1500 ms");
}

TEST_CASE("numbers for people have three digits", "[units]") {
  CHECK(human_bytes(0) == "0 B");
  CHECK(human_bytes(31'400'000) == "31.4 MB");
  CHECK(human_rate(1.25e9) == "1.25 GB/s");
}
