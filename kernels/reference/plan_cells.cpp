// SPDX-License-Identifier: Apache-2.0
//
// Planner of the model cells: like that of the model smooth, on sampled cells; the encoder counts the symbols.
#include "kernels/reference/plan_cells.hpp"

#include <algorithm>
#include <array>

#include "kernels/format/prior.hpp"
#include "kernels/reference/plan_cell_runs.hpp"
#include "kernels/reference/plan_levels.hpp"
#include "kernels/reference/plan_mask.hpp"
#include "kernels/reference/plan_pixels.hpp"
#include "kernels/reference/plan_prior.hpp"
#include "kernels/reference/plan_tables.hpp"

namespace ff::kernels::reference {
namespace {

constexpr std::array<std::uint16_t, 3> kSmoothings{0, 16384, 32767};
constexpr std::array<std::uint8_t, 4> kMemories{4, 8, 16, 64};
constexpr std::array<std::uint8_t, 4> kPriorWeights{1, 2, 4, 8};
constexpr std::uint8_t kStateShift = 12;  // eight photons a cell; what is more is a value anyway
constexpr std::size_t kSampleCellsKnown = 65536, kSampleCellsMin = 196608, kSampleCellsMax = 393216,
                      kFilledCells = 2048;
constexpr std::size_t kPriorFrames = 4;  // of the sampled ones
constexpr std::uint32_t kTurns = 8;
constexpr std::size_t kLookPixels = 4096;
constexpr std::size_t kClearlySparse = 12;  // fast: up to this share of filled pixels nothing else is weighed
constexpr std::uint32_t kWeighGroups = 16;
constexpr std::uint64_t kDoubtShare = 8;
constexpr std::uint64_t kFasterShare = 64;  // cells take a third of the time: worth 1/64 of the bits
constexpr std::size_t kStarvedShare = 16;   // filled cells to a value

// Tokens as levels of a short comb: every bucket codes the symbol itself.
PredictorSetup symbol_setup() {
  PredictorSetup setup;
  setup.up = kStateShift;
  setup.levels.level_bits = 8;
  setup.levels.kind = LevelMapKind::packed;
  setup.levels.packed = {0};
  return setup;
}

// A look at some thousand pixels: how many of them differ from 0.
struct Look {
  std::size_t seen = 0, filled = 0;
};

Look look_at(const TileState::Body& body, GroupFrames frames, const EncodeOptions& options) {
  const std::size_t pixels = body.shape.pixels();
  const std::size_t step = std::max<std::size_t>(pixels * frames.size() / kLookPixels, 1) | 1;
  Look look;
  std::size_t p = 0;
  for_pixel_type(body.shape.dtype, [&](auto pixel) {
    for (const FrameView& frame : frames) {
      p = for_pixels_apart<decltype(pixel)>(frame, p, step, [&](std::size_t, std::int64_t value) {
        if (std::ranges::find(options.sentinels, value) != options.sentinels.end()) return;
        ++look.seen;
        look.filled += value != 0 ? 1 : 0;
      });
      p -= pixels;
    }
  });
  return look;
}

// Few enough pixels are filled for cells to be worth a plan.
bool looks_sparse(const Look& look) noexcept { return look.filled * 4 < look.seen; }

// Enough cells for some two thousand filled ones, within reason; a known stream has made its choices.
std::size_t sample_cells(const Look& look, const PlannerMemory& memory) noexcept {
  if (memory.known && memory.model == Model::cells) return kSampleCellsKnown;
  const std::size_t wanted = kFilledCells * (look.seen + 1) / (kCellPixels * (look.filled + 1));
  return std::clamp(wanted, kSampleCellsMin, kSampleCellsMax);
}

class CellPlanner {
 public:
  CellPlanner(const TileState::Body& body, const GroupPlace& place, GroupFrames frames,
              const EncodeOptions& options)
      : body_(body),
        frames_(frames),
        options_(options),
        plan_(new EncodePlan),
        sample_(body.shape, frames.size(), sample_cells(look_at(body, frames, options), body.memory)) {
    plan_->tile = body.shape;
    plan_->place = place;
    plan_->profile = options.profile == Profile::automatic ? Profile::fast : options.profile;
    plan_->kind = BlockKind::predicted;
    plan_->group = body.memory.group;
    if (known()) return;
    plan_->group.smoothing = kSmoothings.back();
    plan_->group.mean_frames = kMemories.back();
  }

  EncodePlanPtr run() {
    choose_mask_and_levels();
    sample_.read(frames_, codec_, mask_.get(), image_mask_.get(), resets() ? nullptr : &cells().last_value);
    if (resets()) choose_prior();
    choose_group();
    choose_tables();
    return std::move(plan_);
  }

