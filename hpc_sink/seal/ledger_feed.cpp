// SPDX-License-Identifier: Apache-2.0
//
// LedgerFeed: two readers in turn.
#include "hpc_sink/seal/ledger_feed.hpp"

#include <pthread.h>

#include "common/base/clock.hpp"

namespace ff::sink {
namespace {

using std::chrono::milliseconds;

constexpr auto kFeedPoll = milliseconds(20);
constexpr std::int64_t kFeedRetryNs = 1'000'000'000;

}  // namespace

LedgerFeed::LedgerFeed(FeedSurroundings around) : around_(std::move(around)) {
  thread_ = std::thread([this] { loop(); });
  pthread_setname_np(thread_.native_handle(), "ledger-feed");
}

LedgerFeed::~LedgerFeed() { thread_.join(); }

void LedgerFeed::report(const Error& why) {
  std::uint64_t held_back = 0;
  if (troubles_.allow(held_back))
    service::log_error("reading ledger and series", {{"why", why.message}, {"held_back", held_back}});
}

void LedgerFeed::open(std::unique_ptr<transport::LogReader>& reader, const OpenFeedReader& how) {
  if (reader || !how) return;
  Error why;
  reader = how(why);
  if (reader) return;
  next_open_ns_ = monotonic_now_ns() + kFeedRetryNs;
  report(why);
}

void LedgerFeed::open_readers() {
  if (monotonic_now_ns() < next_open_ns_) return;
  open(series_, around_.open_series);
  if (ledger_ || !around_.may_open()) return;
  open(ledger_, around_.open_ledger);
  if (!ledger_) return;
  ledger_->on_assigned = [this](transport::Topic, std::int32_t partition) {
    around_.ownership.assigned(partition);
  };
  ledger_->on_revoked = [this](transport::Topic, std::int32_t partition) {
    around_.ownership.lost(partition);
  };
}

// True when something came.
bool LedgerFeed::poll_ledger() {
  if (!ledger_) {
    if (!series_) std::this_thread::sleep_for(kFeedPoll);
    return false;
  }
  auto record = ledger_->poll(kFeedPoll);
  if (!record.ok()) {
    if (record.error().code == Errc::refused)
      around_.fatal(record.error());
    else if (record.error().code !=
             Errc::out_of_range)  // what a state topic folded away is there again behind it
      report(record.error());
    return false;
  }
  if (!*record) return false;
  const auto generation = around_.ownership.generation((*record)->position.partition);
  if (generation)
    around_.deliver(LedgerNews{(*record)->position.partition, *generation, std::move((*record)->key),
                               std::move((*record)->value)});
  return true;
}

bool LedgerFeed::poll_series() {
  if (!series_) return false;
  auto record = series_->poll(ledger_ ? milliseconds(0) : kFeedPoll);
  if (!record.ok()) {
    report(record.error());
    return false;
  }
  if (!*record) return false;
  if ((*record)->value.empty()) return true;
  auto parsed = wire::parse_envelope_head((*record)->value.bytes());
  // Damaged ones are the group reader's to complain of.
  if (!parsed.ok() || !parsed->payload_intact ||
      !(parsed->header.has_series_start() || parsed->header.has_series_end()))
    return true;
  const auto at = static_cast<std::size_t>(parsed->payload.data() - (*record)->value.bytes().data());
  Payload payload = parsed->payload.empty() ? Payload() : (*record)->value.part(at, parsed->payload.size());
  around_.deliver(SeriesHeard{std::move(parsed->header), std::move(payload)});
  return true;
}

// Asked only while it is news: the answer costs a question to the broker.
void LedgerFeed::say_read() {
  if (!ledger_) return;
  const auto held = around_.ownership.held();
  if ((said_any_ && held == said_read_) || !ledger_->caught_up()) return;
  if (series_ && !series_->caught_up()) return;
  said_any_ = true;
  said_read_ = held;
  around_.deliver(LedgerRead{held});
}

void LedgerFeed::loop() {
  while (!around_.stopping()) {
    open_readers();
    const bool ledger_came = poll_ledger(), series_came = poll_series();
    if (!ledger_came && !series_came) say_read();
  }
  around_.ownership.lost_all();
  ledger_.reset();
  series_.reset();
}

}  // namespace ff::sink
