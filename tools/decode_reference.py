#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Decodes Foreframe blocks, written from docs/formats/block.md alone: numpy, and none of Foreframe's code.

    decode_reference.py BLOCK.bin [BLOCK.bin ...] -o PIXELS.raw     blocks of one window, in order

Slow (about 0.1 to 1 Mpixel/s) and strict: anything block.md does not allow raises BlockError. Raw blocks need the
`zstandard` package; predicted and stored blocks need numpy only. Section numbers (§) are block.md's.
"""
import argparse
import bisect
import itertools
import math
import pathlib
import struct
import sys

import numpy as np

DTYPES = {1: "<u1", 2: "<u2", 3: "<u4", 4: "<i1", 5: "<i2", 6: "<i4", 7: "<f2", 8: "<f4"}
LANES, BUCKETS, ESCAPE, START = 32, 224, 255, 1 << 16


class BlockError(Exception):
    """What block.md §10 calls an error; the first argument is its word."""


def require(condition, text, word="malformed"):
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
        require(len(block) >= 64, "the header takes 64 bytes", "truncated")
        (magic, major, minor, header_bytes, required, self.optional, self.present, self.block_bytes, self.rows,
         self.cols, self.dtype, self.profile, self.kind, flags, self.first_frame, self.frame_count, reserved,
         self.link, self.pixel_crc, self.payload_crc, reserved_2, self.header_crc) = struct.unpack(
             "<4sBBHIIQIIIBBBBBBHIIIII", block[:64])
        require(magic == b"FFBK", "not a Foreframe block", "bad_magic")
        require((major, minor) == (0, 2), f"version {major}.{minor}", "unsupported_version")
        require(self.header_crc == crc32c(block[:60]), "header", "crc_mismatch")
        require(required & ~0x1d == 0, f"required features {required:#x}", "unsupported_feature")
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


# -------------------------------------------------------------------------------------- §5.1 bit strings
class Bits:
    def __init__(self, data):
        self.data, self.at = data, 0

    def u(self, count):
        value = 0
        for i in range(count):
            require(self.at >> 3 < len(self.data), "a bit string ends early")
            value |= (self.data[self.at >> 3] >> (self.at & 7) & 1) << i
            self.at += 1
        return value

    def eg(self, k):
        n = 0
        while self.u(1) == 0:
            n += 1
            require(n + k <= 31, "an Exp-Golomb code is too long")
        return (1 << (n + k)) + self.u(n + k) - (1 << k)

    def zz(self, k):
        z = self.eg(k)
        return z >> 1 ^ -(z & 1)

    def adaptive(self, means, kind):
        """zz(eg(o)) with the order o that numbers of this kind have had so far (§5.6, §5.7)."""
        z = self.eg((means[kind] // 16).bit_length())
        means[kind] += 2 * z - means[kind] // 4
        return z >> 1 ^ -(z & 1)

    def i64(self):
        value = self.u(64)
        return value - (1 << 64) if value >> 63 else value

    def end(self):
        left = len(self.data) * 8 - self.at
        require(left < 8 and self.u(left) == 0, "a section is longer than its content")


# ----------------------------------------------------------------------------------------- §5.2 level map
class LevelMap:
    def __init__(self, bits, dtype, shape):
        self.dtype = np.dtype(dtype)
        info, width = np.iinfo(self.dtype), 8 * self.dtype.itemsize
        self.model, self.source, self.up, self.down = bits.u(2), bits.u(2), bits.u(4), bits.u(5)
        size, kind, self.base, count = bits.u(2), bits.u(2), bits.i64(), bits.u(4)
        require(size <= 2 and kind <= 2 and self.model <= 2 and self.source <= 1 and count <= 8, "setup")
        self.level_bits = 8 << size
        self.sentinels = [bits.i64() for _ in range(count)]
        require(self.level_bits <= width and len(set(self.sentinels)) == count, "level map")
        require(all(info.min <= v <= info.max for v in [self.base, *self.sentinels]), "base or sentinels")
        require(self.up <= 12 and self.down <= (0, 1, 16)[size] and not (self.up and self.down), "shift")
        require(self.model != 2 or self.source == self.down == 0, "setup of cells")
        self.first_sentinel = (1 << self.level_bits) - count
        self.packed = self.read_packed(bits, info) if kind == 1 else None
        self.lossy = LossyMap(bits, self) if kind == 2 else None
        if self.model == 1:
            self.key_levels, self.later_levels, self.wide = bits.u(3) + 1, bits.u(3) + 1, bits.u(1)
            most = max(self.key_levels, self.later_levels)
            require(most <= 6 and min(shape) >= 1 << most, "the planes' levels")

    def read_packed(self, bits, info):
        count, used, value = bits.u(16), [], self.base
        while len(used) < count:
            run = bits.eg(0) + 1
            require(run <= count - len(used), "used values")
            used += range(value, value + run)
            value += run
            if len(used) < count:
                value += bits.eg(0) + 1
            require(value - self.base <= 65536, "used values")
        require(used and count <= self.first_sentinel and used[-1] <= min(info.max, self.base + 65535), "used values")
        return used

    def values(self, levels):
        """Levels (int64 array) to pixel values, modulo the pixel type."""
        levels = levels & ((1 << self.level_bits) - 1)
        if self.lossy is not None:
            distinct, at = np.unique(levels, return_inverse=True)
            values = np.array([self.lossy.value(int(level)) for level in distinct])[at].reshape(levels.shape)
        elif self.packed is not None:
            values = np.array(self.packed)[np.minimum(levels, len(self.packed) - 1)]
        else:
            values, span = self.base + levels, 1 << self.level_bits
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


# --------------------------------------------------------------------------------------------- §5.8 lossy
class LossyMap:
    """Bins from a bound; levels from places. Python's // and >> round down, as block.md has it."""

    def __init__(self, bits, levels):
        info = np.iinfo(levels.dtype)
        self.low, self.high, self.type_bits = int(info.min), int(info.max), 8 * levels.dtype.itemsize
        self.kind, self.number, self.starts, self.decoded = bits.u(2), bits.u(32), [], []
        good, self.limit = self.kind == 0 and self.number >= 1, self.number
        if self.kind == 1:
            low, high = bits.i64(), bits.i64()
            good = 1 <= self.number <= 10000 and max(abs(low), abs(high)) < 1 << 33 and low < high
            self.limit = self.number * (high - low) // 10000
        elif self.kind == 2:
            good = (128 if self.type_bits == 32 else 1) <= self.number <= 1 << 14
        elif self.kind == 3:
            self.zero = bits.i64()
            good = 1 << 10 <= self.number <= 1 << 30 and self.low << 10 <= self.zero <= self.high << 10
        require(good and self.limit <= 1 << 30, "bound")
        if self.kind == 2:
            self.list_bins()
        bins, n = self.bin(self.high) - self.bin(self.low) + 1, len(levels.sentinels)
        wide = levels.level_bits == self.type_bits
        require(bins < 1 << self.type_bits and not (wide and bins + 2 * n > 1 << self.type_bits), "bins")
        self.sentinels, self.runs, low = sorted(levels.sentinels), [], self.low
        for below, high in enumerate([s - 1 for s in self.sentinels] + [self.high]):
            if low <= high:
                self.runs.append((low, high, below))
            low = high + 2
        self.base, self.last, self.places = self.place(levels.base), self.bin(self.high) + n, bins + n

    def allowed(self, x):
        return math.isqrt(self.number * self.number * x >> 20)

    def list_bins(self):
        start = 0
        while start <= self.high:
            reach = min(start + self.allowed(start), self.high)
            end = min(reach + self.allowed(start), self.high)
            while len(self.starts) % 3 < 2 and end < self.high and end + 1 - reach <= self.allowed(end + 1):
                end += 1
            self.starts.append(start)
            self.decoded.append(reach)
            start = end + 1

    def bin(self, x):
        if self.kind <= 1:
            return (x + self.limit) // (2 * self.limit + 1)
        if self.kind == 3:
            return (2 * (1024 * x - self.zero) + self.number) // (2 * self.number)
        return x if x < 0 else bisect.bisect_right(self.starts, x) - 1

    def place(self, x):
        return self.bin(x) + sum(s < x for s in self.sentinels)

    def value(self, level):
        place = self.base + min(level, self.places - 1)
        place -= self.places if place > self.last else 0
        run = next((run for run in self.runs if self.bin(run[1]) + run[2] >= place), self.runs[-1])
        i = min(max(place - run[2], self.bin(run[0])), self.bin(run[1]))
        if self.kind <= 1:
            value = i * (2 * self.limit + 1)
        elif self.kind == 3:
            value = (self.zero + i * self.number + 512) >> 10
        else:
            value = i if i < 0 else self.decoded[i]
        return min(max(value, run[0]), run[1])


