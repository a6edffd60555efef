// SPDX-License-Identifier: Apache-2.0
//
// Ledger check: a whole master file, a whole series of a store, seals from the topic.
#include <set>

#include "hpc_sink/seal/ledger_check.hpp"
#include "hpc_sink/seal/merkle_tree.hpp"
#include "hpc_sink/seal/series_leaves.hpp"
#include "hpc_sink/seal/window_leaf.hpp"

namespace ff::sink {
namespace {

std::vector<Seal> seals_of(const std::vector<SealRow>& rows) {
  std::vector<Seal> seals;
  seals.reserve(rows.size());
  for (const SealRow& row : rows) seals.push_back(row.seal);
  return seals;
}

bool same_seal(const Seal& a, const Seal& b) {
  return a.body() == b.body() && a.public_key() == b.public_key() && a.signature() == b.signature();
}

Result<std::vector<std::string>> catalogue_leaves(const Catalogue& catalogue, const SeriesRow& series) {
  FF_ASSIGN(const SeriesLedger ledger, build_ledger(catalogue, series));
  std::vector<std::string> leaves;
  FF_TRY(for_each_leaf(catalogue, ledger, [&](const StreamLedger& stream, const WindowFates& window) {
    leaves.push_back(leaf_bytes(stream.stream, window));
    return Status{};
  }));
  return leaves;
}

// Every seal of the detector names the one that was made before it, whichever series that was of. The names alone
// give the order: a catalogue that has read seals in the topic may have got them in another one.
Status check_chain(const Catalogue& catalogue, const SeriesRow& series, LedgerCheck& check) {
  FF_ASSIGN(const std::vector<SealRow> seals, catalogue.seals_of_detector(series.detector));
  std::set<std::string> there = {""};
  for (const SealRow& row : seals) there.insert(seal_digest(row.seal));
  std::set<std::string> named;
  for (const SealRow& row : seals) {
    SealBody body;
    if (body.ParseFromString(row.seal.body()) && there.contains(body.detector_seal_sha256()) &&
        named.insert(body.detector_seal_sha256()).second)
      continue;
    check.broken.push_back("seal " + std::to_string(row.number) + " of series " + row.series.to_string() +
                           ": the detector's seal before it is missing or was changed");
  }
  return {};
}

void compare_seals(const std::vector<Seal>& a, const std::vector<Seal>& b, LedgerCheck& check) {
  if (a.size() != b.size())
    check.broken.push_back("master: it has " + std::to_string(b.size()) + " seals, the catalogue " +
                           std::to_string(a.size()));
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i)
    if (!same_seal(a[i], b[i]))
      check.broken.push_back("master: its seal " + std::to_string(i + 1) + " is not the catalogue's");
}

// A state was changed in the catalogue: say which, when the master's leaf is the sealed one.
void name_changed_frames(const std::vector<std::string>& here, const SealedMaster& master,
                         LedgerCheck& check) {
  if (here.size() != master.leaves.size() || !check.body) return;
  for (std::size_t i = 0; i < here.size(); ++i) {
    if (here[i] == master.leaves[i] ||
        to_bytes(leaf_hash(as_bytes(master.leaves[i]))) != master.leaf_hashes[i])
      continue;
    const auto mine = parse_leaf(as_bytes(here[i])), sealed = parse_leaf(as_bytes(master.leaves[i]));
    if (!mine.ok() || !sealed.ok()) continue;
    for (std::size_t f = 0; f < mine->window.fates.size() && f < sealed->window.fates.size(); ++f)
      if (mine->window.fates[f] != sealed->window.fates[f])
        check.broken.push_back("catalogue: stream " + std::to_string(mine->stream) + " window " +
                               std::to_string(mine->window.window) + ": its frame " + std::to_string(f) +
                               " is " + std::string(state_word(mine->window.fates[f].state)) +
                               " here, sealed as " + std::string(state_word(sealed->window.fates[f].state)));
  }
}

void check_against_master(const std::filesystem::path& path, const std::vector<Seal>& seals,
                          const std::vector<std::string>& leaves, LedgerCheck& check) {
  const auto master = read_sealed_master(path);
  if (!master.ok()) {
    check.broken.push_back("master " + path.filename().string() + ": " + master.error().message);
    return check_leaves(leaves, {}, "catalogue", check);
  }
  compare_seals(seals, master->seals, check);
  check_leaves(leaves, master->leaf_hashes, "catalogue", check);
  check_leaves(master->leaves, master->leaf_hashes, "master", check);
  name_changed_frames(leaves, *master, check);
  check_states(*master, check);
}

std::vector<std::string> names_beside_master(const std::vector<FileRow>& rows) {
  std::vector<std::string> names;
  names.reserve(rows.size());
  for (const FileRow& row : rows) names.push_back(row.name.substr(row.name.rfind('/') + 1));
  return names;
}

}  // namespace

Result<LedgerCheck> check_master(const std::filesystem::path& path, const CheckOptions& options) {
  if (!std::filesystem::exists(path)) return fail(Errc::not_found, path.string() + " is not there");
  FF_ASSIGN(const SealedMaster master, read_sealed_master(path));
  LedgerCheck check;
  check_seals(master.seals, options, check);
  check_leaves(master.leaves, master.leaf_hashes, "master", check);
  check_states(master, check);
  check_files(path.parent_path(), master.files, master.leaves, options, check);
  check.notes.emplace_back("the chain to the detector's other series can be checked in the store only");
  return check;
}

Result<LedgerCheck> check_store(const std::filesystem::path& store, const Catalogue& catalogue,
                                const SeriesRow& series, const CheckOptions& options) {
  FF_ASSIGN(const std::vector<SealRow> rows, catalogue.seals(series.uid));
  if (rows.empty())
    return fail(Errc::not_found,
                "series " + series.uid.to_string() + " is not sealed" +
                    (series.closed_utc_ns == 0 ? ": it is open" : ": an earlier version closed it"));
  LedgerCheck check;
  const std::vector<Seal> seals = seals_of(rows);
  check_seals(seals, options, check);
  FF_TRY(check_chain(catalogue, series, check));
  if (series.closed_utc_ns == 0) {
    check.notes.emplace_back(
        "the series is open again: something came after its last seal; windows and files are not checked");
    return check;
  }
  FF_ASSIGN(const std::vector<std::string> leaves, catalogue_leaves(catalogue, series));
  check_against_master(store / series.master, seals, leaves, check);
  FF_ASSIGN(const std::vector<FileRow> files, catalogue.files(series.uid));
  check_files((store / series.master).parent_path(), names_beside_master(files), leaves, options, check);
  return check;
}

LedgerCheck check_published(const Seal& published, const std::vector<Seal>& other,
                            const CheckOptions& options) {
  LedgerCheck check;
  check.seals = 1;
  const auto body = open_seal(published);
  const auto key = seal_public_key(published);
  if (key.ok()) check.public_key = to_text(*key);
  if (key.ok() && options.key && *options.key != *key)
    check.broken.push_back("published seal: signed by " + check.public_key +
                           ", not by the key that was given");
  if (!body.ok()) {
    check.broken.push_back("published seal: " + body.error().message);
    return check;
  }
  check.body = *body;
  if (!other.empty() && !same_seal(published, other.back()))
    check.broken.push_back("the published seal " + std::to_string(body->number()) +
                           " is not the last one here");
  return check;
}

}  // namespace ff::sink
