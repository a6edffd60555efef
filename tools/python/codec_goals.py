# SPDX-License-Identifier: Apache-2.0
"""The codec's goals, row by row, against a report of `foreframe bench codec`.

A recording's class follows from what it says of itself (detector_mode), its dtype and its zeros, never from its name.
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Callable

from codec_results import DASH, Recording, geometric_mean, measured, number, profiles_of, table

CLASSES = {"counting": "photon and event counting", "raw": "raw integrating, gain bits",
           "camera": "tomography, microscopy, cameras, 16 bits", "sparse": "thresholded, sparse", "8bit": "8-bit video and microscopy"}
SPARSE_ZEROS = 0.98
LARGE_PIXELS = 250_000  # what the goals call 256 kpx
TEZIP_GB_S = 0.001      # published by its developers: 57.9 s for 55.9 MB on a GPU


def class_of(recording: Recording) -> str:
    mode = recording.data.get("kind", "").lower()
    if recording.data.get("zeros", 0) > SPARSE_ZEROS or "threshold" in mode:
        return "sparse"
    if recording.depth == 8:
        return "8bit"
    if "gain" in mode:
        return "raw"
    return "counting" if "counting" in mode or "not stated" in mode else "camera"


def lossy_limit(entropy: float, error: int, depth: int) -> float:
    """Largest ratio that anyone can reach within |x - x'| <= error: a decoded value stands for at most 2 error + 1
    pixel values, so at least entropy - log2(2 error + 1) bits are needed."""
    needed = entropy - math.log2(2 * error + 1)
    return depth / needed if needed > 0 else math.inf


@dataclass
class Goal:
    """One clause. `figure` gives ours, or None when this report can't tell; `reached` judges it."""
    data: str
    text: str
    figure: Callable[[dict[str, Any]], float | None]
    reached: Callable[[float], bool]
    unit: str = ""


def members(report: dict[str, Any], kind: str) -> list[Recording]:
    return [one for one in map(Recording, report["recordings"]) if class_of(one) == kind]


def size_ratios(recordings: list[Recording], ours: str, peers: list[str]) -> list[float]:
    """The best of `peers`' sizes divided by ours, for each recording that has both."""
    ratios = []
    for one in recordings:
        sizes = [one.bits(peer) for peer in peers if one.bits(peer)]
        if one.bits(ours) and sizes:
            ratios.append(min(sizes) / one.bits(ours))
    return ratios


def smaller(kind: str, ours: str, peers: list[str], worst: bool = False) -> Callable[[dict[str, Any]], float | None]:
    def figure(report: dict[str, Any]) -> float | None:
        ratios = size_ratios(members(report, kind), ours, peers)
        return (min(ratios) if worst else geometric_mean(ratios)) if ratios else None
    return figure


def speed_of(codec: str, direction: str, large: bool = False, kind: str = "") -> Callable[[dict[str, Any]], float | None]:
    """Geometric mean of medians, over 16-bit recordings."""
    def figure(report: dict[str, Any]) -> float | None:
        speeds = []
        for one in map(Recording, report["recordings"]):
            wanted = class_of(one) == kind if kind else one.depth == 16
            spread = one.results.get(codec, {}).get(direction)
            if wanted and spread and (not large or one.pixels >= LARGE_PIXELS):
                speeds.append(spread["median"])
        return geometric_mean(speeds) if speeds else None
    return figure


def quotient(above: Callable, below: Callable) -> Callable[[dict[str, Any]], float | None]:
    def figure(report: dict[str, Any]) -> float | None:
        numerator, denominator = above(report), below(report)
        return numerator / denominator if numerator and denominator else None
    return figure


def excess(codec: str, at_least: float, at_most: float = math.inf) -> Callable[[dict[str, Any]], float | None]:
    """Worst per cent above the true entropy, over 16-bit static counts in this range of photons a pixel."""
    def figure(report: dict[str, Any]) -> float | None:
        found = [100 * (one.bits(codec) / one.entropy - 1) for one in map(Recording, report["sweep"])
                 if one.depth == 16 and at_least <= one.data["photons_per_pixel"] <= at_most and one.bits(codec)]
        return max(found) if found else None
    return figure


def lossy_ratio(kind: str, bound: str) -> Callable[[dict[str, Any]], float | None]:
    """Geometric mean over a class, of the best of our profiles."""
    def figure(report: dict[str, Any]) -> float | None:
        found = []
        for one in members(report, kind):
            for asked, results in one.lossy:
                ratios = [results[name]["ratio"] for name in profiles_of(report) if measured(results.get(name))]
                if asked["bound"] == bound and ratios:
                    found.append(max(ratios))
        return geometric_mean(found) if found else None
    return figure


