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
from codec_goals import class_of  # noqa: E402
from codec_results import Recording, geometric_mean, profiles_of  # noqa: E402

try:
    import matplotlib
    matplotlib.use("svg")
    from matplotlib import pyplot
except ImportError:
    sys.exit("codec_plots.py: matplotlib is not installed; tools/setup --bench installs it")

OURS = ["#c1272d", "#e4572e", "#8b1e3f", "#ff8c42"]
PEERS = ["#0b4f6c", "#3a7d44", "#7a5195", "#b07d2b", "#4d4d4d", "#2a9d8f", "#8d5524", "#5c6bc0", "#9e9d24", "#607d8b",
         "#ad1457", "#00838f", "#6d4c41", "#1e88e5"]
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
    return peers | {name: OURS[i % len(OURS)] for i, name in enumerate(profiles_of(report))}


def dress(plot: Any) -> None:
    plot.grid(True, which="major", color="#dddddd", linewidth=0.6)
    plot.spines[["top", "right"]].set_visible(False)


def comparable(report: dict[str, Any]) -> tuple[list[str], list[Recording]]:
    """Codecs that hold most recordings, and the recordings that all of those hold. Sparse ones are left out: their ratios
    are ten times the others' and would be all that the mean shows."""
    recordings = [one for one in map(Recording, report["recordings"]) if class_of(one) != "sparse" and one.bits(YARDSTICK)]
    codecs = [codec for codec in colours(report) if sum(bool(one.bits(codec)) for one in recordings) > 0.8 * len(recordings)]
    return codecs, [one for one in recordings if all(one.bits(codec) for codec in codecs)]


def encode_speed(one: Recording, codec: str) -> float:
    """With planning; after the first window where there is more than one."""
    result = one.results[codec]
    return (result.get("encode_steady_gb_s") or result["encode_gb_s"])["median"]


def place_labels(plot: Any, points: list[tuple[float, float, str, str, bool]]) -> None:
    """Beside their points, moved up until they hide no other label."""
    placed: list[tuple[float, float]] = []
    for x, y, label, colour, mine in sorted(points, key=lambda point: point[1]):
        at_x, at_y = plot.transData.transform((x, y))
        at_y += 2
        while any(abs(at_x - other_x) < 110 and abs(at_y - other_y) < 11 for other_x, other_y in placed):
            at_y += 2
        placed.append((at_x, at_y))
        plot.annotate(label, (x, y), xytext=plot.transData.inverted().transform((at_x + 8, at_y)), fontsize=8, color=colour,
                      fontweight="bold" if mine else "normal")


def ratio_speed(report: dict[str, Any]) -> Any:
    figure, plot = pyplot.subplots(figsize=(7.2, 4.6), layout="constrained")
    dress(plot)
    codecs, recordings = comparable(report)
    points = []
    for codec in codecs:
        mine, colour = codec in profiles_of(report), colours(report)[codec]
        speed = geometric_mean(encode_speed(one, codec) for one in recordings)
        ratio = geometric_mean(one.bits(YARDSTICK) / one.bits(codec) for one in recordings)
        label = recordings[0].results[codec]["label"]
        plot.plot([speed], [ratio], "D" if mine else "o", color=colour, markersize=9 if mine else 6)
        points.append((speed, ratio, SHORT.get(label, label), colour, mine))
    plot.set_xscale("log")
    plot.margins(x=0.2, y=0.1)
    plot.set_xlabel("encode, GB/s of raw pixels on one core (ours with planning, after the first window)")
    plot.set_ylabel("times smaller than bitshuffle+LZ4")
    plot.set_title(f"lossless, geometric means over {len(recordings)} recordings that all these codecs hold", fontsize=9)
    figure.draw_without_rendering()
    place_labels(plot, points)
    return figure


def photons(report: dict[str, Any]) -> Any:
    """Above: bits a pixel. Below: how much more than the true entropy that is."""
    figure, (bits, above) = pyplot.subplots(2, 1, figsize=(7.2, 7.2), sharex=True, layout="constrained")
    swept = [one for one in map(Recording, report["sweep"]) if one.depth == 16]
    for codec in (*LINES, *profiles_of(report)):
        held = [one for one in swept if one.bits(codec)]
        if not held:
            continue
        mine, label = codec in profiles_of(report), held[0].results[codec]["label"]
        style = {"color": colours(report)[codec], "markersize": 3.5, "linewidth": 1.8 if mine else 1, "zorder": 3 if mine else 2,
                 "label": SHORT.get(label, label), "marker": "D" if mine else "o"}
        rates = [one.data["photons_per_pixel"] for one in held]
        bits.plot(rates, [one.bits(codec) for one in held], **style)
        above.plot(rates, [100 * (one.bits(codec) / one.entropy - 1) for one in held], **style)
    bits.plot([one.data["photons_per_pixel"] for one in swept], [one.entropy for one in swept], "k--", linewidth=1.2, zorder=4,
              label="true entropy")
    for plot in (bits, above):
        dress(plot)
        plot.set_xscale("log")
        plot.set_yscale("log")
    bits.set_ylabel("bits per pixel")
    above.set_ylabel("per cent above the true entropy")
    above.set_xlabel("photons per pixel and frame (mean; static rings, 16 bits, windows of 64)")
    bits.legend(fontsize=8, frameon=False)
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
