#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Decodes Foreframe blocks, written from docs/formats/block.md alone: numpy, and none of Foreframe's code.

    decode_reference.py BLOCK.bin [BLOCK.bin ...] -o PIXELS.raw     blocks of one window, in order

Slow (about 0.1 to 1 Mpixel/s) and strict: anything block.md does not allow raises BlockError. Raw blocks need the
`zstandard` package; predicted and stored blocks need numpy only. Section numbers (§) are block.md's; §5, the bit
strings, is decode_reference_sections.py.
"""
import argparse
import itertools
import math
import pathlib
import struct
import sys

import numpy as np

from decode_reference_sections import (  # §5: what the bit strings say
    BUCKETS, ESCAPE, Bits, BlockError, LevelMap, Tables, planes_of, read_mask, read_mixes, read_prior, require,
    restore_exact_pixels, row_order)

DTYPES = {1: "<u1", 2: "<u2", 3: "<u4", 4: "<i1", 5: "<i2", 6: "<i4", 7: "<f2", 8: "<f4"}
LANES, START = 32, 1 << 16

CRC_TABLE = np.arange(256, dtype=np.uint32)
for _ in range(8):
    CRC_TABLE = CRC_TABLE >> 1 ^ np.where(CRC_TABLE & 1, 0x82F63B78, 0)
CRC_TABLE = CRC_TABLE.tolist()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in bytes(data):
        crc = (crc >> 8) ^ CRC_TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


# ---------------------------------------------------------------------------------------------- §3 header
class Header:
    def __init__(self, block):
        require(len(block) >= 64, "the header takes 64 bytes", "truncated")
        (magic, major, minor, header_bytes, self.required, self.optional, self.present, self.block_bytes, self.rows,
         self.cols, self.dtype, self.profile, self.kind, flags, self.first_frame, self.frame_count, reserved,
         self.link, self.pixel_crc, self.payload_crc, reserved_2, self.header_crc) = struct.unpack(
             "<4sBBHIIQIIIBBBBBBHIIIII", block[:64])
        require(magic == b"FFBK", "not a Foreframe block", "bad_magic")
        require((major, minor) == (0, 2), f"version {major}.{minor}", "unsupported_version")
        require(self.header_crc == crc32c(block[:60]), "header", "crc_mismatch")
        require(self.required & ~0x1d == 0, f"required features {self.required:#x}", "unsupported_feature")
        self.key = flags == 1
        require(header_bytes == 64 and flags <= 1 and reserved == 0 and reserved_2 == 0 and self.dtype in DTYPES
                and self.profile <= 3 and self.kind <= 2 and self.rows >= 1 and self.cols >= 1
                and self.rows * self.cols <= 1 << 20 and 1 <= self.frame_count
                and self.first_frame + self.frame_count <= 64 and self.present != 0
                and self.present >> self.frame_count == 0 and (self.key or self.first_frame > 0)
                and not (self.key and self.link) and self.block_bytes >= 64, "a header field is out of its range")
        self.frames = bin(self.present).count("1")


# ------------------------------------------------------------------------------------------ §4 raw blocks
def decode_raw(header, payload, state):
    require(header.required == 0, "features of a raw block")
    dtype, state.levels = np.dtype(DTYPES[header.dtype]), None  # a raw block leaves no predictor
    width, pixels = dtype.itemsize, header.rows * header.cols
    frames, head = header.frames, pixels // 8 * 8 * width
    if header.kind == 1:
        import zstandard  # the only use of anything but numpy
        payload = zstandard.ZstdDecompressor().decompress(payload, max_output_size=frames * pixels * width)
    require(len(payload) == frames * pixels * width, "raw block's size")
    if header.kind == 1:
        raw = np.frombuffer(payload, np.uint8).reshape(frames, -1)
        bits = np.unpackbits(raw[:, :head].reshape(frames, 8 * width, -1), axis=2, bitorder="little")
        elements = np.packbits(bits.swapaxes(1, 2), axis=2, bitorder="little").reshape(frames, -1)
        payload = np.concatenate([elements, raw[:, head:]], axis=1).tobytes()
    return np.frombuffer(payload, dtype).reshape(frames, header.rows, header.cols)


# ----------------------------------------------------------------------------------- §6 prediction, state
BUCKET_OF = np.concatenate([np.arange(256) >> 2, 64 + (np.arange(256, 2048) >> 5), 128 + (np.arange(2048, 8192) >> 7),
                            192 + (np.arange(8192, 32768) >> 10)])  # §6.3, of a key
BUCKET_CENTRES = sum(np.searchsorted(BUCKET_OF, np.arange(BUCKETS), side) for side in ("left", "right")) // 2


def avg(a, b):
    return (a + b + 1) >> 1


def scaled(a, b):
    return (a * b + (1 << 14)) >> 15


def smoothed(plane, masked, smoothing):
    """§6.2 for a whole plane; `masked` is a bool plane."""
    def between(values, axis):
        here = np.arange(values.shape[axis])
        sides = (np.clip(here + step, 0, here[-1]) for step in (-1, 1))  # at a border: the pixel itself
        return avg(*(np.where(np.take(masked, at, axis), values, np.take(values, at, axis)) for at in sides))

    vertical = avg(between(plane, 0), plane)
    return plane + scaled(avg(between(vertical, 1), vertical) - plane, smoothing)


def model_shape(levels, shape):
    """§6.10: what the model predicts, the tile or its cells."""
    return tuple(-(-side // 2) for side in shape) if levels.model == 2 else shape


class State:
    """§6.1: what one tile remembers through a window."""

    def __init__(self):
        self.link = self.next_frame = self.levels = None

    def reset(self, levels, prior, shape):
        self.levels, self.tables, self.mixes, self.frames, self.planes = levels, None, {}, 0, {}
        self.mask_values, self.classes = [], np.zeros(shape, np.int64)
        if levels.model != 1:
            image = model_shape(levels, shape)
            names = ("mean", "scale") if levels.source == 1 else ("mean",)
            self.frames, self.planes = prior or (0, {name: np.zeros(image, np.int64) for name in names})
            self.last_value = np.zeros((image[0] * image[1], 4), np.int64)

    def pixels(self, levels):
        pixels = self.levels.values(levels)
        for c, value in enumerate(self.mask_values):
            pixels[self.classes == c + 1] = value
        return pixels

    def learn(self, seen, miss, group, counts=True):
        """§6.5, §6.9; the first frame of the phases is the state."""
        for name, plane in self.planes.items():
            gain = min(32767, 32768 // min(self.frames + 1, group[name]))
            moved = plane + scaled((miss if name == "scale" else seen) - plane, gain)
            self.planes[name] = np.where(counts, moved, plane)
        if self.levels.model == 1:
            self.planes = self.planes or {"mean": seen, "fast": seen, "scale": miss}
            self.last = seen
        self.frames = min(self.frames + 1, 64)


# ----------------------------------------------------------------------------------------------- §7 lanes
class Stream:
    def __init__(self, words, tables, level_bits):
        require(len(words) >= 2 * LANES, "a stream lacks its states")
        self.words, self.at, self.tables, self.level_bits = words, 2 * LANES, tables, level_bits
        self.x = words[0:64:2].astype(np.int64) | words[1:64:2].astype(np.int64) << 16

    def refill(self, wanted):
        lanes = np.flatnonzero(wanted & (self.x < START))
        require(self.at + len(lanes) <= len(self.words), "the lanes want more words than there are")
        self.x[lanes] = self.x[lanes] << 16 | self.words[self.at:self.at + len(lanes)]
        self.at += len(lanes)

    def symbols(self, context, active):
        """A symbol of each active lane."""
        tables, slot = self.tables, self.x & ((1 << self.tables.bits) - 1)
        token = tables.symbol[context, slot]
        moved = tables.frequency[context, token] * (self.x >> tables.bits) + slot - tables.start[context, token]
        self.x = np.where(active, moved, self.x)
        self.refill(active)
        return token

    def raw(self, token, raw_bits, active):
        """Raw bits behind the symbols; behind an escape all of the level's."""
        bits = np.where(active, np.where(token == ESCAPE, self.level_bits, raw_bits), 0)
        raw = np.zeros(LANES, np.int64)
        for count in (np.where(bits > 16, bits - 16, bits), np.where(bits > 16, 16, 0)):
            raw = raw << count | self.x & ((1 << count) - 1)
            self.x = self.x >> count
            self.refill(count > 0)
        return raw