def most_expanded(report: dict[str, Any]) -> float | None:
    """Coded bytes above raw + 0.1 %, at most, over everything that was coded."""
    found = [result["bytes"] / result["raw_bytes"] for group in ("recordings", "sweep", "cores") for one in report[group]
             for result in one["results"] if result["codec"] in profiles_of(report) and measured(result)]
    return max(found) if found else None


def at_least(limit: float) -> Callable[[float], bool]:
    return lambda value: value >= limit


def at_most(limit: float) -> Callable[[float], bool]:
    return lambda value: value <= limit


LZ4, ZSTD, JXL7, JPEG = ["bitshuffle-lz4"], ["bitshuffle-zstd"], ["jpeg-xl-7"], ["jpeg-ls", "jpeg-xl-3", "jpeg-xl-7"]
STATIC = "static counting, against the true entropy"
GOALS = [
    Goal(STATIC, "`small` ≤ +1.3 % at ≥ 0.5 photon/px", excess("small", 0.5), at_most(1.3), " %"),
    Goal(STATIC, "`small` ≤ +3 % at 0.02", excess("small", 0.02, 0.02), at_most(3), " %"),
    Goal(STATIC, "`fast` ≤ +2.5 % at ≥ 0.5 photon/px", excess("fast", 0.5), at_most(2.5), " %"),
    Goal(CLASSES["counting"], "`small` ≥ 1.38 × smaller than bitshuffle+LZ4", smaller("counting", "small", LZ4), at_least(1.38), " ×"),
    Goal(CLASSES["counting"], "`small` ≥ 1.20 × smaller than bitshuffle+zstd", smaller("counting", "small", ZSTD), at_least(1.20), " ×"),
    Goal(CLASSES["counting"], "`small` ≥ 1.03 × smaller than JPEG XL effort 7", smaller("counting", "small", JXL7), at_least(1.03), " ×"),
    Goal(CLASSES["counting"], "`small` smaller than JPEG XL effort 7 on every one (worst)", smaller("counting", "small", JXL7, True), at_least(1), " ×"),
    Goal(CLASSES["counting"], "`fast` ≥ 1.18 × smaller than bitshuffle+LZ4", smaller("counting", "fast", LZ4), at_least(1.18), " ×"),
    Goal(CLASSES["raw"], "`small` ≥ 1.11 × smaller than bitshuffle+zstd", smaller("raw", "small", ZSTD), at_least(1.11), " ×"),
    Goal(CLASSES["raw"], "`small` ≥ 1.04 × smaller than the better of JPEG-LS and JPEG XL", smaller("raw", "small", JPEG), at_least(1.04), " ×"),
    Goal(CLASSES["camera"], "`small` ≥ 1.17 × smaller than bitshuffle+zstd", smaller("camera", "small", ZSTD), at_least(1.17), " ×"),
    Goal(CLASSES["camera"], "`small` ≥ 1.04 × smaller than the better of JPEG-LS and JPEG XL", smaller("camera", "small", JPEG), at_least(1.04), " ×"),
    Goal(CLASSES["sparse"], "`small` ≥ 3 × smaller than zstd-3", smaller("sparse", "small", ["zstd-3"]), at_least(3), " ×"),
    Goal(CLASSES["sparse"], "`small` smaller than JPEG-LS and JPEG XL", smaller("sparse", "small", JPEG, True), at_least(1), " ×"),
    Goal(CLASSES["sparse"], "`small` decodes at ≥ 4 GB/s", speed_of("small", "decode_gb_s", kind="sparse"), at_least(4), " GB/s"),
    Goal(CLASSES["sparse"], "`fast` decodes at ≥ 4 GB/s", speed_of("fast", "decode_gb_s", kind="sparse"), at_least(4), " GB/s"),
    Goal(CLASSES["8bit"], "`small` smaller than JPEG XL effort 7 on every one (worst)", smaller("8bit", "small", JXL7, True), at_least(1), " ×"),
    Goal("16-bit recordings", "`fast` encodes at ≥ 1.2 GB/s a core, plan given", speed_of("fast", "encode_planned_gb_s"), at_least(1.2), " GB/s"),
    Goal("16-bit recordings", "`fast` encodes at ≥ 1.2 GB/s a core, with planning, known stream", speed_of("fast", "encode_steady_gb_s"), at_least(1.2), " GB/s"),
    Goal("16-bit recordings", "`fast` decodes at ≥ 2.0 GB/s a core", speed_of("fast", "decode_gb_s"), at_least(2.0), " GB/s"),
    Goal("16-bit recordings", "`fast` decodes ahead of bitshuffle+LZ4", quotient(speed_of("fast", "decode_gb_s"), speed_of("bitshuffle-lz4", "decode_gb_s")), at_least(1), " ×"),
    Goal("16-bit recordings", "`fast` encodes ahead of bitshuffle+LZ4, with planning, known stream", quotient(speed_of("fast", "encode_steady_gb_s"), speed_of("bitshuffle-lz4", "encode_gb_s")), at_least(1), " ×"),
    Goal("frames ≥ 256 kpx", "`small` encodes at ≥ 0.5 GB/s a core, with planning, known stream", speed_of("small", "encode_steady_gb_s", True), at_least(0.5), " GB/s"),
    Goal("frames ≥ 256 kpx", "`small` decodes at ≥ 0.9 GB/s a core", speed_of("small", "decode_gb_s", True), at_least(0.9), " GB/s"),
    Goal("frames ≥ 256 kpx", "`max` encodes at ≥ 0.1 GB/s a core, with planning, first windows", speed_of("max", "encode_gb_s", True), at_least(0.1), " GB/s"),
    Goal("lossy, counting", "≥ 7 : 1 within 0.5·√x", lossy_ratio("counting", "sqrt:0.5"), at_least(7), " : 1"),
    Goal("lossy, counting", "≥ 15 : 1 within 3 % of the range", lossy_ratio("counting", "rel:3%"), at_least(15), " : 1"),
    Goal("TEZip's back end", "`small` ≥ 1.35 × smaller than it behind our predictor, counting", smaller("counting", "small", ["tezip-mean"]), at_least(1.35), " ×"),
    Goal("TEZip's own speed", "`small` ≥ 1000 × faster to encode, with planning", quotient(speed_of("small", "encode_gb_s"), lambda _: TEZIP_GB_S), at_least(1000), " ×"),
    Goal("everything coded", "never larger than raw + 0.1 % + 256 B (worst coded : raw)", most_expanded, at_most(1.001), ""),
]


