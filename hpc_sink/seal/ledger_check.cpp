// SPDX-License-Identifier: Apache-2.0
//
// Ledger check: seals, leaves, counts, states. Files: file_check.cpp; whole stores and masters: store_check.cpp.
#include "hpc_sink/seal/ledger_check.hpp"

#include <algorithm>

#include "common/base/uuid.hpp"
#include "hpc_sink/seal/merkle_tree.hpp"
#include "hpc_sink/seal/series_leaves.hpp"
#include "hpc_sink/seal/window_leaf.hpp"

namespace ff::sink {
namespace {

constexpr int kNamedMax = 8;  // frames of one dataset

std::string seal_name(std::size_t index) { return "seal " + std::to_string(index + 1); }

std::string leaf_name(const WindowLeaf& leaf) {
  return "stream " + std::to_string(leaf.stream) + " window " + std::to_string(leaf.window.window);
}

void check_key(const Seal& seal, const std::string& name, const CheckOptions& options, LedgerCheck& check) {
  const auto key = seal_public_key(seal);
  if (!key.ok()) return;
  check.public_key = to_text(*key);
  if (options.key && *options.key != *key)
    check.broken.push_back(name + ": signed by " + check.public_key + ", not by the key that was given");
}

// The hashes that the root is over, when they are the sealed ones.
bool is_sealed(const std::vector<std::string>& hashes, const LedgerCheck& check) {
  MerkleTree tree;
  for (const std::string& bytes : hashes) {
    Sha256 hash{};
    if (bytes.size() != hash.size()) return false;
    std::copy(bytes.begin(), bytes.end(), hash.begin());
    tree.add(hash);
  }
  return to_bytes(tree.root()) == check.body->merkle_root();
}

void name_changed_leaves(const std::vector<std::string>& leaves, const std::vector<std::string>& hashes,
                         const std::string& where, LedgerCheck& check) {
  if (leaves.size() != hashes.size() || !is_sealed(hashes, check)) {
    check.broken.push_back(where + ": its " + std::to_string(leaves.size()) +
                           " windows do not give the sealed root of " + std::to_string(check.body->leaves()) +
                           " windows");
    return;
  }
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    if (to_bytes(leaf_hash(as_bytes(leaves[i]))) == hashes[i]) continue;
    const auto leaf = parse_leaf(as_bytes(leaves[i]));
    check.broken.push_back(where + ": " + (leaf.ok() ? leaf_name(*leaf) : "leaf " + std::to_string(i)) +
                           " is not what was sealed");
  }
}

std::vector<std::pair<const char*, std::uint64_t>> counts_of(const SealBody::StreamCounts& c) {
  return {{"stored_exact", c.stored_exact()}, {"stored_bounded", c.stored_bounded()},
          {"summarised", c.summarised()},     {"vetoed", c.vetoed()},
          {"damaged", c.damaged()},           {"lost", c.lost()},
          {"not_acquired", c.not_acquired()}, {"open", c.open()}};
}

void check_counts(const std::vector<WindowLeaf>& leaves, const std::string& where, LedgerCheck& check) {
  for (const SealBody::StreamCounts& sealed : check.body->streams()) {
    SealBody::StreamCounts counted;
    counted.set_expected(sealed.expected());
    counted.set_window_frames(sealed.window_frames());
    for (const WindowLeaf& leaf : leaves)
      if (leaf.stream == sealed.stream()) count_window(leaf.window, counted);
    const auto a = counts_of(sealed), b = counts_of(counted);
    for (std::size_t i = 0; i < a.size(); ++i)
      if (a[i].second != b[i].second)
        check.broken.push_back(where + ": stream " + std::to_string(sealed.stream()) + ": the seal counts " +
                               std::to_string(a[i].second) + " frames " + a[i].first + ", the windows have " +
                               std::to_string(b[i].second));
  }
}

// A detector frame is as good as its worst module: what /entry/data/state shows has to be that.
void check_channel(const SealedMaster& master, const SealedMaster::ChannelStates& channel,
                   LedgerCheck& check) {
  int named = 0;
  for (std::uint64_t frame = 0; frame < channel.state.size(); ++frame) {
    std::optional<FrameFate> worst;
    for (const std::uint32_t stream : channel.streams) {
      const auto states = master.streams.find(stream);
      const bool known = states != master.streams.end() && frame < states->second.state.size();
      const FrameFate own{known ? states->second.state[frame] : std::uint8_t{0}, 0};
      if (!worst || better_fate(own, *worst) == *worst) worst = own;
    }
    if ((worst && worst->state == channel.state[frame]) || ++named > kNamedMax) continue;
    check.broken.push_back("master: /entry/data/" + channel.dataset + ": frame " + std::to_string(frame) +
                           " shows " + std::string(state_word(channel.state[frame])) + ", its streams " +
                           std::string(state_word(worst ? worst->state : 0)));
  }
}

}  // namespace