def decode_positions(state, streams, expected, key, active, ratio=None):
    """§6.3, §6.4: levels of positions in coding order; each group of 32 takes the next of the streams."""
    lv, tables, bucket = state.levels, state.tables, BUCKET_OF[key]
    split, k = tables.split[bucket], tables.raw_bits[bucket]
    which = expected >> max(lv.up - 2, 0) & 3 if ratio is None else ratio
    context = tables.first[bucket] + np.where(split, which, 0)
    half = np.where(split & (ratio is None), 0, 1 << lv.up >> 1)
    base = np.where(tables.residual[bucket], ((expected + half >> lv.up << lv.down) >> k) - 128, 0)
    wrap, result, padding = (1 << max(lv.level_bits, 16)) - 1, [], -len(expected) % LANES
    positions = [np.pad(values, (0, padding)).reshape(-1, LANES) for values in (context, k, base, active)]
    for c, bits, b, on in zip(*positions):
        stream = next(streams)
        token = stream.symbols(c, on)
        raw = stream.raw(token, bits, on)
        result.append(np.where(token == ESCAPE, raw, ((token + b & wrap) << bits | raw) & wrap))
    return np.concatenate(result)[:len(expected)]


def decode_smooth(state, group, streams):
    """§6.2 to §6.5: the levels of one frame."""
    masked, planes = state.classes != 0, state.planes
    expected = key = smoothed(planes["mean"], masked, group["smoothing"])
    if "scale" in planes:
        key = smoothed(planes["scale"], masked, group["scale_smoothing"])
    levels = decode_positions(state, streams, expected.ravel(), key.ravel(), ~masked.ravel()).reshape(masked.shape)
    seen = state.levels.seen(levels)
    state.learn(seen, np.abs(seen - expected), group, ~masked & (levels < state.levels.first_sentinel))
    return levels


