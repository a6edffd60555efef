#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tables of a benchmark document from a saved report; a part of `foreframe bench codec --write`.

    codec_document.py REPORT.json DOCUMENT.md

Reads DOCUMENT.template.md beside the document and puts a table in place of every {{name}} in it; the text around the
tables belongs to the template. Standard library only. The goals are in codec_goals.py.
"""
from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Iterable

sys.path.insert(0, str(Path(__file__).resolve().parent))
import codec_goals as goals  # noqa: E402
from codec_results import DASH, Recording, bits, geometric_mean, measured, number, profiles_of, speed, table  # noqa: E402

LOSSLESS_CLAIM, LOSSY_CLAIM = 9, 40  # the lower ends of 9-15 and 40-50


def sizes(report: dict[str, Any]) -> str:
    recordings = [Recording(one) for one in report["recordings"]]
    codecs = labels(recordings)
    rows = []
    for one in recordings:
        known = [one.bits(codec) for codec in codecs if one.bits(codec)]
        cells = [cell(one, codec, min(known, default=0)) for codec in codecs]
        rows.append([one.name, one.shape, bits(one.data["order0_bits_per_pixel"]), *cells])
    return table(["recording", "frames", "order-0 entropy", *codecs.values()], rows) + not_measured(recordings)


def cell(one: Recording, codec: str, smallest: float) -> str:
    value = one.bits(codec)
    if not value:
        return DASH
    text = f"**{bits(value)}**" if value == smallest else bits(value)
    frames = one.results[codec]["frames"]
    return text if frames == one.data["frames"] else f"{text} (on {frames})"


def labels(recordings: Iterable[Recording]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in recordings:
        for codec, result in one.results.items():
            found.setdefault(codec, result["label"])
    return found


def not_measured(recordings: list[Recording]) -> str:
    """Why some cells are empty: one line a reason."""
    reasons: dict[str, list[str]] = {}
    for one in recordings:
        for result in one.results.values():
            if not measured(result):
                why = f"{result['label']}: {result['state']}" + (f" ({result['note']})" if result.get("note") else "")
                reasons.setdefault(why, []).append(one.name)
    if not reasons:
        return ""
    everywhere = len(recordings)
    lines = [f"- {why}: {'all recordings' if len(names) == everywhere else ', '.join(names)}"
             for why, names in sorted(reasons.items())]
    return f"\n{DASH} is a codec that was not measured:\n\n" + "\n".join(lines) + "\n"


def speeds(report: dict[str, Any]) -> str:
    recordings = [Recording(one) for one in report["recordings"]]
    rows = []
    for one in recordings:
        for codec in [*profiles_of(report), "bitshuffle-lz4"]:
            if measured(result := one.results.get(codec)):
                rows.append([one.name, result["label"], speed(result.get("encode_planned_gb_s")),
                             speed(result.get("encode_steady_gb_s")), speed(result["encode_gb_s"]), speed(result["decode_gb_s"])])
    return table(["recording", "codec", "encode, plan given", "encode with planning, known stream",
                  "encode with planning, first windows", "decode"], rows)


def peer_speeds(report: dict[str, Any]) -> str:
    recordings = [Recording(one) for one in report["recordings"]]
    rows = []
    for codec, label in labels(recordings).items():
        results = [one.results[codec] for one in recordings if measured(one.results.get(codec))]
        if not results:
            continue
        cells = []
        for direction in ("encode_gb_s", "decode_gb_s"):
            values = [result[direction]["median"] for result in results if result[direction]]
            cells.append(f"{number(geometric_mean(values))} ({number(min(values))} … {number(max(values))})")
        version = results[0].get("note", "") if codec not in profiles_of(report) else ""
        rows.append([label, *cells, str(len(results)), version])
    return table(["codec", "encode, GB/s", "decode, GB/s", "recordings", "library"], rows)


def lossy(report: dict[str, Any]) -> str:
    """Ratios on the recordings for every bound."""
    recordings = [one for one in map(Recording, report["recordings"]) if one.lossy]
    if not recordings:
        return "No bound was asked for in this run.\n"
    codecs: dict[str, str] = {}
    for one in recordings:
        for _, results in one.lossy:
            codecs |= {codec: result["label"] for codec, result in results.items()}
    rows = []
    for one in recordings:
        for bound, results in one.lossy:
            if not any(measured(result) for result in results.values()):
                continue
            text = bound["bound"] + (f" = {bound['absolute']}" if "absolute" in bound else "")
            rows.append([one.name, text, *[lossy_cell(results.get(codec)) for codec in codecs]])
    return table(["recording", "bound", *codecs.values()], rows)


def lossy_cell(result: dict[str, Any] | None) -> str:
    if not measured(result):
        return DASH
    return f"{number(result['ratio'])} (±{result['max_error']:.0f})" if "max_error" in result else number(result["ratio"])


def claims(report: dict[str, Any]) -> str:
    """TEZip's published claim, lossless: photon rate and depth against what entropy allows."""
    ours = profiles_of(report)
    head = ["photons/pixel", "depth", "true entropy, bits/pixel", "at most", *[f"Foreframe {name}" for name in ours],
            "TEZip back end, previous frame", "TEZip back end, running mean", f"{LOSSLESS_CLAIM} : 1 is"]
    rows = []
    for one in map(Recording, report["sweep"]):
        limit = one.depth / one.entropy
        reached = [label for codec, label in [*((name, f"reached by {name}") for name in ours),
                                              ("tezip-mean", "by TEZip's back end")]
                   if one.ratio(codec) >= LOSSLESS_CLAIM]
        verdict = ", ".join(reached) or ("forbidden to anyone" if limit < LOSSLESS_CLAIM else "possible, not reached")
        rows.append([number(one.data["photons_per_pixel"]), f"{one.depth} bits", bits(one.entropy), number(limit),
                     *[number(one.ratio(codec)) for codec in [*ours, "tezip-previous", "tezip-mean"]], verdict])
    return table(head, rows)