def goal_table(report: dict[str, Any]) -> str:
    rows = []
    for goal in GOALS:
        figure = goal.figure(report)
        if figure is None:
            rows.append([goal.data, goal.text, DASH, "not measured"])
            continue
        shown = f"{figure:.3f}" if goal.unit in (" ×", "") and figure < 10 else f"{figure:+.2f}" if goal.unit == " %" else number(figure)
        rows.append([goal.data, goal.text, shown + goal.unit, "yes" if goal.reached(figure) else "**no**"])
    return table(["data", "goal", "Foreframe", "reached"], rows)


def peers_in(report: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in [*report["recordings"], *report["sweep"]]:
        for result in one["results"]:
            if result["codec"] not in profiles_of(report):
                found.setdefault(result["codec"], result["label"])
    return found


def peer_table(report: dict[str, Any]) -> str:
    """How many times larger each peer's blocks are than ours, by class; and each codec's excess over the true entropy."""
    peers = peers_in(report)
    rows = []
    for kind, name in CLASSES.items():
        recordings = members(report, kind)
        for ours in profiles_of(report) if recordings else []:
            cells = []
            for peer in peers:
                ratios = size_ratios(recordings, ours, [peer])
                fewer = f" ({len(ratios)} of {len(recordings)})" if 0 < len(ratios) < len(recordings) else ""
                cells.append((f"{geometric_mean(ratios):.3f}" if ratios else DASH) + fewer)
            rows.append([f"{name}: size : `{ours}`", "1", *cells])
    for codec in profiles_of(report) if report["sweep"] else []:
        for text, low, high in ((STATIC + ", worst at ≥ 0.5 photon/px", 0.5, math.inf), (STATIC + ", 0.02 photon/px", 0.02, 0.02)):
            values = [excess(name, low, high)(report) for name in [codec, *peers]]
            rows.append([f"{text}; ours `{codec}`", *[DASH if value is None else f"{value:+.1f} %" for value in values]])
    return table(["", "ours", *peers.values()], rows)


def member_list(report: dict[str, Any]) -> str:
    lines = []
    for kind, name in CLASSES.items():
        names = [one.name for one in members(report, kind)]
        lines.append(f"- {name}: {', '.join(names) or 'none in this run'}")
    return "\n".join(lines) + "\n"