def half_octave(v):
    """§6.12"""
    below = np.maximum(np.frexp(v)[1] - 2, 0)
    return np.where(v < 4, v, 2 * below + (v >> below))


def decode_cell_group(state, stream, context, active, last):
    """§6.11, §6.12: levels of 32 cells, (32, 4); moves `last`, their pixels' h."""
    lv, tables, earlier = state.levels, state.tables, np.zeros(LANES, np.int64)
    levels = stream.symbols(context, active)[:, None] >> 2 * np.arange(4) & 3
    for p in range(4):
        follows = active & (levels[:, p] == 3)
        key = np.where(last[:, p] != 0, last[:, p], 64 + earlier)
        symbol = stream.symbols(tables.value_context[key], follows)
        raw_bits = np.clip((symbol >> 2) - 1, 0, 29)
        floor = np.where(symbol < 8, symbol, 4 + (symbol & 3) << raw_bits) * (symbol != ESCAPE)
        value = floor + stream.raw(symbol, raw_bits, follows) & (1 << lv.level_bits) - 1
        levels[:, p] = np.where(follows, value, levels[:, p])
        remembered = follows & (value < lv.first_sentinel)
        earlier = np.where(remembered, half_octave(value), earlier)
        last[:, p] = np.where(remembered, half_octave(value), last[:, p])
    return levels


def decode_cells(state, group, streams):
    """§6.10: the levels of one frame."""
    (rows, cols), (high, wide) = state.classes.shape, state.planes["mean"].shape
    masked = np.pad(state.classes != 0, ((0, rows % 2), (0, cols % 2)), constant_values=True)
    masked = masked.reshape(high, 2, wide, 2).all(axis=(1, 3))
    expected = smoothed(state.planes["mean"], masked, group["smoothing"])
    padding, found = -high * wide % LANES, []
    last = np.pad(state.last_value, ((0, padding), (0, 0))).reshape(-1, LANES, 4)
    flat = (np.pad(v.ravel(), (0, padding)).reshape(-1, LANES) for v in (state.tables.first[BUCKET_OF[expected]], ~masked))
    for context, active, h in zip(*flat, last):
        found.append(decode_cell_group(state, next(streams), context, active, h))
    levels, state.last_value = np.concatenate(found)[:high * wide], last.reshape(-1, 4)[:high * wide]
    seen = state.levels.seen(np.minimum(levels, 16383).sum(axis=1)).reshape(high, wide)
    counts = ~masked & (levels < state.levels.first_sentinel).all(axis=1).reshape(high, wide)
    state.learn(seen, 0, group, counts)
    return levels.reshape(high, wide, 2, 2).swapaxes(1, 2).reshape(2 * high, 2 * wide)[:rows, :cols]


