#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Decodes Foreframe blocks, written from docs/formats/block.md alone: numpy, and none of Foreframe's code.

    decode_reference.py BLOCK.bin [BLOCK.bin ...] -o PIXELS.raw     blocks of one window, in order
    decode_reference.py --check FOLDER                              every golden block against its JSON twin

Slow (about 1 Mpixel/s) and strict: anything block.md does not allow raises BlockError. Raw blocks need the
`zstandard` package; predicted and stored blocks need numpy only. Section numbers (§) are block.md's.
"""
import argparse
import json
import math
import pathlib
import struct
import sys

import numpy as np

DTYPES = {1: "<u1", 2: "<u2", 3: "<u4", 4: "<i1", 5: "<i2", 6: "<i4", 7: "<f2", 8: "<f4"}
LANES, BUCKETS, ESCAPE, START = 32, 224, 255, 1 << 16
BUCKET_OF = np.array([k >> 2 if k < 256 else 64 + (k >> 5) if k < 2048 else 128 + (k >> 7) if k < 8192 else 192 + (k >> 10)
                      for k in range(32768)])  # §6.3, of a key


class BlockError(Exception):
    """What block.md §10 calls an error; the first argument is its word."""


def require(condition, word, text):
    if not condition:
        raise BlockError(word, text)


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
        require(len(block) >= 64, "truncated", "the header takes 64 bytes")
        (magic, major, minor, header_bytes, required, self.optional, self.present, self.block_bytes, self.rows,
         self.cols, self.dtype, self.profile, self.kind, flags, self.first_frame, self.frame_count, reserved,
         self.link, self.pixel_crc, self.payload_crc, reserved_2, self.header_crc) = struct.unpack(
             "<4sBBHIIQIIIBBBBBBHIIIII", block[:64])
        require(magic == b"FFBK", "bad_magic", "not a Foreframe block")
        require((major, minor) == (0, 2), "unsupported_version", f"version {major}.{minor}")
        require(self.header_crc == crc32c(block[:60]), "crc_mismatch", "header")
        require(required & ~0x11 == 0, "unsupported_feature", f"required features {required:#x}")
        self.key = flags == 1
        fields_good = (header_bytes == 64 and flags <= 1 and reserved == 0 and reserved_2 == 0
                       and self.dtype in DTYPES and self.profile <= 3 and self.kind <= 2
                       and self.rows >= 1 and self.cols >= 1 and self.rows * self.cols <= 1 << 20
                       and 1 <= self.frame_count and self.first_frame + self.frame_count <= 64
                       and self.present != 0 and self.present >> self.frame_count == 0
                       and (self.key or self.first_frame > 0) and not (self.key and self.link)
                       and self.block_bytes >= 64)
        require(fields_good, "malformed", "a header field is out of its range")
        self.frames = bin(self.present).count("1")


# ------------------------------------------------------------------------------------------ §4 raw blocks
def decode_raw(header, payload):
    dtype = np.dtype(DTYPES[header.dtype])
    width, pixels = dtype.itemsize, header.rows * header.cols
    if header.kind == 1:
        import zstandard  # the only use of anything but numpy
        payload = zstandard.ZstdDecompressor().decompress(payload, max_output_size=header.frames * pixels * width)
        head, out = pixels // 8 * 8 * width, []
        for at in range(0, len(payload), pixels * width):
            frame = np.frombuffer(payload[at:at + pixels * width], np.uint8)
            rows = np.unpackbits(frame[:head].reshape(8 * width, -1), axis=1, bitorder="little")
            out += [np.packbits(rows.T, axis=1, bitorder="little").tobytes(), frame[head:].tobytes()]
        payload = b"".join(out)
    require(len(payload) == header.frames * pixels * width, "malformed", "raw block's size")
    return np.frombuffer(payload, dtype).reshape(header.frames, header.rows, header.cols)


# -------------------------------------------------------------------------------------- §5.1 bit strings
class Bits:
    def __init__(self, data):
        self.data, self.at = data, 0

    def u(self, count):
        value = 0
        for i in range(count):
            require(self.at >> 3 < len(self.data), "malformed", "a bit string ends early")
            value |= (self.data[self.at >> 3] >> (self.at & 7) & 1) << i
            self.at += 1
        return value

    def eg(self, k):
        n = 0
        while self.u(1) == 0:
            n += 1
            require(n + k <= 31, "malformed", "an Exp-Golomb code is too long")
        return (1 << (n + k)) + self.u(n + k) - (1 << k)

    def zz(self, k):
        return signed(self.eg(k))

    def i64(self):
        value = self.u(64)
        return value - (1 << 64) if value >> 63 else value

    def end(self):
        left = len(self.data) * 8 - self.at
        require(left < 8 and self.u(left) == 0, "malformed", "a section is longer than its content")


def signed(z):
    return z >> 1 if z & 1 == 0 else -(z + 1 >> 1)


class Adaptive:
    """Numbers whose order follows their size (§5.6, §5.7)."""

    def __init__(self, mean):
        self.mean = mean

    def read(self, bits):
        z = bits.eg((self.mean // 16).bit_length())
        self.mean += 2 * z - self.mean // 4
        return signed(z)


# ----------------------------------------------------------------------------------------- §5.2 level map
class LevelMap:
    def __init__(self, bits, dtype, shape):
        self.dtype = np.dtype(dtype)
        info = np.iinfo(self.dtype)
        in_range = lambda v: info.min <= v <= info.max
        self.model, self.source, self.up, self.down = bits.u(2), bits.u(2), bits.u(4), bits.u(5)
        width, kind = bits.u(2), bits.u(2)
        good = width <= 2 and kind <= 1 and self.model <= 1 and self.source <= 1 and self.up <= 12
        require(good, "malformed", "setup")
        self.level_bits = (8, 16, 32)[width]
        self.base = bits.i64()
        require(self.level_bits <= 8 * self.dtype.itemsize and in_range(self.base), "malformed", "level map")
        require(self.down <= {8: 0, 16: 1, 32: 16}[self.level_bits] and not (self.up and self.down), "malformed", "shift")
        count = bits.u(4)
        require(count <= 8, "malformed", "sentinels")
        self.sentinels = [bits.i64() for _ in range(count)]
        require(all(map(in_range, self.sentinels)) and len(set(self.sentinels)) == count, "malformed", "sentinels")
        self.first_sentinel = (1 << self.level_bits) - count
        self.packed = self.read_packed(bits, info) if kind == 1 else None
        if self.model == 1:
            self.key_levels, self.later_levels, self.wide = bits.u(3) + 1, bits.u(3) + 1, bits.u(1)
            most = max(self.key_levels, self.later_levels)
            require(most <= 6 and min(shape) >= 1 << most, "malformed", "the planes' levels")

    def read_packed(self, bits, info):
        count, used, value = bits.u(16), [], self.base
        while len(used) < count:
            run = bits.eg(0) + 1
            require(run <= count - len(used), "malformed", "used values")
            used += range(value, value + run)
            value += run
            if len(used) < count:
                value += bits.eg(0) + 1
            require(value - self.base <= 65536, "malformed", "used values")
        good = used and count <= self.first_sentinel and used[-1] - self.base <= 65535 and used[-1] <= info.max
        require(good, "malformed", "used values")
        return used

    def values(self, levels):
        """Levels (int64 array) to pixel values, modulo the pixel type."""
        if self.packed is not None:
            values = np.array(self.packed)[np.minimum(levels, len(self.packed) - 1)]
        else:
            values = self.base + levels
            span = 1 << self.level_bits
            own = [s - self.base for s in self.sentinels]
            if self.level_bits == 8 * self.dtype.itemsize:
                own = [s % span for s in own]
            taken = [top for top in range(self.first_sentinel, span) if top not in own]
            freed = sorted(s for s in own if 0 <= s < self.first_sentinel)
            for c, d in zip(taken, freed):
                values = np.where(levels == d, self.base + c, values)
        for j, sentinel in enumerate(self.sentinels):
            values = np.where(levels == (1 << self.level_bits) - 1 - j, sentinel, values)
        unsigned = values & ((1 << (8 * self.dtype.itemsize)) - 1)
        return unsigned.astype(f"<u{self.dtype.itemsize}").view(self.dtype)

    def seen(self, levels):
        """§6.5: levels as the state sees them."""
        return np.minimum(levels >> self.down, 32767 >> self.up) << self.up

    def counts(self, levels):
        return levels < self.first_sentinel


# ---------------------------------------------------------------------------------------------- §5.4 mask
class Mask:
    def __init__(self, bits, rows, cols, dtype):
        info, count = np.iinfo(np.dtype(dtype)), bits.u(4)
        self.values = [bits.i64() for _ in range(count)]
        require(all(info.min <= v <= info.max for v in self.values), "malformed", "masked value")
        pixels, at = rows * cols, 0
        self.classes = [0] * pixels
        while True:
            skip = bits.eg(6)
            require(skip <= pixels - at, "malformed", "mask")
            for at in range(at, at + skip):
                self.classes[at] = self.classes[at - cols] if at >= cols else 0
            at += 1 if skip else 0
            if at == pixels:
                break
            run, pixel_class = bits.eg(1) + 1, bits.u(count.bit_length())
            require(run <= pixels - at and pixel_class <= count, "malformed", "mask")
            self.classes[at:at + run] = [pixel_class] * run
            at += run
        self.classes = np.array(self.classes)


# --------------------------------------------------------------------------------------------- §5.5 prior
class Prior:
    def __init__(self, bits, rows, cols, has_scale):
        self.log2_block, self.weight, self.quantum = bits.u(3), bits.u(4), bits.u(4)
        require(2 <= self.log2_block <= 6 and self.quantum <= 14, "malformed", "prior")
        self.rows, self.cols = rows, cols
        self.mean = self.read_plane(bits)
        self.scale = self.read_plane(bits) if has_scale else None

    def read_plane(self, bits):
        block = 1 << self.log2_block
        grid_rows, grid_cols = -(-self.rows // block), -(-self.cols // block)
        order, grid = bits.u(4), np.zeros((grid_rows, grid_cols), np.int64)
        for r in range(grid_rows):
            for c in range(grid_cols):
                if r and c:
                    left, up, corner = grid[r, c - 1], grid[r - 1, c], grid[r - 1, c - 1]
                    guess = min(max(left + up - corner, min(left, up)), max(left, up))
                else:
                    guess = grid[r, c - 1] if c else grid[r - 1, c] if r else 0
                grid[r, c] = guess + bits.zz(order)
                require(0 <= grid[r, c] <= 32767 >> self.quantum, "malformed", "prior value")
        return self.expand(grid << self.quantum)

    def axis(self, pixels, points):
        block = 1 << self.log2_block
        t = 2 * np.arange(pixels) + 1 + block
        cell = t // (2 * block)
        return np.clip(cell - 1, 0, points - 1), np.minimum(cell, points - 1), t % (2 * block)

    def expand(self, grid):
        whole = 2 << self.log2_block
        a, b, v = self.axis(self.rows, grid.shape[0])
        c, d, w = self.axis(self.cols, grid.shape[1])
        lines = grid[a] * (whole - v)[:, None] + grid[b] * v[:, None]
        total = lines[:, c] * (whole - w) + lines[:, d] * w + whole * whole // 2
        return total >> 2 * (self.log2_block + 1)


# -------------------------------------------------------------------------------------------- §5.6 tables
class Tables:
    def __init__(self, bits):
        covered, contexts = 0, 0
        self.bits = 11 + bits.u(1)
        self.first, self.raw_bits = np.zeros(BUCKETS, np.int64), np.zeros(BUCKETS, np.int64)
        self.residual, self.split = np.zeros(BUCKETS, bool), np.zeros(BUCKETS, bool)
        while covered < BUCKETS:
            span = BUCKETS - covered if bits.u(1) else bits.eg(2) + 1
            require(span <= BUCKETS - covered, "malformed", "classes")
            buckets = slice(covered, covered + span)
            self.first[buckets] = contexts
            self.residual[buckets], self.split[buckets] = bits.u(1), bits.u(1)
            self.raw_bits[buckets] = bits.u(4) if self.residual[covered] else 0
            contexts += 4 if self.split[covered] else 1
            covered += span
            require(contexts <= 64, "malformed", "contexts")
        self.frequency = np.array([self.read_frequencies(bits) for _ in range(contexts)])
        self.start = np.cumsum(self.frequency, axis=1) - self.frequency
        self.symbol = np.array([np.repeat(np.arange(256), f) for f in self.frequency])

    def of_level(self, level):
        require(0 <= level <= 16 * (self.bits - 3) - 1, "malformed", "frequency level")
        return level if level < 32 else (16 + level % 16) << (level // 16 - 1)

    def read_frequencies(self, bits):
        f = [0] * 256
        peak, first = bits.u(8), bits.u(8)
        last = first + bits.eg(4)
        require(last <= 254, "malformed", "symbols")
        difference, level = Adaptive(24), 0
        for s in range(first, last + 1):
            if s == peak:
                continue
            level += difference.read(bits)
            f[s] = self.of_level(level)
        if peak != ESCAPE:
            f[ESCAPE] = self.of_level(bits.eg(0))
            require(f[ESCAPE] >= 1, "malformed", "escape")
        require(1 <= sum(f) < 1 << self.bits, "malformed", "frequencies")
        f[peak] = (1 << self.bits) - sum(f)
        return f


# --------------------------------------------------------------------------- §5.7 mix, §6.6 planes, order
EE, OO, EO, OE = range(4)
DIAGONAL, BESIDE = [(-1, -1), (-1, 1), (1, -1), (1, 1)], [(0, -1), (0, 1), (-1, 0), (1, 0)]
NEAR = {OO: DIAGONAL, EO: BESIDE, OE: BESIDE[2:] + BESIDE[:2] + DIAGONAL}
WIDE = {OO: [(-3, -1), (-3, 1), (3, -1), (3, 1), (-1, -3), (1, -3), (-1, 3), (1, 3)],
        EO: [(-2, -1), (-2, 1), (2, -1), (2, 1), (-1, -2), (1, -2), (-1, 2), (1, 2)],
        OE: [(-1, -2), (-1, 2), (1, -2), (1, 2)]}
LAG = {EE: 0, OO: 3, EO: 4, OE: 6}
MIX_START, MIX_UNIT = (4096, 256, 4096, 128, 1024), (1, 16, 1, 64, 1)  # first, other weights, bias, scale, its bias


def neighbours_of(phase, first, wide):
    return [] if first else NEAR[phase] + (WIDE[phase] if wide else [])


def planes_of(levels, past):
    """(phase, distance) of a frame's planes in coding order."""
    count = levels.later_levels if past else levels.key_levels
    return [(EE, 1 << count - 1)] + [(phase, 1 << level) for level in reversed(range(count)) for phase in (OO, EO, OE)]