def restore_exact_pixels(bits, frames):
    order, at, mask = bits.u(5), 0, (1 << 8 * frames.itemsize) - 1
    for _ in range(bits.eg(0)):
        at += bits.eg(6)
        require(at < frames.shape[1], "exact pixels")
        for frame in frames:
            value = int(frame[at]) + bits.zz(order) & mask
            frame[at:at + 1] = np.array([value], f"<u{frames.itemsize}").view(frames.dtype)
        at += 1


# ---------------------------------------------------------------------------------------------- §5.4 mask
def read_mask(bits, shape, dtype):
    """Values of the masked classes, and the plane of classes."""
    info, count, (rows, cols) = np.iinfo(np.dtype(dtype)), bits.u(4), shape
    values, at, classes = [bits.i64() for _ in range(count)], 0, [0] * (rows * cols)
    require(all(info.min <= v <= info.max for v in values), "masked value")
    while True:
        skip = bits.eg(6)
        require(skip <= len(classes) - at, "mask")
        for at in range(at, at + skip):
            classes[at] = classes[at - cols] if at >= cols else 0
        at += 1 if skip else 0
        if at == len(classes):
            return values, np.array(classes).reshape(shape)
        run, pixel_class = bits.eg(1) + 1, bits.u(count.bit_length())
        require(run <= len(classes) - at and pixel_class <= count, "mask")
        classes[at:at + run] = [pixel_class] * run
        at += run