def inside(at, size, step):
    """§6.6: coordinates that left the tile come back in whole steps."""
    at = np.where(at < 0, at % step, at)
    return np.where(at >= size, size - 1 - (size - 1 - at) % step, at)


def around(plane):
    """§6.7: SE and SD of a whole plane of the state."""
    def moved(values, axis, step):
        return np.take(values, inside(np.arange(values.shape[axis]) + step, values.shape[axis], 2), axis)

    up, down = moved(plane, 0, -1), moved(plane, 0, 1)
    above, beside, below = (avg(moved(row, 1, -1), moved(row, 1, 1)) for row in (up, plane, down))
    return avg(avg(up, down), beside), avg(above, below)


def mixed(weights, features, bias, least):
    total = sum(weight * feature for weight, feature in zip(weights, features))
    return np.clip(total + bias * 4096 + 2048 >> 12, least, 32767)


def decode_phases(state, group, streams, mixes):
    """§6.6 to §6.9: the levels of one frame, plane row by plane row."""
    shape, lv, past = state.classes.shape, state.levels, state.frames > 0
    planes, roots = planes_of(lv, past), np.array([math.isqrt(c << lv.up) for c in BUCKET_CENTRES.tolist()])  # §6.8
    levels, seen, miss, nothing = (np.zeros(shape, np.int64) for _ in range(4))
    history, scales = [], [nothing, nothing]
    if past:
        mean, scale = state.planes["mean"], state.planes["scale"]
        history = [mean, state.planes["fast"], state.last, *around(mean), *around(state.last)]
        scales = [scale, avg(*around(scale))]
    for p, row in row_order(planes, shape[0]):
        plane, numbers, here = planes[p], mixes[p], (row, np.arange(planes[p].col, shape[1], planes[p].step))
        near = [tuple(inside(at + offset * plane.distance, size, plane.step)
                      for at, offset, size in zip(here, offsets, shape)) for offsets in plane.neighbours]
        features = [values[here] for values in history] + [seen[at] for at in near]
        expected = mixed(numbers[:-6], features, numbers[-6], 0) + nothing[here]
        root = roots[BUCKET_OF[expected]]
        missed = avg(avg(miss[near[0]], miss[near[1]]), avg(miss[near[2]], miss[near[3]])) if near else 0
        scale_features = [scales[0][here], scales[1][here], missed, root]
        scale = mixed(numbers[-5:-1], scale_features, numbers[-1], 1)
        edges = (root >> 1) + (root >> 3), root, root + (root >> 1)
        ratio = sum((scale > edge).astype(np.int64) for edge in edges)
        key, ratio = (expected, ratio) if lv.source == 0 else (scale, None)
        active = state.classes[here] == 0
        levels[here] = decode_positions(state, streams, expected, key, active, ratio)
        seen[here] = np.where(active & (levels[here] < lv.first_sentinel), lv.seen(levels[here]), expected)
        miss[here] = np.abs(seen[here] - expected)
    state.learn(seen, miss, group)
    return levels


# -------------------------------------------------------------------------------------------- §5 sections
def read_sections(payload):
    at, last, sections = 0, 0, {}
    while at < len(payload):
        require(at + 5 <= len(payload), "section head")
        number, length = struct.unpack_from("<BI", payload, at)
        require(number > last and at + 5 + length <= len(payload), "sections")
        require(number in (1, 2, 3, 4, 5, 6, 7, 8, 16) or number >= 128, f"section {number}", "unsupported_feature")
        sections[number], last, at = payload[at + 5:at + 5 + length], number, at + 5 + length
    require(4 in sections and 16 in sections, "a section is missing")
    return sections


def from_bits(data, read, *arguments):
    bits = Bits(data)
    result = read(bits, *arguments)
    bits.end()
    return result


def read_group(bits):
    return {"smoothing": bits.u(15), "scale_smoothing": bits.u(15), "mean": bits.u(6) + 1, "scale": bits.u(6) + 1,
            "fast": bits.u(6) + 1, "streams": 1 << bits.u(2)}


def read_streams(data, count, tables, level_bits):
    require(len(data) >= 4 * count, "stream lengths")
    lengths, words = struct.unpack_from(f"<{count}I", data), np.frombuffer(data[4 * count:len(data) & ~1], "<u2")
    require(4 * count + 2 * sum(lengths) == len(data), "stream lengths")
    return [Stream(part, tables, level_bits) for part in np.split(words, np.cumsum(lengths)[:-1])]