void check_seals(const std::vector<Seal>& seals, const CheckOptions& options, LedgerCheck& check) {
  check.body.reset();
  std::string previous;
  for (std::size_t i = 0; i < seals.size(); ++i, ++check.seals) {
    const std::string name = seal_name(i);
    check_key(seals[i], name, options, check);
    auto body = open_seal(seals[i]);
    if (!body.ok()) {
      check.broken.push_back(name + ": " + body.error().message);
      check.body.reset();
      previous.clear();
      continue;
    }
    if (body->number() != i + 1)
      check.broken.push_back(name + ": it calls itself seal " + std::to_string(body->number()) +
                             ": one was taken out or swapped");
    if (check.body && check.body->series_uid() != body->series_uid())
      check.broken.push_back(name + ": it is of another series than the seal before it");
    if (i > 0 && !previous.empty() && body->previous_seal_sha256() != previous)
      check.broken.push_back(name + ": the seal before it is not the one that it refers to");
    previous = seal_digest(seals[i]);
    check.body = std::move(*body);
  }
}

void check_leaves(const std::vector<std::string>& leaves, const std::vector<std::string>& hashes,
                  const std::string& where, LedgerCheck& check) {
  if (!check.body) return;
  MerkleTree tree;
  std::vector<WindowLeaf> parsed;
  std::optional<std::pair<std::uint32_t, std::uint64_t>> before;
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    tree.add(leaf_hash(as_bytes(leaves[i])));
    auto leaf = parse_leaf(as_bytes(leaves[i]));
    if (!leaf.ok()) {
      check.broken.push_back(where + ": leaf " + std::to_string(i) + ": " + leaf.error().message);
      continue;
    }
    const std::pair key(leaf->stream, leaf->window.window);
    if (before && *before >= key)
      check.broken.push_back(where + ": " + leaf_name(*leaf) + " is out of order");
    before = key;
    parsed.push_back(std::move(*leaf));
  }
  check.leaves = std::max<std::uint64_t>(check.leaves, leaves.size());
  if (to_bytes(tree.root()) != check.body->merkle_root() || leaves.size() != check.body->leaves())
    name_changed_leaves(leaves, hashes, where, check);
  check_counts(parsed, where, check);
}

void check_states(const SealedMaster& master, LedgerCheck& check) {
  if (!check.body) return;
  for (const SealedMaster::ChannelStates& channel : master.channels) check_channel(master, channel, check);
  for (const SealBody::StreamCounts& stream : check.body->streams()) {
    const auto shown = master.streams.find(stream.stream());
    if (shown == master.streams.end() || shown->second.state.size() != stream.expected()) {
      check.broken.push_back("master: stream " + std::to_string(stream.stream()) +
                             " shows another number of frames than the seal");
      continue;
    }
    int named = 0;
    for (const std::string& bytes : master.leaves) {
      const auto leaf = parse_leaf(as_bytes(bytes));
      if (!leaf.ok() || leaf->stream != stream.stream()) continue;
      for (std::size_t i = 0; i < leaf->window.fates.size(); ++i) {
        const std::uint64_t frame = leaf->window.window * stream.window_frames() + i;
        if (frame >= stream.expected()) break;
        const FrameFate says{shown->second.state[frame], shown->second.stage[frame]};
        if (says == leaf->window.fates[i] || ++named > kNamedMax) continue;
        check.broken.push_back("master: stream " + std::to_string(stream.stream()) + " frame " +
                               std::to_string(frame) + ": it shows " + std::string(state_word(says.state)) +
                               ", sealed as " + std::string(state_word(leaf->window.fates[i].state)));
      }
    }
    if (named > kNamedMax)
      check.broken.push_back("master: stream " + std::to_string(stream.stream()) + ": " +
                             std::to_string(named) + " frames in all show another state than was sealed");
  }
}

}  // namespace ff::sink
