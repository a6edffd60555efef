#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plots of a saved report; a part of `foreframe bench codec --plots`.

    codec_plots.py REPORT.json FOLDER

Writes codec_ratio_speed.svg (size against encode speed, over the recordings) and codec_photons.svg (bits a pixel against
photons a pixel, with the line of the true entropy). The same report gives the same bytes. Needs matplotlib
(tools/requirements-bench.txt).
"""
from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from codec_results import Recording, geometric_mean, measured, profiles_of  # noqa: E402

try:
    import matplotlib
    matplotlib.use("svg")
    from matplotlib import pyplot
except ImportError:
    sys.exit("codec_plots.py: matplotlib is not installed; tools/setup --bench installs it")

OURS, PEERS = "#c1272d", ["#0b4f6c", "#3a7d44", "#7a5195", "#b07d2b", "#4d4d4d", "#2a9d8f", "#8d5524", "#5c6bc0",
                          "#9e9d24", "#607d8b", "#ad1457", "#00838f", "#6d4c41"]
YARDSTICK = "bitshuffle-lz4"
LINES = ("bitshuffle-lz4", "bitshuffle-zstd", "jpeg-ls", "jpeg-xl-7", "tezip-previous", "tezip-mean")
SHORT = {"TEZip back end, previous frame": "TEZip back end, prev.", "TEZip back end, running mean": "TEZip back end, mean",
         "Blosc2 bitshuffle+LZ4": "Blosc2+LZ4", "Blosc2 bitshuffle+zstd": "Blosc2+zstd", "JPEG XL, effort 3": "JPEG XL 3",
         "JPEG XL, effort 7": "JPEG XL 7"}


def colours(report: dict[str, Any]) -> dict[str, str]:
    peers: dict[str, str] = {}
    for result in [result for one in [*report["recordings"], *report["sweep"]] for result in one["results"]]:
        if result["codec"] not in profiles_of(report):
            peers.setdefault(result["codec"], PEERS[len(peers) % len(PEERS)])
    return peers | {name: OURS for name in profiles_of(report)}


def axes() -> Any:
    figure, plot = pyplot.subplots(figsize=(7.2, 4.6), layout="constrained")
    plot.grid(True, which="major", color="#dddddd", linewidth=0.6)
    plot.spines[["top", "right"]].set_visible(False)
    return figure, plot


def size_and_speed(recordings: list[Recording], codec: str) -> tuple[float, float, str] | None:
    """How many times smaller than bitshuffle+LZ4, and encode GB/s: geometric means over the recordings that it took."""
    ratios, speeds, label = [], [], codec
    for one in recordings:
        result = one.results.get(codec)
        if measured(result) and one.bits(YARDSTICK) and result["encode_gb_s"]:
            ratios.append(one.bits(YARDSTICK) / one.bits(codec))
            speeds.append((result.get("encode_steady_gb_s") or result["encode_gb_s"])["median"])
            label = result["label"]
    return (geometric_mean(speeds), geometric_mean(ratios), label) if ratios else None


def ratio_speed(report: dict[str, Any]) -> Any:
    figure, plot = axes()
    recordings = [Recording(one) for one in report["recordings"]]
    ours = profiles_of(report)
    for codec, colour in colours(report).items():
        if (point := size_and_speed(recordings, codec)) is None:
            continue
        speed, ratio, label = point
        plot.plot([speed], [ratio], "D" if codec in ours else "o", color=colour, markersize=9 if codec in ours else 6)
        plot.annotate(SHORT.get(label, label), (speed, ratio), xytext=(7, 4), textcoords="offset points", fontsize=8,
                      color=colour, fontweight="bold" if codec in ours else "normal")
    plot.set_xscale("log")
    plot.margins(x=0.16, y=0.1)
    plot.set_xlabel("encode, GB/s of raw pixels on one core")
    plot.set_ylabel("times smaller than bitshuffle+LZ4")
    plot.set_title(f"{len(recordings)} recordings, lossless, geometric means (sparse ones weigh most)", fontsize=9)
    return figure


def photons(report: dict[str, Any]) -> Any:
    """Excess over the true entropy is what differs; both scales are logarithmic."""
    figure, plot = axes()
    swept = [one for one in map(Recording, report["sweep"]) if one.depth == 16]
    rates = [one.data["photons_per_pixel"] for one in swept]
    colour_of = colours(report)
    for codec in (*LINES, *profiles_of(report)):
        points = [(rate, one.bits(codec), one.results[codec]["label"]) for rate, one in zip(rates, swept) if one.bits(codec)]
        if points:
            mine = codec in profiles_of(report)
            plot.plot([x for x, _, _ in points], [y for _, y, _ in points], "D-" if mine else "o-", markersize=3.5, zorder=3 if mine else 2,
                      linewidth=1.8 if mine else 1, color=colour_of[codec], label=SHORT.get(points[0][2], points[0][2]))
    plot.plot(rates, [one.entropy for one in swept], "k--", linewidth=1.2, zorder=4, label="true entropy")
    plot.set_xscale("log")
    plot.set_yscale("log")
    plot.set_xlabel("photons per pixel and frame (mean; static rings, 16 bits)")
    plot.set_ylabel("bits per pixel")
    plot.legend(fontsize=8, frameon=False)
    return figure


def save(figure: Any, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 64
    report, folder = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2])
    pyplot.rcParams.update({"svg.hashsalt": "foreframe", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9})
    if report["recordings"]:
        save(ratio_speed(report), folder / "codec_ratio_speed.svg")
    if report["sweep"]:
        save(photons(report), folder / "codec_photons.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