  /// After run(): hardly any pixel holds more than two counts, so that no other model could predict much.
  [[nodiscard]] bool photon_starved() const noexcept { return photon_starved_; }

 private:
  [[nodiscard]] bool resets() const noexcept { return plan_->setup.has_value(); }
  [[nodiscard]] const CellState& cells() const noexcept { return *body_.predictor->cells; }

  // What the state's map loses is what is declared now, or nothing.
  [[nodiscard]] bool keeps_bound() const noexcept {
    const LossBound& bound = body_.predictor->setup.levels.bound;
    return !bound || bound == options_.bound;
  }

  void choose_mask_and_levels() {
    const bool carry_on =
        !plan_->place.key && body_.predictor && body_.predictor->setup.model == Model::cells;
    const auto previous = body_.predictor ? body_.predictor->mask : nullptr;
    mask_ = plan_mask(body_.shape, frames_, options_, previous, !carry_on);
    image_mask_ = cell_mask(mask_.get(), body_.shape);
    plan_->exact_pixels = plan_exact_pixels(options_, mask_.get());
    if (carry_on && keeps_bound() && expresses(body_.predictor->codec, frames_, mask_.get())) {
      codec_ = body_.predictor->codec;
      if (mask_ != previous) plan_->mask = mask_;
      return;
    }
    const bool wide =
        carry_on && body_.predictor->setup.levels.level_bits < 8 * dtype_bytes(body_.shape.dtype);
    plan_->setup = plan_setup(body_.shape, frames_, options_, mask_.get(), wide, body_.memory);
    plan_->setup->model = Model::cells;
    plan_->setup->source = ContextSource::rate;
    plan_->setup->up = kStateShift;
    plan_->setup->down = 0;
    plan_->mask = mask_;
    codec_ = LevelCodec(plan_->setup->levels, body_.shape.dtype);
  }

  [[nodiscard]] SampleRecords records(const GroupSetup& group, std::size_t frames_max) {
    return resets() ? sample_.run(symbol_setup(), group, *plan_->prior, frames_max)
                    : sample_.run(symbol_setup(), group, cells().image, frames_max);
  }
  [[nodiscard]] FixedBits cost(const GroupSetup& group, std::size_t frames_max) {
    return quick_cost(records(group, frames_max));
  }

  // A stream that was coded as cells before starts from what was best, and tries one thing in every other group.
  [[nodiscard]] bool known() const noexcept {
    return body_.memory.known && body_.memory.model == Model::cells;
  }
  [[nodiscard]] bool turn(std::uint32_t which) const noexcept {
    return !known() || body_.memory.groups % kTurns == 2 * which;
  }

  // The first frame's sums, as a frame of the image of cells.
  [[nodiscard]] std::vector<std::uint16_t> first_sums() const {
    const FrameShape shape = cell_shape(body_.shape);
    std::vector<std::uint16_t> sums(shape.pixels());
    CellRow row(body_.shape, codec_, mask_.get());
    for (std::uint32_t r = 0; r < shape.rows; ++r) {
      const std::uint32_t* levels = row.read(frames_.front(), r);
      for (std::size_t i = 0; i < std::size_t{shape.cols} * kCellPixels; ++i) {
        std::uint16_t& sum = sums[std::size_t{r} * shape.cols + i / kCellPixels];
        const std::uint32_t level = std::min(levels[i], kCellLevelMax);
        sum = static_cast<std::uint16_t>(sum + level);
      }
    }
    return sums;
  }

  void choose_prior() {
    const std::vector<std::uint16_t> sums = first_sums();
    const FrameShape shape = cell_shape(body_.shape);
    const FrameView image{shape, shape.row_bytes(), reinterpret_cast<const std::byte*>(sums.data())};
    PredictorSetup setup;
    setup.up = kStateShift;
    const LevelCodec identity(setup.levels, Dtype::u16);
    const unsigned last_block = std::clamp<unsigned>(body_.memory.prior_block, 3, 6);
    const std::uint8_t weight = known() ? body_.memory.prior_weight : kPriorWeights[1];
    std::vector<Prior> candidates;
    for (const unsigned log2_block : {6u, 5u, 4u, 3u}) {
      const bool neighbour = log2_block <= last_block + 1 && log2_block + 1 >= last_block;
      if (!known() || log2_block == last_block || (turn(0) && neighbour))
        candidates.push_back(plan_prior(image, identity, setup, image_mask_.get(), log2_block, weight));
    }
    keep_cheapest(candidates);
    if (!turn(1)) return;
    candidates.assign(kPriorWeights.size(), *plan_->prior);
    for (std::size_t i = 0; i < candidates.size(); ++i) candidates[i].frames_weight = kPriorWeights[i];
    keep_cheapest(candidates);
  }