def apply_sections(sections, shape, dtype, state):
    """What a block says before its first frame (§6.1)."""
    require(1 in sections or 3 not in sections, "a prior without a setup")
    if 1 in sections:
        levels = from_bits(sections[1], LevelMap, dtype, shape)
        require(levels.model != 1 or 3 not in sections, "a prior with the phases")
        prior = from_bits(sections[3], read_prior, model_shape(levels, shape), levels.source == 1) if 3 in sections else None
        state.reset(levels, prior, shape)
    require(state.levels is not None, "no setup since the last raw block")
    if 2 in sections:
        state.mask_values, state.classes = from_bits(sections[2], read_mask, shape, dtype)
    if 5 in sections:
        state.tables = from_bits(sections[5], Tables)
    require(state.tables is not None, "no tables since the setup")
    require((8 in sections) == (state.levels.model == 2 and 5 in sections), "value tables and the model")
    if 8 in sections:
        require(not (state.tables.split.any() or state.tables.residual.any()), "classes of cells")
        from_bits(sections[8], state.tables.read_values)
    by_ratio = state.levels.model == 1 and state.levels.source == 0
    require(state.levels.up >= 2 or by_ratio or not state.tables.split.any(), "split classes")
    require((state.levels.model == 1) == (6 in sections), "the mix section and the model")


def features_of(state):
    """§8: the bits of everything that a block uses."""
    levels = state.levels
    return (levels.model == 1) << 0 | (levels.model == 2) << 2 | (levels.lossy is not None) << 3 | (state.tables.bits == 12) << 4


def decode_predicted(header, payload, state):
    require(header.dtype <= 6, "float pixels in a predicted block")
    sections = read_sections(payload)
    require(1 in sections or not header.key, "a key group without a setup")
    apply_sections(sections, (header.rows, header.cols), DTYPES[header.dtype], state)
    require(header.required == features_of(state), "features and content")
    group = from_bits(sections[4], read_group)
    streams = read_streams(sections[16], group["streams"], state.tables, state.levels.level_bits)
    if state.levels.model == 1:
        mixes = from_bits(sections[6], read_mixes, state, header.frames)
        frames = [state.pixels(decode_phases(state, group, itertools.cycle(streams), mix)) for mix in mixes]
    else:
        decode = decode_cells if state.levels.model == 2 else decode_smooth
        frames = [state.pixels(decode(state, group, itertools.cycle(streams))) for _ in range(header.frames)]
    for stream in streams:
        require(stream.at == len(stream.words) and (stream.x == START).all(), "the lanes' end")
    pixels = np.stack(frames)
    if 7 in sections:
        require(state.levels.lossy is not None, "exact pixels without a lossy map")
        from_bits(sections[7], restore_exact_pixels, pixels.reshape(len(pixels), -1))
    return pixels


def decode_block(block, state):
    """Pixels of the present frames as an array (frames, rows, cols); moves `state` past the block."""
    header = Header(block)
    require(len(block) >= header.block_bytes, "the payload is cut short", "truncated")
    follows = state.link is not None and state.link == header.link and header.first_frame >= state.next_frame
    require(header.key or follows, "not the group that follows", "state_mismatch")
    payload = block[64:header.block_bytes]
    require(crc32c(payload) == header.payload_crc, "payload", "crc_mismatch")
    pixels = (decode_predicted if header.kind == 2 else decode_raw)(header, payload, state)
    require(crc32c(pixels.tobytes()) == header.pixel_crc, "pixels", "crc_mismatch")
    state.link, state.next_frame = header.header_crc, header.first_frame + header.frame_count
    return pixels


# --------------------------------------------------------------------------------------------- programme
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("blocks", nargs="+", help="blocks of one window, in order")
    parser.add_argument("-o", "--output", required=True, help="raw little-endian pixels of all present frames")
    arguments, state = parser.parse_args(), State()
    try:
        with open(arguments.output, "wb") as out:
            for name in arguments.blocks:
                out.write(decode_block(pathlib.Path(name).read_bytes(), state).tobytes())
    except BlockError as error:
        print(f"decode_reference: {name}: {error.args[0]}: {error.args[1]}", file=sys.stderr)
        return 65
    return 0


if __name__ == "__main__":
    sys.exit(main())