def lossy_claims(report: dict[str, Any]) -> str:
    """The same within a bound E: nobody needs less than H - log2(2 E + 1) bits."""
    swept = [one for one in map(Recording, report["sweep"]) if one.lossy]
    if not swept:
        return "No bound was asked for in this run.\n"
    ours = profiles_of(report)
    codecs = {**{name: f"Foreframe {name}" for name in ours}, "tezip-previous": "TEZip back end, previous frame",
              "tezip-mean": "TEZip back end, running mean", "zfp": "ZFP", "sz3": "SZ3"}
    rows = []
    for one in swept:
        for bound, results in one.lossy:
            error = bound.get("absolute")
            limit = goals.lossy_limit(one.entropy, error, one.depth) if error else None
            best = max((result["ratio"] for result in results.values() if measured(result)), default=0)
            if not best:
                continue
            verdict = ("reached" if best >= LOSSY_CLAIM else
                       "forbidden to anyone" if limit is not None and limit < LOSSY_CLAIM else "not reached")
            rows.append([number(one.data["photons_per_pixel"]), f"{one.depth} bits",
                         bound["bound"] + (f" = {error}" if error else ""),
                         DASH if limit is None else "no limit" if limit == float("inf") else number(limit),
                         *[number(results[codec]["ratio"]) if measured(results.get(codec)) else DASH for codec in codecs],
                         verdict])
    return table(["photons/pixel", "depth", "bound", "at most", *codecs.values(), f"{LOSSY_CLAIM} : 1 is"], rows)


def cores(report: dict[str, Any]) -> str:
    rows = []
    for one in map(Recording, report["cores"]):
        rate = one.data["detector_bytes_per_s"] / 1e9
        for codec, result in one.results.items():
            if not measured(result):
                continue
            steady = result.get("encode_steady_gb_s") or result["encode_gb_s"]
            needed = [rate / steady[which] for which in ("median", "max", "min")]
            planned = result.get("encode_planned_gb_s")
            rows.append([one.data["name"].removeprefix("sim:").split(",")[0], number(rate), result["label"],
                         number(result["ratio"]), speed(steady), speed(planned),
                         f"{needed[0]:.1f} ({needed[1]:.1f} … {needed[2]:.1f})",
                         f"{rate / planned['median']:.1f}" if planned else DASH])
    return table(["detector", "raw GB/s", "codec", "ratio", "encode with planning, known stream, GB/s a core",
                  "encode, plan given", "cores that hold the rate", "with plans given"], rows)


def machine(report: dict[str, Any]) -> str:
    box, settings = report["machine"], report["settings"]
    return (f"Machine: {box['cores']} cores of {box['processor']} ({box['vector_instructions']}), {box['memory_gib']} GiB, "
            f"{box['compiler']}, {box['build']} build; one thread.\nDate: {report['date']}. Foreframe {report['foreframe']}, "
            f"device {settings['device']}, windows of {settings['window_frames']} frames. Repeats: {settings['repeat']}; a slow "
            f"codec gets {settings['max_seconds']:g} s a recording and codes fewer frames.\nCommand: `{report['command']}`.\n")


TABLES = {"machine": machine, "sizes": sizes, "speeds": speeds, "peer_speeds": peer_speeds, "lossy": lossy,
          "goals": goals.goal_table, "goal_peers": goals.peer_table, "members": goals.member_list, "claims": claims,
          "lossy_claims": lossy_claims, "cores": cores}


def fill(template: str, report: dict[str, Any]) -> str:
    """Every {{name}} becomes its table; an unknown name stops with a ValueError."""
    parts = template.split("{{")
    out = [parts[0]]
    for part in parts[1:]:
        name, closed, rest = part.partition("}}")
        if not closed or name not in TABLES:
            raise ValueError(f"the template asks for {{{{{name[:40]}}}}}; known are {', '.join(TABLES)}")
        out += [TABLES[name](report).rstrip("\n"), rest]
    return "".join(out)


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 64
    report_path, document = Path(sys.argv[1]), Path(sys.argv[2])
    template = document.with_name(document.stem + ".template.md")
    try:
        report = json.loads(report_path.read_text(encoding="utf-8"))
        if report.get("format") != "foreframe-bench-codec" or report.get("version") != 1:
            raise ValueError(f"{report_path}: is no report of `foreframe bench codec --save`")
        text = fill(template.read_text(encoding="utf-8"), report)
    except (OSError, ValueError) as problem:
        print(f"codec_document.py: {problem}", file=sys.stderr)
        return 65
    part = document.with_name(document.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(document)
    return 0


if __name__ == "__main__":
    sys.exit(main())