# --------------------------------------------------------------------------------------------- §5.5 prior
def read_prior(bits, shape, has_scale):
    """The weight in frames and the planes of the state."""
    log2_block, weight, quantum = bits.u(3), bits.u(4), bits.u(4)
    require(2 <= log2_block <= 6 and quantum <= 14, "prior")
    names = ("mean", "scale") if has_scale else ("mean",)
    return weight, {name: expand_grid(read_grid(bits, shape, log2_block, quantum), shape, log2_block) for name in names}


def read_grid(bits, shape, log2_block, quantum):
    rows, cols = (-(-pixels // (1 << log2_block)) for pixels in shape)
    order, grid = bits.u(4), np.zeros((rows + 1, cols + 1), np.int64)  # a row and a column of zeros before the first
    for r in range(1, rows + 1):
        for c in range(1, cols + 1):
            left, up, corner = grid[r, c - 1], grid[r - 1, c], grid[r - 1, c - 1]
            grid[r, c] = sorted((left, up, left + up - corner))[1] + bits.zz(order)
            require(0 <= grid[r, c] <= 32767 >> quantum, "prior value")
    return grid[1:, 1:] << quantum


def expand_grid(grid, shape, log2_block):
    whole = 2 << log2_block

    def axis(pixels, points):
        t = 2 * np.arange(pixels) + 1 + whole // 2
        return np.clip(t // whole - 1, 0, points - 1), np.minimum(t // whole, points - 1), t % whole

    (a, b, v), (c, d, w) = axis(shape[0], grid.shape[0]), axis(shape[1], grid.shape[1])
    lines = grid[a] * (whole - v)[:, None] + grid[b] * v[:, None]
    return lines[:, c] * (whole - w) + lines[:, d] * w + whole * whole // 2 >> 2 * (log2_block + 1)


# -------------------------------------------------------------------------------------------- §5.6 tables
class Tables:
    def __init__(self, bits):
        covered, contexts, self.bits = 0, 0, 11 + bits.u(1)
        self.first, self.raw_bits = np.zeros(BUCKETS, np.int64), np.zeros(BUCKETS, np.int64)
        self.residual, self.split = np.zeros(BUCKETS, bool), np.zeros(BUCKETS, bool)
        while covered < BUCKETS:
            span = BUCKETS - covered if bits.u(1) else bits.eg(2) + 1
            require(span <= BUCKETS - covered, "classes")
            buckets = slice(covered, covered + span)
            self.first[buckets] = contexts
            self.residual[buckets], self.split[buckets] = bits.u(1), bits.u(1)
            self.raw_bits[buckets] = bits.u(4) if self.residual[covered] else 0
            contexts += 4 if self.split[covered] else 1
            covered += span
            require(contexts <= 64, "contexts")
        self.set([self.read_frequencies(bits) for _ in range(contexts)])

    def set(self, frequency):
        self.frequency = np.array(frequency)
        self.start = np.cumsum(self.frequency, axis=1) - self.frequency
        self.symbol = np.array([np.repeat(np.arange(256), f) for f in self.frequency])

    def read_values(self, bits):
        """§5.9: the contexts of values, behind the others."""
        keys, contexts = [], len(self.frequency)
        while len(keys) < 128:
            span = 128 - len(keys) if bits.u(1) else bits.eg(2) + 1
            require(span <= 128 - len(keys) and contexts < 64, "value contexts")
            keys += [contexts] * span
            contexts += 1
        self.value_context = np.array(keys)
        more = [self.read_frequencies(bits) for _ in range(contexts - len(self.frequency))]
        require(not any(any(f[124:255]) for f in more), "value symbols")
        self.set([*self.frequency, *more])

    def of_level(self, level):
        require(0 <= level <= 16 * (self.bits - 3) - 1, "frequency level")
        return level if level < 32 else (16 + level % 16) << (level // 16 - 1)

    def read_frequencies(self, bits):
        f, peak, first = [0] * 256, bits.u(8), bits.u(8)
        last = first + bits.eg(4)
        require(last <= 254, "symbols")
        mean, level = [24], 0
        for s in range(first, last + 1):
            if s != peak:
                level += bits.adaptive(mean, 0)
                f[s] = self.of_level(level)
        if peak != ESCAPE:
            f[ESCAPE] = self.of_level(bits.eg(0))
            require(f[ESCAPE] >= 1, "escape")
        require(1 <= sum(f) < 1 << self.bits, "frequencies")
        f[peak] = (1 << self.bits) - sum(f)
        return f


# -------------------------------------------------------------------------------- §6.6 planes, §5.7 mixes
EE, OO, EO, OE = range(4)
DIAGONAL, BESIDE = [(-1, -1), (-1, 1), (1, -1), (1, 1)], [(0, -1), (0, 1), (-1, 0), (1, 0)]
NEAR = {OO: DIAGONAL, EO: BESIDE, OE: BESIDE[2:] + BESIDE[:2] + DIAGONAL}
WIDE = {OO: [(-3, -1), (-3, 1), (3, -1), (3, 1), (-1, -3), (1, -3), (-1, 3), (1, 3)],
        EO: [(-2, -1), (-2, 1), (2, -1), (2, 1), (-1, -2), (1, -2), (-1, 2), (1, 2)],
        OE: [(-1, -2), (-1, 2), (1, -2), (1, 2)]}
LAG = {EE: 0, OO: 3, EO: 4, OE: 6}
MIX_MEANS, MIX_UNIT = (4096, 256, 4096, 128, 1024), (1, 16, 1, 64, 1)  # first, others, bias, scale, scale bias


class Plane:
    def __init__(self, phase, level, first, wide):
        self.distance = 1 << level - 1
        self.step, self.lag = 2 * self.distance, LAG[phase]
        self.row = self.distance if phase in (OO, OE) else 0
        self.col = self.distance if phase in (OO, EO) else 0
        self.neighbours = [] if first else NEAR[phase] + (WIDE[phase] if wide else [])


def planes_of(levels, past):
    """A frame's planes in coding order."""
    count = levels.later_levels if past else levels.key_levels
    later = [Plane(phase, level, False, levels.wide) for level in range(count, 0, -1) for phase in (OO, EO, OE)]
    return [Plane(EE, count, True, levels.wide)] + later


def row_order(planes, rows):
    """(index of a plane, row of the tile) in coding order."""
    rows_of = [range(plane.row, rows, plane.step) for plane in planes]
    turning = [p for p, plane in enumerate(planes) if plane.distance == 1]
    for p in range(turning[0]):
        yield from ((p, row) for row in rows_of[p])
    for turn in range((rows + 1) // 2 + LAG[OE]):
        for p in turning:
            if 0 <= turn - planes[p].lag < len(rows_of[p]):
                yield p, rows_of[p][turn - planes[p].lag]


def read_mixes(bits, state, frames):
    """Per frame a list of the planes' numbers: weights, bias, four scale weights, scale bias."""
    means, result = list(MIX_MEANS), []
    for t in range(frames):
        past = state.frames + t > 0
        result.append([])
        for p, plane in enumerate(planes_of(state.levels, past)):
            weights = (7 if past else 0) + len(plane.neighbours)
            kinds = [0, *[1] * (weights - 1)][:weights] + [2, 3, 3, 3, 3, 4]
            numbers, fresh = state.mixes.get(p) if past else None, bits.u(1)
            require(fresh or numbers, "a plane has no weights")
            if fresh:
                before = numbers or [0] * len(kinds)
                numbers = [b + MIX_UNIT[kind] * bits.adaptive(means, kind) for b, kind in zip(before, kinds)]
                magnitudes, scales = [abs(number) for number in numbers], numbers[-5:-1]
                require(max(magnitudes) <= 32767 and min(scales) >= 0, "a weight is out of range")
                require(max(sum(magnitudes[:weights]), sum(scales)) <= 32767, "the sum of the weights")
            if past:
                state.mixes[p] = numbers
            result[t].append(numbers)
    return result


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


def decode_predicted(header, payload, state):
    require(header.dtype <= 6, "float pixels in a predicted block")
    sections = read_sections(payload)
    require(1 in sections or not header.key, "a key group without a setup")
    apply_sections(sections, (header.rows, header.cols), DTYPES[header.dtype], state)
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
