# SPDX-License-Identifier: Apache-2.0
"""Side information of Foreframe blocks: the bit strings of docs/formats/block.md §5, for decode_reference.py.

Strict: anything block.md does not allow raises BlockError. Section numbers (§) are block.md's.
"""
import bisect
import math

import numpy as np

BUCKETS, ESCAPE = 224, 255


class BlockError(Exception):
    """What block.md §10 calls an error; the first argument is its word."""


def require(condition, text, word="malformed"):
    if not condition:
        raise BlockError(word, text)


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
