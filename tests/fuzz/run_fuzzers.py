#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lets libFuzzer look for faults in every target, for a stated time.

    tests/fuzz/run_fuzzers.py --build build/fuzz [--seconds 120] [--only TARGET ...] [--junitxml FILE]
    tests/fuzz/run_fuzzers.py --build build/fuzz --seconds 3600 --update-corpus

Starts from tests/fuzz/corpus/<target> and from the seeds each target makes of the golden blocks. --seconds is the
time of the whole run: one target a core, `block`, which holds all others, for half of it. An input that breaks a promise is
left in build/fuzz/finds/<target>. --seed N starts libFuzzer's chance at N, so that two runs of the same code look at
much the same inputs and a find belongs to a change; 0 is a new chance every time. --update-corpus keeps what was found worth keeping: the smallest CORPUS_FILES of the
inputs that libFuzzer's merge needs to reach the same code.
"""
from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools" / "python")]

import junit_report  # noqa: E402

CORPUS = ROOT / "tests/fuzz/corpus"
CORPUS_FILES = 80  # a target: git keeps every one for ever
HEAVY = "block"  # the whole decoder
LIMITS = ["-timeout=20", "-rss_limit_mb=3000", "-max_len=16384", "-print_final_stats=1", "-verbosity=1"]


class Run:
    """One target: its program, what it starts from, how it ended."""

    def __init__(self, program: Path, seconds: float, finds: Path, seed: int):
        self.name, self.program, self.seconds = program.name.removeprefix("fuzz_"), program, seconds
        self.finds, self.seed = finds / self.name, seed
        self.inputs, self.log, self.failed, self.took = 0, "", False, 0.0

    def fuzz(self, work: Path) -> None:
        folder = work / self.name
        for place in (folder, CORPUS / self.name):
            place.mkdir(parents=True, exist_ok=True)
        self.finds.mkdir(parents=True, exist_ok=True)
        subprocess.run([self.program], env={**os.environ, "FF_FUZZ_WRITE_SEEDS": str(folder)}, check=True)
        memory = {"TMPDIR": "/dev/shm"} if Path("/dev/shm").is_dir() else {}  # for targets that work on files
        start = time.monotonic()
        done = subprocess.run([self.program, *LIMITS, f"-max_total_time={max(1, round(self.seconds))}", f"-seed={self.seed}",
                               f"-artifact_prefix={self.finds}/", folder, CORPUS / self.name],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                              env={**os.environ, **memory})
        self.took, self.log, self.failed = time.monotonic() - start, done.stdout, done.returncode != 0
        counted = re.search(r"number_of_executed_units: (\d+)", done.stdout)
        self.inputs = int(counted[1]) if counted else 0

    def update_corpus(self, work: Path) -> None:
        kept = work / f"{self.name}.kept"
        kept.mkdir()
        subprocess.run([self.program, "-merge=1", *LIMITS, kept, CORPUS / self.name, work / self.name],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        shutil.rmtree(CORPUS / self.name, ignore_errors=True)
        (CORPUS / self.name).mkdir(parents=True)
        for file in sorted(kept.iterdir(), key=lambda file: file.stat().st_size)[:CORPUS_FILES]:
            shutil.copy(file, CORPUS / self.name / f"{self.name}-{file.name[:12]}")

    def summary(self) -> str:
        how = "FAULT" if self.failed else "clean"
        return f"{self.name:<12}{how:>6}{self.inputs:>12} inputs{self.took:>8.0f} s"


def planned(build: Path, only: list[str], seconds: float, seed: int) -> list[Run]:
    programs = sorted(p for p in (build / "tests/fuzz").glob("fuzz_*") if p.is_file() and os.access(p, os.X_OK))
    programs = [p for p in programs if not only or p.name.removeprefix("fuzz_") in only]
    shares = {p: 1.0 for p in programs}
    for program in programs:
        if program.name == f"fuzz_{HEAVY}":
            shares[program] = max(1.0, len(programs) - 1.0)
    cores = os.cpu_count() or 1
    whole = sum(shares.values())
    each = {p: min(seconds, seconds * cores * share / whole) for p, share in shares.items()}
    return sorted((Run(p, each[p], build / "finds", seed) for p in programs), key=lambda run: -run.seconds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("FF_FUZZ_SECONDS", 120)))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("FF_FUZZ_SEED", 1)))
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--update-corpus", action="store_true")
    parser.add_argument("--junitxml", type=Path)
    arguments = parser.parse_args()
    runs = planned(arguments.build.resolve(), arguments.only, arguments.seconds, arguments.seed)
    if not runs:
        print(f"no fuzz targets in {arguments.build}; cmake --preset fuzz && cmake --build --preset fuzz", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(lambda run: run.fuzz(Path(folder)), runs))
        if arguments.update_corpus:
            for run in runs:
                run.update_corpus(Path(folder))
    for run in runs:
        print(run.summary())
        if run.failed:
            print(run.log[-4000:], f"\nagain: {run.program} {run.finds}/...", sep="")
    if arguments.junitxml:
        junit_report.write(arguments.junitxml, "fuzz", [
            junit_report.Case(run.name, run.took, f"an input breaks a promise: {run.finds}" if run.failed else "", run.log[-4000:])
            for run in runs])
    return 1 if any(run.failed for run in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
