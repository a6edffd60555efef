// SPDX-License-Identifier: Apache-2.0
//
// Sealed series: files first, so that no window is called stored before its file is known.
#include "hpc_sink/seal/sealed_series.hpp"

#include <map>
#include <system_error>
#include <vector>

#include "common/base/clock.hpp"
#include "hpc_sink/seal/merkle_tree.hpp"
#include "hpc_sink/seal/seal_record.hpp"
#include "hpc_sink/seal/sealed_master.hpp"
#include "hpc_sink/seal/window_leaf.hpp"
#include "hpc_sink/store/file_names.hpp"

namespace ff::sink {
namespace {

Status check_leaves_of(const SealedMaster& master) {
  if (master.seals.empty()) return fail(Errc::not_found, "the master has no seal");
  FF_ASSIGN(const SealBody body, open_seal(master.seals.back()));
  MerkleTree tree;
  for (const std::string& leaf : master.leaves) tree.add(leaf_hash(as_bytes(leaf)));
  if (to_bytes(tree.root()) != body.merkle_root())
    return fail(Errc::crc_mismatch, "the master's leaves are not those that were sealed");
  return {};
}

Status join_file(Catalogue& catalogue, const std::filesystem::path& store, const std::string& name) {
  FF_ASSIGN(const bool known, catalogue.has_file(name));
  if (known) return {};
  FF_ASSIGN(const ReadDataFile content, read_data_file(store / name, false));
  const DataFileHead& head = content.head;
  FF_TRY(catalogue.add_stream(
      {.key = head.stream, .window_frames = head.window_frames, .geometry = head.geometry}, head.detector,
      utc_now_ns()));
  std::error_code ignored;
  const FileRow row{.name = name,
                    .stream = head.stream,
                    .partition = head.partition,
                    .segment = head.segment,
                    .epoch = head.epoch,
                    .bytes = std::filesystem::file_size(store / name, ignored),
                    .frame_numbers = content.index.frame_numbers};
  return catalogue.add_windows(head.stream, content.index.windows, &row);
}

}  // namespace

Status join_sealed_series(Catalogue& catalogue, const std::filesystem::path& store, const Uuid& series,
                          const std::string& detector) {
  const std::filesystem::path path = store / master_file_name(series, detector);
  if (!std::filesystem::exists(path)) return fail(Errc::not_found, path.string() + " is not there");
  FF_ASSIGN(const SealedMaster master, read_sealed_master(path));
  FF_TRY(check_leaves_of(master));
  for (const std::string& name : master.files)
    if (name.find('/') == std::string::npos)
      FF_TRY(join_file(catalogue, store, series.to_string() + "/" + name));
  std::map<std::uint32_t, std::vector<WindowFates>> windows;
  for (const std::string& bytes : master.leaves) {
    FF_ASSIGN(WindowLeaf leaf, parse_leaf(as_bytes(bytes)));
    if (leaf.window.fates.empty()) continue;
    windows[leaf.stream].push_back(std::move(leaf.window));
  }
  for (const auto& [stream, fates] : windows) FF_TRY(catalogue.add_windows({series, stream}, fates, nullptr));
  return {};
}

}  // namespace ff::sink
