// SPDX-License-Identifier: Apache-2.0
//
// What librdkafka tells a Kafka writer: reports of records, and its own troubles.
#include <array>
#include <utility>

#include "common/base/check.hpp"
#include "common/service/logging.hpp"
#include "common/transport/kafka_writer.hpp"

namespace ff::transport {

void KafkaWriter::on_report(rd_kafka_t* client, const rd_kafka_message_t* report, void* opaque) {
  auto* const self = static_cast<KafkaWriter*>(opaque);
  const auto id = reinterpret_cast<std::uint64_t>(report->_private);
  if (report->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    self->trouble_.clear();
    if (report->offset < 0) {
      self->produce_again(id);
    } else {
      self->finish(id, report, std::nullopt);
    }
    return;
  }
  // A dead producer's reports say nothing about the record: it stays outstanding for the next producer.
  std::array<char, 256> why{};
  if (self->fatal_ || rd_kafka_fatal_error(client, why.data(), why.size()) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    self->fatal_ = true;
    return;
  }
  Error error = kafka_error(report->err, "writing to " + std::string(rd_kafka_topic_name(report->rkt)));
  self->trouble_ = error.message;
  if (error.code == Errc::not_found) self->topic_missing_ = true;
  self->finish(id, nullptr, std::move(error));
}

/// A report of success without an offset: the broker answered "duplicate sequence", and librdkafka takes that
/// for delivered. It need not be. A broker that knows nothing of this producer yet (new topic, new leader)
/// takes any first sequence: when the first batch fails and the second is stored, the first one's retry is
/// called a duplicate although it is nowhere. Seen on Kafka 3.9; the record goes out once more.
void KafkaWriter::produce_again(std::uint64_t id) {
  ++produced_again_;
  service::log_warning("kafka called a record a duplicate and named no offset; it is produced again",
                       {{"records_so_far", produced_again_}});
  unsent_.push_back(id);
}

void KafkaWriter::finish(std::uint64_t id, const rd_kafka_message_t* report, std::optional<Error> error) {
  auto node = outstanding_.extract(id);
  FF_CHECK(!node.empty());
  KafkaOutstanding& record = node.mapped();
  outstanding_bytes_ -= record.value.size();
  KafkaDelivery& delivery = *record.delivery;
  if (error) delivery.error = std::move(error);
  if (report != nullptr) {
    const LogPosition position{report->partition, report->offset};
    if (position.offset >= delivery.position.offset) delivery.position = position;
  }
  if (--delivery.records_left > 0) return;
  if (delivery.error && delivery.error->code == Errc::too_large && cut_smaller(record.delivery)) return;
  if (!delivery.delivered) return;
  delivery.delivered(delivery.error ? Result<LogPosition>(*delivery.error)
                                    : Result<LogPosition>(delivery.position));
}

void KafkaWriter::on_error(rd_kafka_t* client, int code, const char* reason, void* opaque) {
  auto* const self = static_cast<KafkaWriter*>(opaque);
  if (code == RD_KAFKA_RESP_ERR__FATAL) {
    std::array<char, 256> why{};
    rd_kafka_fatal_error(client, why.data(), why.size());
    self->fatal_ = true;
    self->trouble_ = std::string("kafka producer is being replaced: ") + why.data();
    return;
  }
  if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) self->trouble_ = "no broker answers at " + self->brokers_;
  if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION || code == RD_KAFKA_RESP_ERR__SSL) self->trouble_ = reason;
}

/// librdkafka tells when all brokers are gone but not when one is back; its statistics do.
int KafkaWriter::on_statistics(rd_kafka_t* /*client*/, char* json, std::size_t bytes, void* opaque) {
  auto* const self = static_cast<KafkaWriter*>(opaque);
  const bool connected = std::string_view(json, bytes).find("\"state\":\"UP\"") != std::string_view::npos;
  if (connected && self->trouble_.starts_with("no broker")) self->trouble_.clear();
  return 0;
}

}  // namespace ff::transport
