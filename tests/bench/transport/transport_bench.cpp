// SPDX-License-Identifier: Apache-2.0
//
// Speed of each transport by itself, on this machine: segment log, log://, link over loopback TCP, Kafka.
// Records of 900 kB, the size that blocks are cut to. Best of three runs; CPU time is of this process.
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <vector>

#include "common/base/uuid.hpp"
#include "common/transport/link.hpp"
#include "common/transport/log.hpp"
#include "common/transport/segment_log.hpp"

namespace {

using namespace ff;
using namespace ff::transport;
using std::chrono::milliseconds;

constexpr std::size_t kRecordBytes = 900'000;
constexpr std::uint64_t kRecords = 1500;

int runs = 3;
std::string only;  ///< a word of the rows wanted; empty: all

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

[[noreturn]] void give_up(const Error& why) {
  std::fprintf(stderr, "%s\n", why.message.c_str());
  std::exit(1);
}

void must(const Status& status) {
  if (!status.ok()) give_up(status.error());
}

template <typename T>
T must(Result<T> result) {
  if (!result.ok()) give_up(result.error());
  return std::move(result).value();
}

Payload record() {
  std::vector<std::byte> bytes(kRecordBytes);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 2654435761u >> 13);
  return Payload::own(std::move(bytes));
}

/// Runs `work` so many times and prints one row.
void row(const std::string& name, const std::function<void()>& work) {
  if (name.find(only) == std::string::npos) return;
  double best = 0, worst = 1e300, cpu_per_gb = 0;
  const double gigabytes = 1e-9 * static_cast<double>(kRecordBytes * kRecords);
  for (int run = 0; run < runs; ++run) {
    const double cpu = cpu_seconds();
    const auto begin = std::chrono::steady_clock::now();
    work();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (gigabytes / seconds > best) cpu_per_gb = (cpu_seconds() - cpu) / gigabytes;
    best = std::max(best, gigabytes / seconds);
    worst = std::min(worst, gigabytes / seconds);
  }
  std::printf("%-44s %7.2f %7.2f %9.2f\n", name.c_str(), best, worst, cpu_per_gb);
}

void append_all(const std::filesystem::path& folder, const Payload& value) {
  SegmentLogOptions options;
  options.folder = folder;
  const auto log = must(SegmentLog::open(options));
  for (std::uint64_t n = 0; n < kRecords; ++n) {
    must(log->append("key", value.bytes()));
    must(log->sync_if_due());
  }
  must(log->sync());
}

void read_all(const std::filesystem::path& folder, int run) {
  const auto reader = must(SegmentReader::open(folder, "bench" + std::to_string(run)));
  for (std::uint64_t n = 0; n < kRecords; ++n)
    if (!must(reader->next())) std::exit(1);
}

void produce_all(LogWriter& writer, const Payload& value) {
  const std::uint32_t partitions = must(writer.partition_count(Topic::blocks));
  for (std::uint64_t n = 0; n < kRecords; ++n) {
    for (;;) {
      const Status status = writer.produce(Topic::blocks, static_cast<std::uint32_t>(n % partitions), "key",
                                           value, [](const auto& position) { must(position); });
      if (status.ok()) break;
      if (status.error().code != Errc::queue_full) give_up(status.error());
      writer.poll(milliseconds(1));
    }
    writer.poll(milliseconds(0));
  }
  must(writer.flush(std::chrono::seconds(60)));
}

void send_all(const Payload& value) {
  LinkReceiverOptions receiver_options;
  receiver_options.collector = "bench";
  receiver_options.listen = "tcp://127.0.0.1:*";
  const auto receiver = must(LinkReceiver::open(receiver_options));
  LinkSenderOptions options;
  options.agent = "bench";
  options.collectors = {receiver->address()};
  std::jthread agent([&](const std::stop_token& stop) {
    const auto sender = must(LinkSender::open(options));
    foreframe::wire::RecordId id;
    std::uint64_t sent = 0;
    while (!stop.stop_requested()) {
      sender->poll(milliseconds(1));
      while (sent < kRecords && sender->can_send(value.size())) {
        id.set_sequence(++sent);
        must(sender->send(id, value));
      }
    }
  });
  for (std::uint64_t n = 0; n < kRecords;) {
    const auto received = receiver->poll(milliseconds(10));
    if (!received) continue;
    receiver->acknowledge(received->peer, received->id);
    ++n;
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::filesystem::path folder = std::filesystem::temp_directory_path();
  std::string kafka;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::string(argv[i]) == "--folder") folder = argv[i + 1];
    if (std::string(argv[i]) == "--kafka") kafka = argv[i + 1];
    if (std::string(argv[i]) == "--only") only = argv[i + 1];
    if (std::string(argv[i]) == "--runs") runs = std::max(std::atoi(argv[i + 1]), 1);
  }
  folder /= "foreframe-bench-" + Uuid::mint().to_string();
  const Payload value = record();
  std::printf("%llu records of %zu bytes\n%-44s %7s %7s %9s\n", static_cast<unsigned long long>(kRecords),
              kRecordBytes, "GB/s", "best", "worst", "CPU s/GB");
  int run = 0;  // each run writes a folder of its own: removing files costs time too
  row("segment log, append, fsync every 200 ms",
      [&] { append_all(folder / ("segment" + std::to_string(run++)), value); });
  row("segment log, read", [&] { read_all(folder / "segment0", run++); });
  row("log://, produced and delivered", [&] {
    LogOptions options;
    options.url = "log://" + (folder / ("log" + std::to_string(run++))).string();
    produce_all(*must(open_log_writer(options, {Topic::blocks})), value);
  });
  row("link, loopback TCP, sent and acknowledged", [&] { send_all(value); });
  if (!kafka.empty()) {
    LogOptions options;
    options.url = "kafka://" + kafka;
    options.topic_prefix = "bench." + Uuid::mint().to_string();
    const auto writer = must(open_log_writer(options, {Topic::blocks}));
    row("kafka://, produced and delivered", [&] { produce_all(*writer, value); });
  }
  std::filesystem::remove_all(folder);
}
