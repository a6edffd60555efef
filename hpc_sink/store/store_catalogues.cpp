// SPDX-License-Identifier: Apache-2.0
//
// StoreCatalogues: finding them, choosing among them, joining them.
#include "hpc_sink/store/store_catalogues.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <system_error>

#include "common/wire/records.pb.h"

namespace ff::sink {
namespace {

constexpr std::string_view kStem = "catalogue.", kEnding = ".sqlite";
constexpr const char* kOldName = "catalogue.sqlite";

// Between "catalogue." and ".sqlite"; "" for the old name; nothing for other files.
std::optional<std::string> sink_of(const std::string& name) {
  if (name == kOldName) return "";
  if (!name.starts_with(kStem) || !name.ends_with(kEnding) || name.size() <= kStem.size() + kEnding.size())
    return std::nullopt;
  return name.substr(kStem.size(), name.size() - kStem.size() - kEnding.size());
}

Result<std::uint32_t> last_seal(const Catalogue& catalogue, const Uuid& series) {
  FF_ASSIGN(const std::vector<SealRow> seals, catalogue.seals(series));
  return seals.empty() ? 0u : seals.back().number;
}

std::uint64_t epoch_of(const std::string& header) {
  foreframe::wire::EnvelopeHeader parsed;
  return parsed.ParseFromString(header) ? parsed.epoch() : 0;
}

Status join_stream(Catalogue& into, const Catalogue& from, const StreamRow& stream,
                   const std::string& detector, std::int64_t first_seen_utc_ns) {
  FF_TRY(into.add_stream(stream, detector, first_seen_utc_ns));
  if (!stream.start_header.empty())
    FF_TRY(
        into.add_start(stream.key, stream.start_header, stream.start_payload, epoch_of(stream.start_header)));
  if (!stream.end_header.empty())
    FF_TRY(into.add_end(stream.key, stream.end_header, epoch_of(stream.end_header)));
  FF_ASSIGN(const std::vector<WindowFates> windows, from.windows(stream.key));
  return into.add_windows(stream.key, windows, nullptr);
}

Status join_series(Catalogue& into, const Catalogue& from, const SeriesRow& row) {
  FF_ASSIGN(const std::vector<StreamRow> streams, from.streams(row.uid));
  for (const StreamRow& stream : streams)
    FF_TRY(join_stream(into, from, stream, row.detector, row.first_seen_utc_ns));
  FF_ASSIGN(const std::vector<FileRow> files, from.files(row.uid));
  for (const FileRow& file : files) FF_TRY(into.add_windows(file.stream, {}, &file));
  FF_ASSIGN(const std::vector<SealRow> seals, from.seals_of_detector(row.detector));
  for (const SealRow& seal : seals) {
    FF_ASSIGN([[maybe_unused]] const bool is_new, into.join_seal(seal));
  }
  return {};
}

}  // namespace

std::filesystem::path catalogue_path(const std::filesystem::path& store, const std::string& sink) {
  return store / (std::string(kStem) + sink + std::string(kEnding));
}

// Closing the last connection folds the write-ahead log into the file, so that one rename moves everything.
Status take_up_old_catalogue(const std::filesystem::path& store, const std::string& sink) {
  const std::filesystem::path old = store / kOldName, own = catalogue_path(store, sink);
  std::error_code code;
  if (!std::filesystem::exists(old, code) || std::filesystem::exists(own, code)) return {};
  {
    FF_ASSIGN(const auto opened, Catalogue::open(old));
    FF_TRY(opened->fold());
  }
  std::filesystem::rename(old, own, code);
  if (code == std::errc::no_such_file_or_directory) return {};  // another sink was quicker
  if (code) return fail(Errc::io_error, "taking up " + old.string() + ": " + code.message());
  return {};
}

Result<StoreCatalogues> StoreCatalogues::open(const std::filesystem::path& store) {
  StoreCatalogues catalogues;
  std::error_code code;
  for (const auto& entry : std::filesystem::directory_iterator(store, code)) {
    const auto sink = sink_of(entry.path().filename().string());
    if (!sink) continue;
    FF_ASSIGN(auto opened, Catalogue::open_read_only(entry.path()));
    catalogues.all_.push_back({*sink, std::move(opened)});
  }
  if (catalogues.all_.empty())
    return fail(Errc::not_found,
                "no catalogue in " + store.string() + ": is this the folder of a sink's store?");
  std::ranges::sort(catalogues.all_, {}, &One::sink);
  return catalogues;
}

// Only a series' sealer calls it closed, until somebody else seals it again.
Result<StoreCatalogues::Teller> StoreCatalogues::teller_of(const Uuid& series) const {
  std::vector<Teller> having;
  std::optional<Teller> sealed;
  std::uint32_t newest = 0, told = 0;  // seal numbers: that any catalogue has, that a closed series has
  for (const One& one : all_) {
    FF_ASSIGN(const std::uint32_t seal, last_seal(*one.catalogue, series));
    newest = std::max(newest, seal);
    FF_ASSIGN(const auto row, one.catalogue->find_series(series));
    if (!row) continue;
    having.push_back({one.catalogue, *row});
    if (row->closed_utc_ns == 0 || (sealed && seal <= told)) continue;
    sealed = having.back();
    told = seal;
  }
  if (sealed && told == newest) return *sealed;
  if (having.size() == 1) return having.front();
  if (having.empty()) return fail(Errc::not_found, "no series " + series.to_string() + " in this store");
  FF_ASSIGN(std::unique_ptr<Catalogue> joined, Catalogue::open(":memory:"));
  for (const Teller& one : having) FF_TRY(join_series(*joined, *one.catalogue, one.row));
  FF_ASSIGN(auto row, joined->find_series(series));
  if (!row) row = having.front().row;
  return Teller{std::move(joined), *row};
}

Result<std::vector<SeriesRow>> StoreCatalogues::series() const {
  std::set<Uuid> uids;
  for (const One& one : all_) {
    FF_ASSIGN(const std::vector<SeriesRow> rows, one.catalogue->series());
    for (const SeriesRow& row : rows) uids.insert(row.uid);
  }
  std::vector<SeriesRow> found;
  for (const Uuid& uid : uids) {
    FF_ASSIGN(Teller teller, teller_of(uid));
    found.push_back(std::move(teller.row));
  }
  return found;
}

Result<std::shared_ptr<const Catalogue>> StoreCatalogues::of(const Uuid& series) const {
  FF_ASSIGN(Teller teller, teller_of(series));
  return std::move(teller.catalogue);
}

}  // namespace ff::sink