def row_order(planes, rows):
    """(index of a plane, row of the tile) in coding order."""
    rows_of = [range(distance if phase in (OO, OE) else 0, rows, 2 * distance) for phase, distance in planes]
    turning = [p for p, (_, distance) in enumerate(planes) if distance == 1]
    for p in range(turning[0]):
        yield from ((p, row) for row in rows_of[p])
    for turn in range((rows + 1) // 2 + LAG[OE]):
        for p in turning:
            row = turn - LAG[planes[p][0]]
            if 0 <= row < len(rows_of[p]):
                yield p, rows_of[p][row]


def read_mixes(bits, state, frames):
    """Per frame a list of the planes' numbers: weights, bias, four scale weights, scale bias."""
    orders, result = [Adaptive(mean) for mean in MIX_START], []
    for t in range(frames):
        past, frame = state.frames > 0 or t > 0, []
        for p, (phase, _) in enumerate(planes_of(state.levels, past)):
            weights = (7 if past else 0) + len(neighbours_of(phase, p == 0, state.levels.wide))
            kinds = [0, *[1] * (weights - 1)][:weights] + [2, 3, 3, 3, 3, 4]
            numbers, fresh = state.mixes.get(p) if past else None, bits.u(1)
            require(fresh or numbers, "malformed", "a plane has no weights")
            if fresh:
                before = numbers or [0] * len(kinds)
                numbers = [b + MIX_UNIT[kind] * orders[kind].read(bits) for b, kind in zip(before, kinds)]
                sums = sum(map(abs, numbers[:weights])), sum(numbers[-5:-1])
                good = max(map(abs, numbers)) <= 32767 and min(numbers[-5:-1]) >= 0 and max(sums) <= 32767
                require(good, "malformed", "weights out of range")
            if past:
                state.mixes[p] = numbers
            frame.append(numbers)
        result.append(frame)
    return result


# ----------------------------------------------------------------------------------- §6 prediction, state
def avg(a, b):
    return (a + b + 1) >> 1


def scaled(a, b):
    return (a * b + (1 << 14)) >> 15


def inside(at, size, step):
    """§6.6: coordinates that left the tile come back in whole steps."""
    at = np.where(at < 0, at % step, at)
    return np.where(at >= size, size - 1 - (size - 1 - at) % step, at)


def around(plane):
    """§6.7: SE and SD of a whole plane of the state."""
    def at(values, axis, step):
        return np.take(values, inside(np.arange(values.shape[axis]) + step, values.shape[axis], 2), axis)

    row_means = [avg(at(row, 1, -1), at(row, 1, 1)) for row in (at(plane, 0, -1), plane, at(plane, 0, 1))]
    return avg(avg(at(plane, 0, -1), at(plane, 0, 1)), row_means[1]), avg(row_means[0], row_means[2])


def mixed(weights, features, bias, least):
    total = sum(w * f for w, f in zip(weights, features)) + bias * 4096 + 2048
    return np.clip(total >> 12, least, 32767)


def smoothed(plane, masked, smoothing):
    """§6.2 for a whole plane; `masked` is a bool plane."""
    def between(values, axis):
        sides = []
        for step in (-1, 1):
            at = np.clip(np.arange(values.shape[axis]) + step, 0, values.shape[axis] - 1)  # at a border: itself
            sides.append(np.where(np.take(masked, at, axis), values, np.take(values, at, axis)))
        return avg(*sides)

    vertical = avg(between(plane, 0), plane)
    return plane + scaled(avg(between(vertical, 1), vertical) - plane, smoothing)


class State:
    """§6.1: what one tile remembers through a window."""

    def __init__(self):
        self.link = self.next_frame = None
        self.levels = self.mask = self.tables = None

    def reset(self, levels, prior, rows, cols):
        self.levels, self.mask, self.tables, self.mixes = levels, None, None, {}
        self.frames = prior.weight if prior else 0
        self.mean = prior.mean if prior else np.zeros((rows, cols), np.int64)
        self.scale = None
        if levels.source == 1:
            self.scale = prior.scale if prior else np.zeros((rows, cols), np.int64)

    def masked(self, shape):
        return np.zeros(shape, bool) if self.mask is None else self.mask.classes.reshape(shape) != 0

    def move(self, plane, to, memory, where=True):
        gain = min(32767, 32768 // min(self.frames + 1, memory))
        return np.where(where, plane + scaled(to - plane, gain), plane)

    def learn(self, levels, expected, masked, group):
        """§6.5"""
        counts, seen = ~masked & self.levels.counts(levels), self.levels.seen(levels)
        self.mean = self.move(self.mean, seen, group["mean_frames"], counts)
        if self.scale is not None:
            self.scale = self.move(self.scale, np.abs(seen - expected), group["scale_frames"], counts)
        self.frames = min(self.frames + 1, 64)

    def learn_phases(self, seen, miss, group):
        """§6.9"""
        if self.frames == 0:
            self.mean, self.fast, self.scale = seen, seen, miss
        else:
            self.mean = self.move(self.mean, seen, group["mean_frames"])
            self.fast = self.move(self.fast, seen, group["fast_frames"])
            self.scale = self.move(self.scale, miss, group["scale_frames"])
        self.last = seen
        self.frames = min(self.frames + 1, 64)


# ----------------------------------------------------------------------------------------------- §7 lanes
class Stream:
    def __init__(self, words, tables, level_bits):
        require(len(words) >= 2 * LANES, "malformed", "a stream lacks its states")
        self.words, self.at, self.tables, self.level_bits = words, 2 * LANES, tables, level_bits
        self.x = words[0:64:2].astype(np.int64) | words[1:64:2].astype(np.int64) << 16

    def refill(self, wanted):
        lanes = np.flatnonzero(wanted & (self.x < START))
        require(self.at + len(lanes) <= len(self.words), "malformed", "the lanes want more words than there are")
        self.x[lanes] = self.x[lanes] << 16 | self.words[self.at:self.at + len(lanes)]
        self.at += len(lanes)

    def raw_step(self, value, count):
        value = value << count | self.x & ((1 << count) - 1)
        self.x = self.x >> count
        self.refill(count > 0)
        return value

    def group(self, context, raw_bits, active):
        """Tokens and raw bits of 32 lanes."""
        slot = self.x & ((1 << self.tables.bits) - 1)
        token = self.tables.symbol[context, slot]
        moved = self.tables.frequency[context, token] * (self.x >> self.tables.bits) + slot - self.tables.start[context, token]
        self.x = np.where(active, moved, self.x)
        self.refill(active)
        bits = np.where(active, np.where(token == ESCAPE, self.level_bits, raw_bits), 0)
        value = self.raw_step(np.zeros(LANES, np.int64), np.where(bits > 16, bits - 16, bits))
        return token, self.raw_step(value, np.where(bits > 16, 16, 0))

    def check_end(self):
        require(self.at == len(self.words) and (self.x == START).all(), "malformed", "the lanes' end")


def to_groups(values):
    padded = np.zeros(-(-len(values) // LANES) * LANES, values.dtype)
    padded[:len(values)] = values
    return padded.reshape(-1, LANES)


class Lanes:
    """§6.3, §6.4: the levels of positions in coding order, group by group through one frame."""

    def __init__(self, state, streams):
        self.levels, self.tables, self.streams, self.groups = state.levels, state.tables, streams, 0

    def decode(self, expected, key, active, ratio=None):
        lv, tables, bucket = self.levels, self.tables, BUCKET_OF[key]
        split, k = tables.split[bucket], tables.raw_bits[bucket]
        by_fraction = split if ratio is None else False
        which = expected >> max(lv.up - 2, 0) & 3 if ratio is None else ratio
        context = tables.first[bucket] + np.where(split, which, 0)
        predicted = (expected + np.where(by_fraction, 0, 1 << lv.up >> 1)) >> lv.up << lv.down
        base = np.where(tables.residual[bucket], (predicted >> k) - 128, 0)
        wrap = (1 << (32 if lv.level_bits == 32 else 16)) - 1
        result = []
        for c, bits, b, on in zip(*map(to_groups, (context, k, base, active))):
            token, raw = self.streams[self.groups % len(self.streams)].group(c, bits, on)
            result.append(np.where(token == ESCAPE, raw, ((token + b & wrap) << bits | raw) & wrap))
            self.groups += 1
        return np.concatenate(result)[:len(expected)]


def decode_smooth(state, group, streams, masked):
    expected = smoothed(state.mean, masked, group["smoothing"])
    key = expected if state.scale is None else smoothed(state.scale, masked, group["scale_smoothing"])
    levels = Lanes(state, streams).decode(expected.ravel(), key.ravel(), ~masked.ravel()).reshape(masked.shape)
    state.learn(levels, expected, masked, group)
    return levels


def root_table(up):
    """§6.8: per bucket; the bucket's keys are first … end - 1."""
    first, end = (np.searchsorted(BUCKET_OF, np.arange(BUCKETS), side) for side in ("left", "right"))
    return np.array([math.isqrt(int(centre) << up) for centre in (first + end) // 2])


def decode_phases(state, group, streams, masked, mixes):
    """§6.6 to §6.9: one frame, plane row by plane row."""
    lv, (rows, cols), past = state.levels, masked.shape, state.frames > 0
    planes, lanes, roots = planes_of(lv, past), Lanes(state, streams), root_table(lv.up)
    levels, seen, miss = (np.zeros(masked.shape, np.int64) for _ in range(3))
    history, scales = [], [miss * 0, miss * 0]
    if past:
        history = [state.mean, state.fast, state.last, *around(state.mean), *around(state.last)]
        scales = [state.scale, avg(*around(state.scale))]
    for p, row in row_order(planes, rows):
        (phase, distance), numbers = planes[p], mixes[p]
        col = np.arange(distance if phase in (OO, EO) else 0, cols, 2 * distance)
        near = [(inside(row + r * distance, rows, 2 * distance), inside(col + c * distance, cols, 2 * distance))
                for r, c in neighbours_of(phase, p == 0, lv.wide)]
        features = [plane[row, col] for plane in history] + [seen[at] for at in near]
        expected = mixed(numbers[:-6], features, numbers[-6], 0) + 0 * col
        root = roots[BUCKET_OF[expected]]
        missed = avg(avg(miss[near[0]], miss[near[1]]), avg(miss[near[2]], miss[near[3]])) if near else 0
        scale = mixed(numbers[-5:-1], [scales[0][row, col], scales[1][row, col], missed, root], numbers[-1], 1)
        ratio = (scale > (root >> 1) + (root >> 3)) * 1 + (scale > root) + (scale > root + (root >> 1))
        active = ~masked[row, col]
        found = lanes.decode(expected, expected, active, ratio) if lv.source == 0 else lanes.decode(expected, scale, active)
        levels[row, col] = found
        seen[row, col] = np.where(active & lv.counts(found), lv.seen(found), expected)
        miss[row, col] = np.abs(seen[row, col] - expected)
    state.learn_phases(seen, miss, group)
    return levels


def pixels_of(state, levels):
    pixels = state.levels.values(levels)
    for c, value in enumerate(state.mask.values if state.mask else []):
        pixels[state.mask.classes.reshape(levels.shape) == c + 1] = value
    return pixels


# -------------------------------------------------------------------------------------------- §5 sections
def read_sections(payload):
    at, last, sections = 0, 0, {}
    while at < len(payload):
        require(at + 5 <= len(payload), "malformed", "section head")
        number, length = struct.unpack_from("<BI", payload, at)
        require(number > last and at + 5 + length <= len(payload), "malformed", "sections")
        require(number in (1, 2, 3, 4, 5, 6, 16) or number >= 128, "unsupported_feature", f"section {number}")
        sections[number], last, at = payload[at + 5:at + 5 + length], number, at + 5 + length
    require(4 in sections and 16 in sections, "malformed", "a section is missing")
    require(1 in sections or 3 not in sections, "malformed", "a prior without a setup")
    return sections


def from_bits(data, read):
    bits = Bits(data)
    result = read(bits)
    bits.end()
    return result


def read_group(bits):
    return {"smoothing": bits.u(15), "scale_smoothing": bits.u(15), "mean_frames": bits.u(6) + 1,
            "scale_frames": bits.u(6) + 1, "fast_frames": bits.u(6) + 1, "streams": 1 << bits.u(2)}


def read_streams(data, count, state):
    require(len(data) >= 4 * count, "malformed", "stream lengths")
    lengths, at, streams = struct.unpack_from(f"<{count}I", data), 4 * count, []
    require(at + 2 * sum(lengths) == len(data), "malformed", "stream lengths")
    for words in lengths:
        streams.append(Stream(np.frombuffer(data, "<u2", words, at), state.tables, state.levels.level_bits))
        at += 2 * words
    return streams


def decode_predicted(header, payload, state):
    shape, dtype = (header.rows, header.cols), DTYPES[header.dtype]
    require(header.dtype <= 6, "malformed", "float pixels in a predicted block")
    sections = read_sections(payload)
    require(1 in sections or not header.key, "malformed", "a key group without a setup")
    if 1 in sections:
        levels = from_bits(sections[1], lambda bits: LevelMap(bits, dtype, shape))
        require(levels.model == 0 or 3 not in sections, "malformed", "a prior with the phases")
        prior = from_bits(sections[3], lambda bits: Prior(bits, *shape, levels.source == 1)) if 3 in sections else None
        state.reset(levels, prior, *shape)
    require(state.levels is not None, "malformed", "no setup since the last raw block")
    if 2 in sections:
        state.mask = from_bits(sections[2], lambda bits: Mask(bits, *shape, dtype))
    group = from_bits(sections[4], read_group)
    if 5 in sections:
        state.tables = from_bits(sections[5], Tables)
    require(state.tables is not None, "malformed", "no tables since the setup")
    phases = state.levels.model == 1
    by_fraction = state.tables.split.any() and not (phases and state.levels.source == 0)
    require(state.levels.up >= 2 or not by_fraction, "malformed", "split classes")
    require(phases == (6 in sections), "malformed", "the mix section and the model")
    mixes = from_bits(sections[6], lambda bits: read_mixes(bits, state, header.frames)) if phases else []
    streams, masked = read_streams(sections[16], group["streams"], state), state.masked(shape)
    if phases:
        levels = [decode_phases(state, group, streams, masked, mix) for mix in mixes]
    else:
        levels = [decode_smooth(state, group, streams, masked) for _ in range(header.frames)]
    for stream in streams:
        stream.check_end()
    return np.stack([pixels_of(state, frame) for frame in levels])


def decode_block(block, state):
    """Pixels of the present frames as an array (frames, rows, cols); moves `state` past the block."""
    header = Header(block)
    require(len(block) >= header.block_bytes, "truncated", "the payload is cut short")
    if not header.key:
        follows = state.link == header.link and header.first_frame >= state.next_frame
        require(state.link is not None and follows, "state_mismatch", "not the group that follows")
    payload = block[64:header.block_bytes]
    require(crc32c(payload) == header.payload_crc, "crc_mismatch", "payload")
    if header.kind == 2:
        pixels = decode_predicted(header, payload, state)
    else:
        pixels = decode_raw(header, payload)
        state.levels = None
    require(crc32c(pixels.tobytes()) == header.pixel_crc, "crc_mismatch", "pixels")
    state.link, state.next_frame = header.header_crc, header.first_frame + header.frame_count
    return pixels


# --------------------------------------------------------------------------------------------- programme
def check_vectors(folder):
    checked = 0
    for path in sorted(pathlib.Path(folder).glob("*.bin")):
        twin, chain = json.loads(path.with_suffix(".json").read_text()), [path]
        while (before := json.loads(chain[0].with_suffix(".json").read_text())["after"]):
            chain.insert(0, path.parent / before)
        state = State()
        for member in chain:
            pixels = decode_block(member.read_bytes(), state)
        assert f"{crc32c(pixels.tobytes()):08x}" == twin["pixels_crc32c"], path.name
        assert len(pixels) == twin["frames"], path.name
        checked += 1
    errors = pathlib.Path(folder).parent / "errors"
    for path in sorted(errors.glob("*.bin")):
        word = json.loads(path.with_suffix(".json").read_text())["error"]
        try:
            decode_block(path.read_bytes(), State())
            raise AssertionError(f"{path.name} was decoded; block.md promises {word}")
        except BlockError as error:
            assert error.args[0] == word, f"{path.name}: {error.args}, block.md promises {word}"
        checked += 1
    print(f"{checked} golden blocks are as block.md says")
    return 0 if checked else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("blocks", nargs="*", help="blocks of one window, in order")
    parser.add_argument("-o", "--output", help="raw little-endian pixels of all present frames")
    parser.add_argument("--check", metavar="FOLDER", help="golden vectors to check")
    arguments = parser.parse_args()
    if arguments.check:
        return check_vectors(arguments.check)
    if not arguments.blocks or not arguments.output:
        parser.error("give blocks and --output, or --check FOLDER")
    state = State()
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
