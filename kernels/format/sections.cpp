// SPDX-License-Identifier: Apache-2.0
//
// Sections: one writer and one checked parser per section, in the order of block.md §5.
#include "kernels/format/sections.hpp"

#include <string>

#include "kernels/format/cell_values.hpp"
#include "kernels/format/prior.hpp"

namespace ff::kernels {
namespace {

constexpr std::size_t kSectionHeadBytes = 5;  // u8 number, u32 length

void append_section(std::vector<std::byte>& out, SectionId id, ByteSpan body) {
  const std::size_t at = out.size();
  out.resize(at + kSectionHeadBytes + body.size());
  store_le(out.data() + at, static_cast<std::uint8_t>(id));
  store_le(out.data() + at + 1, static_cast<std::uint32_t>(body.size()));
  std::ranges::copy(body, out.begin() + static_cast<std::ptrdiff_t>(at + kSectionHeadBytes));
}

void write_setup(const PredictorSetup& setup, BitWriter& out) {
  out.bits(static_cast<std::uint64_t>(setup.model), 2);
  out.bits(static_cast<std::uint64_t>(setup.source), 2);
  out.bits(setup.up, 4);
  out.bits(setup.down, 5);
  write_level_map(setup.levels, out);
  if (setup.model != Model::phases) return;
  out.bits(setup.phases.key_levels - 1u, 3);
  out.bits(setup.phases.later_levels - 1u, 3);
  out.bits(setup.phases.wide ? 1 : 0, 1);
}

bool parse_phases(BitReader& in, const FrameShape& tile, PhaseSetup& phases) {
  phases.key_levels = static_cast<std::uint8_t>(in.bits(3) + 1);
  phases.later_levels = static_cast<std::uint8_t>(in.bits(3) + 1);
  phases.wide = in.bits(1) == 1;
  return levels_fit(tile.rows, tile.cols, std::max(phases.key_levels, phases.later_levels));
}

Result<PredictorSetup> parse_setup(ByteSpan body, const FrameShape& tile) {
  BitReader in(body);
  PredictorSetup setup;
  const auto model = in.bits(2);
  setup.model = static_cast<Model>(model);
  const auto source = in.bits(2);
  setup.source = static_cast<ContextSource>(source);
  setup.up = static_cast<std::uint8_t>(in.bits(4));
  setup.down = static_cast<std::uint8_t>(in.bits(5));
  FF_ASSIGN(setup.levels, parse_level_map(in, tile.dtype));
  const bool planes_fit = model != 1 || parse_phases(in, tile, setup.phases);
  const unsigned down_max = setup.levels.level_bits == 32 ? 16 : setup.levels.level_bits == 16 ? 1 : 0;
  if (!in.ended_cleanly() || !planes_fit || model > 2 || source > 1 || setup.up > 12 ||
      setup.down > down_max || (setup.up && setup.down) || (model == 2 && (source != 0 || setup.down != 0))) {
    return fail(Errc::malformed, "block: the predictor's setup is not possible");
  }
  return setup;
}

void write_group(const GroupSetup& group, BitWriter& out) {
  out.bits(group.smoothing, 15);
  out.bits(group.scale_smoothing, 15);
  out.bits(group.mean_frames - 1u, 6);
  out.bits(group.scale_frames - 1u, 6);
  out.bits(group.fast_frames - 1u, 6);
  out.bits(static_cast<std::uint64_t>(std::countr_zero(group.streams)), 2);
}

Result<GroupSetup> parse_group(ByteSpan body) {
  BitReader in(body);
  GroupSetup group;
  group.smoothing = static_cast<std::uint16_t>(in.bits(15));
  group.scale_smoothing = static_cast<std::uint16_t>(in.bits(15));
  group.mean_frames = static_cast<std::uint8_t>(in.bits(6) + 1);
  group.scale_frames = static_cast<std::uint8_t>(in.bits(6) + 1);
  group.fast_frames = static_cast<std::uint8_t>(in.bits(6) + 1);
  group.streams = static_cast<std::uint8_t>(1u << in.bits(2));
  if (!in.ended_cleanly()) return fail(Errc::malformed, "block: the group section is not its 50 bits");
  return group;
}

Status parse_lanes(ByteSpan body, PredictedPayload& payload) {
  ByteReader in(body);
  std::array<std::uint32_t, kStreamsMax> words{};
  for (std::size_t s = 0; s < payload.group.streams; ++s) words[s] = in.read<std::uint32_t>();
  for (std::size_t s = 0; s < payload.group.streams; ++s) {
    payload.streams[s] = in.take(std::size_t{words[s]} * 2);
    if (words[s] < 2 * kLanes) return fail(Errc::malformed, "block: a stream lacks its 32 lane states");
  }
  if (!in.ok() || !in.rest().empty())
    return fail(Errc::malformed, "block: stream lengths and lanes disagree");
  return {};
}

// Which sections have been seen, to check order and presence.
struct SectionOrder {
  int last = 0;
  bool group = false, lanes = false;
};

Status parse_section(std::uint8_t id, ByteSpan body, const FrameShape& tile, PredictedPayload& payload,
                     SectionOrder& order) {
  switch (static_cast<SectionId>(id)) {
    case SectionId::setup: {
      FF_ASSIGN(payload.setup, parse_setup(body, tile));
      return {};
    }
    case SectionId::mask: {
      BitReader in(body);
      FF_ASSIGN(MaskMap mask, parse_mask_map(in, tile));
      if (!in.ended_cleanly())
        return fail(Errc::malformed, "block: the mask section is longer than its mask");
      payload.mask = std::make_shared<const MaskMap>(std::move(mask));
      return {};
    }
    case SectionId::prior: {
      if (!payload.setup) return fail(Errc::malformed, "block: a prior without a setup");
      BitReader in(body);
      FF_ASSIGN(payload.prior, parse_prior(in, model_shape(tile, payload.setup->model),
                                           payload.setup->source == ContextSource::scale));
      if (!in.ended_cleanly())
        return fail(Errc::malformed, "block: the prior section is longer than its grid");
      return {};
    }
    case SectionId::group: {
      FF_ASSIGN(payload.group, parse_group(body));
      order.group = true;
      return {};
    }
    case SectionId::tables: {
      BitReader in(body);
      FF_ASSIGN(ContextTables tables, parse_context_tables(in));
      if (!in.ended_cleanly())
        return fail(Errc::malformed, "block: the tables section is longer than its tables");
      payload.tables = std::make_shared<const ContextTables>(std::move(tables));
      return {};
    }
    case SectionId::mix: payload.mix_bits = body; return {};
    case SectionId::exact: payload.exact_pixels = body; return {};
    case SectionId::values: {
      if (payload.tables == nullptr) return fail(Errc::malformed, "block: value tables without tables");
      BitReader in(body);
      auto tables = std::make_shared<ContextTables>(*payload.tables);
      FF_TRY(parse_value_tables(in, *tables));
      if (!in.ended_cleanly())
        return fail(Errc::malformed, "block: the values section is longer than its tables");
      payload.tables = std::move(tables);
      return {};
    }
    case SectionId::lanes:
      order.lanes = true;
      if (!order.group) return fail(Errc::malformed, "block: lanes before the group section");
      return parse_lanes(body, payload);
  }
  if (id >= 128) return {};
  return fail(Errc::unsupported_feature,
              "block: section " + std::to_string(id) + " is not in block.md 0.2; update this reader");
}

}  // namespace

std::vector<std::byte> write_side_information(const EncodePlan& plan, const ContextTables* tables,
                                              ByteSpan mix_bits, ByteSpan exact_pixels) {
  std::vector<std::byte> out;
  const auto append = [&](SectionId id, auto&& write) {
    BitWriter bits;
    write(bits);
    append_section(out, id, bits.bytes());
  };
  if (plan.setup) append(SectionId::setup, [&](BitWriter& bits) { write_setup(*plan.setup, bits); });
  if (plan.mask)
    append(SectionId::mask, [&](BitWriter& bits) { write_mask_map(*plan.mask, plan.tile, bits); });
  if (plan.prior) {
    const FrameShape shape = model_shape(plan.tile, plan.setup->model);
    append(SectionId::prior, [&](BitWriter& bits) { write_prior(*plan.prior, shape, bits); });
  }
  append(SectionId::group, [&](BitWriter& bits) { write_group(plan.group, bits); });
  if (tables != nullptr)
    append(SectionId::tables, [&](BitWriter& bits) { write_context_tables(*tables, bits); });
  if (!mix_bits.empty()) append_section(out, SectionId::mix, mix_bits);
  if (!exact_pixels.empty()) append_section(out, SectionId::exact, exact_pixels);
  if (tables != nullptr && !tables->value_keys.empty())
    append(SectionId::values, [&](BitWriter& bits) { write_value_tables(*tables, bits); });
  return out;
}

Result<PredictedPayload> parse_payload(ByteSpan payload_bytes, const FrameShape& tile) {
  PredictedPayload payload;
  SectionOrder order;
  ByteReader in(payload_bytes);
  while (!in.rest().empty()) {
    const auto id = in.read<std::uint8_t>();
    const auto bytes = in.read<std::uint32_t>();
    const ByteSpan body = in.take(bytes);
    if (!in.ok() || id <= order.last)
      return fail(Errc::malformed, "block: sections are cut short or out of order");
    order.last = id;
    FF_TRY(parse_section(id, body, tile, payload, order));
  }
  if (!order.group || !order.lanes)
    return fail(Errc::malformed, "block: the group or the lanes section is missing");
  return payload;
}

std::size_t write_lanes_head(std::span<const std::size_t> stream_words, MutableByteSpan out) noexcept {
  std::size_t bytes = 4 * stream_words.size();
  for (std::size_t s = 0; s < stream_words.size(); ++s) {
    store_le(out.data() + kSectionHeadBytes + 4 * s, static_cast<std::uint32_t>(stream_words[s]));
    bytes += 2 * stream_words[s];
  }
  store_le(out.data(), static_cast<std::uint8_t>(SectionId::lanes));
  store_le(out.data() + 1, static_cast<std::uint32_t>(bytes));
  return lanes_head_bytes(stream_words.size());
}

}  // namespace ff::kernels
