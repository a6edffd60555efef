#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Instructions per pixel of the codec's stages, counted by callgrind, must be what instructions.csv records (± 3 %).

    tests/bench/instructions_test.py --program build/release/tests/bench/hot_loops             compares
    tests/bench/instructions_test.py --program build/release/tests/bench/hot_loops --update    records anew

Fewer instructions than recorded fail too: the table is what a later change is judged by, so it must be true. Counts
depend on the compiler: another one than the table's is named, and fails. --update also writes
docs/benchmarks/instructions.md.
"""
from __future__ import annotations

import argparse
import csv
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "tests/bench/instructions.csv"
PAGE = ROOT / "docs/benchmarks/instructions.md"
PATHS = ("generic", "avx2")  # valgrind knows no AVX-512
TOLERANCE = 0.03
# Inside encode: what a function itself costs, its calls left out.
LANES = r"put_(?:frame|group|lanes|tokens|raw|bits)|group_entries"
LOOPS = {"encode: predict and tokens": re.compile(rf"cpu::(?:generic|avx2)::(?!.*(?:{LANES}|encode_|Encoder|[Cc]ell))"), "encode: lanes": re.compile(LANES)}

PAGE_HEAD = """\
# Instructions per pixel

What one pixel costs in each stage of the codec on one core, in instructions counted by callgrind, which, unlike a clock, says the
same on a busy machine. The frames are made up (128 × 256 pixels, 8 frames, one key group: `tests/bench/hot_loops.cpp`), so that
tables, prior and planning weigh more here than in groups of a megapixel. `generic` is plain C++ for any processor, `avx2` the same
source compiled for AVX2, with lanes and weighted sums of its own. AVX-512, which is what a server runs, is beyond valgrind: its speeds are in [codec.md](codec.md).

`tests/bench/instructions_test.py` compares every CI run with this table, ± 3 %; with `--update` it writes `instructions.csv` and this
page anew. Recorded with {compiler}.
"""

Key = tuple[str, str, str, str]  # scene, profile, stage, path


def self_costs(dump: str) -> dict[str, int]:
    """Instructions of each function itself, from one callgrind dump (names are given once, then by number)."""
    names: dict[str, str] = {}
    costs: dict[str, int] = {}
    function, inside_call = "", False
    for line in dump.splitlines():
        if match := re.match(r"fn=(\(\d+\))(?: (.*))?", line):
            names.setdefault(match[1], match[2] or "")
            function = names[match[1]]
        elif match := re.match(r"cfn=(\(\d+\)) (.*)", line):
            names.setdefault(match[1], match[2])
        elif line.startswith("calls="):
            inside_call = True
        elif match := re.match(r"(?:\+|-|\*)?\d* (\d+)$", line):
            if not inside_call:
                costs[function] = costs.get(function, 0) + int(match[1])
            inside_call = False
    return costs


def counts_of(program: Path, path: str, pixels: int) -> dict[Key, float]:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/dump", program],
                       env={**os.environ, "FF_CPU_PATH": path}, check=True)
        dumps = [file.read_text(errors="replace") for file in Path(folder).iterdir()]
    counts: dict[Key, float] = {}
    for dump in dumps:
        trigger = re.search(r"^desc: Trigger: Client Request: (\S+)/(\S+)/(\S+)$", dump, re.MULTILINE)
        if trigger is None:
            continue
        scene, profile, stage = trigger.groups()
        if stage != "plan" or path == PATHS[0]:  # planning knows no paths
            counts[scene, profile, stage, "any" if stage == "plan" else path] = int(
                re.search(r"^summary: (\d+)", dump, re.MULTILINE)[1]) / pixels
        for loop, functions in LOOPS.items() if stage == "encode" else ():
            own = sum(cost for name, cost in self_costs(dump).items() if functions.search(name))
            if own:
                counts[scene, profile, loop, path] = own / pixels
    return counts


def read_table() -> tuple[str, dict[Key, float]]:
    if not TABLE.exists():
        return "", {}
    lines = TABLE.read_text().splitlines()
    rows = csv.DictReader(lines[1:])
    return lines[0].removeprefix("# "), {
        (row["scene"], row["profile"], row["stage"], row["path"]): float(row["instructions_per_pixel"]) for row in rows}


def write_table(compiler: str, counts: dict[Key, float]) -> None:
    lines = [f"# {compiler}", "scene,profile,stage,path,instructions_per_pixel"]
    lines += [",".join((*key, f"{counts[key]:.2f}")) for key in sorted(counts)]
    TABLE.write_text("\n".join(lines) + "\n")


def write_page(compiler: str, counts: dict[Key, float]) -> None:
    scenes = sorted({(profile, scene) for scene, profile, _, _ in counts})
    stages = sorted({(stage, path) for _, _, stage, path in counts}, key=lambda pair: (pair[0] != "plan", pair[0], pair[1]))
    page = [PAGE_HEAD.format(compiler=compiler)]
    page.append("| stage | path | " + " | ".join(f"{scene}, {profile}" for profile, scene in scenes) + " |")
    page.append("|---|---|" + "---|" * len(scenes))
    for stage, path in stages:
        cells = [counts.get((scene, profile, stage, path)) for profile, scene in scenes]
        page.append(f"| {stage} | {path} | " + " | ".join("" if cell is None else f"{cell:.1f}" for cell in cells) + " |")
    PAGE.write_text("\n".join(page) + "\n")


def differences(recorded: dict[Key, float], counts: dict[Key, float]) -> list[str]:
    lines = [f"{' / '.join(key)}: recorded, but no longer there" for key in sorted(recorded.keys() - counts.keys())]
    lines += [f"{' / '.join(key)}: {counts[key]:.2f}, not recorded" for key in sorted(counts.keys() - recorded.keys())]
    for key in sorted(recorded.keys() & counts.keys()):
        change = counts[key] / recorded[key] - 1
        if abs(change) > TOLERANCE:
            lines.append(f"{' / '.join(key)}: {counts[key]:.2f}, recorded {recorded[key]:.2f} ({change:+.1%})")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--update", action="store_true")
    arguments = parser.parse_args()
    ask = lambda option: subprocess.run([arguments.program, option], capture_output=True, text=True, check=True).stdout.strip()
    compiler, pixels = ask("--compiler"), int(ask("--pixels"))
    recorded_with, recorded = ("", {}) if arguments.update else read_table()
    if not arguments.update and recorded_with != compiler:
        print(f"instructions.csv was recorded with {recorded_with}, this build is by {compiler}: counts can't be compared.\n"
              "Build with that compiler (Debian 12's), or record the table anew: --update")
        return 1
    paths = PATHS if "avx2" in Path("/proc/cpuinfo").read_text().split() else PATHS[:1]
    recorded = {key: count for key, count in recorded.items() if key[3] in ("any", *paths)}
    with ThreadPoolExecutor(len(paths)) as pool:
        counts = {key: count for some in pool.map(lambda path: counts_of(arguments.program, path, pixels), paths)
                  for key, count in some.items()}
    if arguments.update:
        write_table(compiler, counts)
        write_page(compiler, counts)
        return 0
    lines = differences(recorded, counts)
    print("\n".join(lines) or f"{len(counts)} counts are as recorded")
    if lines:
        print("If this is meant, record it: tests/bench/instructions_test.py --program ... --update, and say why in the commit.")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
