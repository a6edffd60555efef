// SPDX-License-Identifier: Apache-2.0
#include "common/transport/link_split.hpp"

#include <algorithm>

namespace ff::transport {
namespace {

namespace wire = foreframe::wire;

constexpr int kRangesPerSet = 4096;  ///< at most 90 kB
constexpr std::size_t kFieldOverheadBytes = 16;

/// The set in pieces of at most kRangesPerSet ranges; start and end go with the first.
std::vector<wire::RecordSet> pieces_of(const wire::RecordSet& set) {
  if (set.windows_size() <= kRangesPerSet) return {set};
  std::vector<wire::RecordSet> pieces;
  for (int at = 0; at < set.windows_size(); at += kRangesPerSet) {
    wire::RecordSet piece;
    piece.set_series_uid(set.series_uid());
    piece.set_detector(set.detector());
    piece.set_stream(set.stream());
    piece.set_series_start(at == 0 && set.series_start());
    piece.set_series_end(at == 0 && set.series_end());
    for (int i = at; i < std::min(at + kRangesPerSet, set.windows_size()); ++i)
      *piece.add_windows() = set.windows(i);
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

/// Messages that are closed when the next part would not fit.
class Packer {
 public:
  wire::LinkMessage& room_for(std::size_t bytes) {
    if (messages_.empty() || bytes_ + bytes > kNewsBytesMax) {
      messages_.emplace_back();
      bytes_ = 0;
    }
    bytes_ += bytes + kFieldOverheadBytes;
    return messages_.back();
  }
  std::vector<wire::LinkMessage> take() { return std::move(messages_); }

 private:
  std::vector<wire::LinkMessage> messages_;
  std::size_t bytes_ = 0;
};

/// `whole` once per piece of its records.
template <typename Said, typename Add>
void pack_pieces(Packer& packer, const Said& whole, Add add) {
  Said head = whole;
  head.clear_records();
  for (wire::RecordSet& piece : pieces_of(whole.records())) {
    Said part = head;
    part.mutable_records()->Swap(&piece);
    add(packer.room_for(part.ByteSizeLong()), part);
  }
}

}  // namespace

std::vector<wire::LinkMessage> split_watch(const std::vector<wire::RecordSet>& records) {
  Packer packer;
  for (const wire::RecordSet& set : records)
    for (wire::RecordSet& piece : pieces_of(set))
      packer.room_for(piece.ByteSizeLong()).mutable_watch()->add_records()->Swap(&piece);
  return packer.take();
}

std::vector<wire::LinkMessage> split_news(const wire::ReceiptNews& news) {
  Packer packer;
  for (const wire::Receipt& receipt : news.receipts())
    pack_pieces(packer, receipt, [](wire::LinkMessage& message, wire::Receipt& part) {
      message.mutable_news()->add_receipts()->Swap(&part);
    });
  for (const wire::ReplayRequest& replay : news.replays())
    pack_pieces(packer, replay, [](wire::LinkMessage& message, wire::ReplayRequest& part) {
      message.mutable_news()->add_replays()->Swap(&part);
    });
  for (const wire::SinkAbility& ability : news.abilities())
    *packer.room_for(ability.ByteSizeLong()).mutable_news()->add_abilities() = ability;
  return packer.take();
}

}  // namespace ff::transport
