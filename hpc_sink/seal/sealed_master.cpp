// SPDX-License-Identifier: Apache-2.0
//
// Sealed master: writing. Reading: sealed_master_reader.cpp.
#include "hpc_sink/seal/sealed_master.hpp"

#include "hpc_sink/seal/growing_table.hpp"
#include "hpc_sink/seal/merkle_tree.hpp"
#include "hpc_sink/seal/series_leaves.hpp"
#include "hpc_sink/seal/window_leaf.hpp"

namespace ff::sink {
namespace {

void append_number(GrowingTable& table, std::uint64_t number) {
  std::byte raw[8];
  store_le(raw, number);
  table.append(raw);
}

void write_seals(Hdf5Writer& writer, hid_t own, const std::vector<SealRow>& seals) {
  const Hdf5Id group = writer.group(own, "seals", "NXcollection");
  if (!writer.good()) return;
  std::string bodies, keys, signatures;
  std::vector<std::uint64_t> ends;
  for (const SealRow& row : seals) {
    bodies += row.seal.body();
    ends.push_back(bodies.size());
    keys += row.seal.public_key();
    signatures += row.seal.signature();
  }
  const hsize_t count = seals.size();
  writer.array(group.get(), "body", H5T_STD_U8LE, {bodies.size()}, bodies.data());
  writer.array(group.get(), "body_end", H5T_STD_U64LE, {count}, ends.data());
  writer.array(group.get(), "public_key", H5T_STD_U8LE, {count, 32}, keys.data());
  writer.array(group.get(), "signature", H5T_STD_U8LE, {count, 64}, signatures.data());
}

Status write_leaves(Hdf5Writer& writer, hid_t own, const Catalogue& catalogue, const SeriesLedger& ledger) {
  const Hdf5Id group = writer.group(own, "leaves", "NXcollection");
  FF_TRY(writer.status());
  GrowingTable bytes(writer, group.get(), "bytes", H5T_STD_U8LE, 1);
  GrowingTable ends(writer, group.get(), "bytes_end", H5T_STD_U64LE, 1);
  GrowingTable hashes(writer, group.get(), "sha256", H5T_STD_U8LE, 32);
  std::uint64_t end = 0;
  FF_TRY(for_each_leaf(catalogue, ledger, [&](const StreamLedger& stream, const WindowFates& window) {
    const std::string leaf = leaf_bytes(stream.stream, window);
    bytes.append(as_bytes(leaf));
    append_number(ends, end += leaf.size());
    const Sha256 hash = leaf_hash(as_bytes(leaf));
    hashes.append(std::as_bytes(std::span(hash)));
    return writer.status();
  }));
  for (GrowingTable* const table : {&bytes, &ends, &hashes}) table->finish();
  return writer.status();
}

}  // namespace

Status write_sealed(Hdf5Writer& writer, hid_t own, const Catalogue& catalogue, const SeriesLedger& ledger,
                    const std::vector<SealRow>& seals) {
  FF_ASSIGN(const std::vector<FileRow> files, catalogue.files(ledger.series.uid));
  std::string names;
  for (const FileRow& file : files) names += file.name.substr(file.name.rfind('/') + 1) + "\n";
  writer.text(own, "files", names);
  write_seals(writer, own, seals);
  return write_leaves(writer, own, catalogue, ledger);
}

}  // namespace ff::sink