  // The prior that makes the first frames and itself together the cheapest.
  void keep_cheapest(const std::vector<Prior>& candidates) {
    std::size_t best = 0;
    FixedBits best_bits = ~FixedBits{0};
    for (std::size_t i = 0; candidates.size() > 1 && i < candidates.size(); ++i) {
      plan_->prior = candidates[i];
      const FixedBits bits =
          cost(plan_->group, kPriorFrames) / 256 * sample_.ratio_256() +
          (FixedBits{prior_bits(candidates[i], cell_shape(body_.shape))} << kFixedBitsShift);
      if (bits < best_bits) best = i, best_bits = bits;
    }
    plan_->prior = candidates[best];
  }

  void choose_group() {
    if (turn(2)) try_field(&GroupSetup::smoothing, kSmoothings);
    if (turn(3)) try_field(&GroupSetup::mean_frames, kMemories);
  }

  template <typename Field, typename Values>
  void try_field(Field GroupSetup::*field, const Values& values) {
    FixedBits best = cost(plan_->group, frames_.size());
    for (const auto value : values) {
      GroupSetup other = plan_->group;
      other.*field = value;
      if (other == plan_->group) continue;
      const FixedBits bits = cost(other, frames_.size());
      if (bits < best) plan_->group = other, best = bits;
    }
  }

  void choose_tables() {
    const SampleRecords found = records(plan_->group, frames_.size());
    const auto filled = found.size() - static_cast<std::size_t>(std::ranges::count(found.level, 0u));
    photon_starved_ = sample_.value_count() * kStarvedShare < filled;
    ContextTables tables;
    tables.bits = kProbabilityBitsMax;
    std::vector<Histogram> counts;
    for (const Run& run : cell_runs(found, sample_)) {
      tables.classes.push_back({run.width, false, false, 0});
      counts.push_back(with_rare_escaped(run.histogram, tables.bits));
    }
    for (const Run& run : value_runs(sample_)) {
      tables.value_keys.push_back(run.width);
      counts.push_back(run.histogram);
    }
    const ContextTables counted = counted_tables(tables, counts);
    BitWriter header;
    write_context_tables(counted, header);
    write_value_tables(counted, header);
    std::uint64_t bits = coded_bits(found, sample_, counted) + header.bit_count();
    plan_->tables = std::make_shared<const ContextTables>(std::move(tables));
    plan_->count_frequencies = true;
    if (!resets()) {
      const std::uint64_t old_bits = coded_bits(found, sample_, *body_.predictor->tables);
      if (old_bits <= bits) plan_->tables = nullptr, plan_->count_frequencies = false, bits = old_bits;
    }
    plan_->group.streams = streams_for(bits);
    plan_->expected_bits = bits + (plan_->prior ? prior_bits(*plan_->prior, cell_shape(body_.shape)) : 0);
  }

  const TileState::Body& body_;
  GroupFrames frames_;
  const EncodeOptions& options_;
  EncodePlanPtr plan_;
  std::shared_ptr<const MaskMap> mask_, image_mask_;
  LevelCodec codec_;
  CellSample sample_;
  bool photon_starved_ = false;
};

}  // namespace

EncodePlanPtr plan_cells(const TileState::Body& body, const GroupPlace& place, GroupFrames frames,
                         const EncodeOptions& options) {
  return CellPlanner(body, place, frames, options).run();
}

EncodePlanPtr plan_or_cells(const TileState::Body& body, const GroupPlace& place, GroupFrames frames,
                            const EncodeOptions& options, OtherPlanner other) {
  const Look look = look_at(body, frames, options);
  if (!looks_sparse(look)) return other(body, place, frames, options);
  const bool starts = place.key || !body.predictor;
  const Model last = starts ? body.memory.model : body.predictor->setup.model;
  // Models are weighed when a window starts, and for a known stream only now and then.
  const bool weigh = starts && body.memory.groups % kWeighGroups == 0;
  if (!weigh) return (last == Model::cells ? plan_cells : other)(body, place, frames, options);
  CellPlanner planner(body, place, frames, options);
  EncodePlanPtr cells = planner.run();
  const bool fast = options.profile == Profile::fast || options.profile == Profile::automatic;
  if (fast && planner.photon_starved() && look.filled * kClearlySparse < look.seen) return cells;
  EncodePlanPtr rest = other(body, place, frames, options);
  const std::uint64_t speed = rest->profile == Profile::fast ? rest->expected_bits / kFasterShare : 0;
  // Values come in spots, of which a sample may see too few.
  const std::uint64_t doubt = planner.photon_starved() ? 0 : cells->expected_bits / kDoubtShare;
  const bool fewer = cells->expected_bits + doubt <= rest->expected_bits + speed;
  return fewer || rest->kind != BlockKind::predicted ? std::move(cells) : std::move(rest);
}

}  // namespace ff::kernels::reference
