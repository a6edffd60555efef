// SPDX-License-Identifier: Apache-2.0
//
// Published seals: keys, values, and reading the topic to its end.
#include "hpc_sink/seal/published_seals.hpp"

#include <map>

#include "common/base/clock.hpp"
#include "common/wire/control_record.hpp"

namespace ff::sink {
namespace {

constexpr auto kPoll = std::chrono::milliseconds(50);
// A topic that is empty says so by silence only: the time to find that out.
constexpr std::int64_t kSilenceNs = 2'000'000'000;
constexpr std::int64_t kPatienceNs = 60'000'000'000;

struct NumberedSeal {
  std::uint32_t number = 0;
  Seal seal;
};

}  // namespace

std::string seal_record_key(const Uuid& series, const std::string& destination, std::uint32_t number) {
  return series.to_string() + "/" + destination + "/seal/" + std::to_string(number);
}

Result<Payload> seal_record_value(const Seal& seal) {
  wire::LedgerRecord record;
  *record.mutable_seal() = seal;
  return wire::seal_control(record);
}

Result<std::vector<Seal>> read_published_seals(transport::LogReader& reader) {
  std::map<std::pair<std::string, std::string>, NumberedSeal> latest;  // by series and destination
  const std::int64_t began_ns = monotonic_now_ns();
  std::int64_t last_ns = began_ns;
  while (monotonic_now_ns() - began_ns < kPatienceNs) {
    FF_ASSIGN(auto record, reader.poll(kPoll));
    const std::int64_t now_ns = monotonic_now_ns();
    if (!record) {
      if (reader.caught_up() && (!latest.empty() || now_ns - last_ns > kSilenceNs)) {
        std::vector<Seal> seals;
        seals.reserve(latest.size());
        for (auto& [key, numbered] : latest) seals.push_back(std::move(numbered.seal));
        return seals;
      }
      continue;
    }
    last_ns = now_ns;
    if (record->value.size() == 0) continue;
    auto parsed = wire::parse_ledger_record(record->value.bytes());
    SealBody body;
    if (!parsed.ok() || !parsed->has_seal() || !body.ParseFromString(parsed->seal().body())) continue;
    NumberedSeal& known = latest[{body.series_uid(), body.destination()}];
    if (body.number() >= known.number) known = {body.number(), std::move(*parsed->mutable_seal())};
  }
  return fail(Errc::timed_out, "the ledger topic was not read to its end within a minute");
}

}  // namespace ff::sink
