#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What more threads bring to `foreframe encode` and `decode`, and writes docs/benchmarks/cores.md.

    tests/bench/cores_bench.py --bin build/release/bin [--repeat 7] [--scratch /dev/shm] [--update]

Every command runs --repeat times; of wall and processor time the smallest counts. The thread counts take turns, so
that a busy minute of the machine hits all of them. Scratch files lie in memory: disks are not what is measured.
"""
from __future__ import annotations

import argparse
import datetime
import json
import os
import resource
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/benchmarks/cores.md"
SOURCES = {
    "counting, 2048 × 2048 u16, 16 tiles": "sim:eiger2-16m,rows=2048,cols=2048,frames=32",
    "integrating, 1024 × 1024 u16, 4 tiles": "sim:jungfrau-4m,rows=1024,cols=1024,frames=96",
    "counting, 512 × 512 i32, 1 tile": "sim:pilatus-6m,rows=512,cols=512,frames=256",
}
MEMORY_SOURCES = {
    "counting, 4096 × 4096 u16": "sim:eiger2-16m,rows=4096,cols=4096,frames=16,dtype=u16",
    "integrating, 4096 × 4096 u16": "sim:jungfrau-4m,rows=4096,cols=4096,frames=16",
}


def run(command: list[str]) -> tuple[dict, float, int]:
    """The command's JSON, its processor seconds and its largest memory in bytes."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    output = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}")
    return json.loads(output), used.ru_utime + used.ru_stime, used.ru_maxrss * 1024


class Best:
    def __init__(self) -> None:
        self.wall = self.processor = float("inf")

    def add(self, report: dict, processor: float) -> None:
        self.wall = min(self.wall, report["seconds"])
        self.processor = min(self.processor, processor)


def speeds(program: Path, scratch: Path, threads: list[int], repeat: int) -> list[str]:
    lines = ["| recording | step | threads | wall s | processor s | times faster | processor time |", "|---|---|---|---|---|---|---|"]
    for name, source in SOURCES.items():
        recording = scratch / "in.json"
        run([program, "convert", source, "-o", recording, "--force", "--json"])
        best = {(step, n): Best() for step in ("encode", "decode") for n in threads}
        for _ in range(repeat):
            for n in threads:
                for output in ("a.ffs", "out.raw"):  # giving back the memory of an older file is not what is measured
                    (scratch / output).unlink(missing_ok=True)
                common = ["--force", "--json", "--threads", str(n)]
                report, processor, _ = run([program, "encode", recording, "-o", scratch / "a.ffs", *common])
                best["encode", n].add(report, processor)
                report, processor, _ = run([program, "decode", scratch / "a.ffs", "-o", scratch / "out.raw", *common])
                best["decode", n].add(report, processor)
        for (step, n), entry in best.items():
            one = best[step, threads[0]]
            lines.append(f"| {name} | {step} | {n} | {entry.wall:.3f} | {entry.processor:.3f} | {one.wall / entry.wall:.2f} | "
                         f"{100 * entry.processor / one.processor:.0f} % |")
    return lines


def memories(program: Path, scratch: Path, threads: list[int]) -> list[str]:
    lines = ["| recording | threads | encode: largest, MB | stated | decode: largest, MB | stated |", "|---|---|---|---|---|---|"]
    for name, source in MEMORY_SOURCES.items():
        for n in threads:
            common = ["--force", "--json", "--threads", str(n)]
            cells = []
            for command in ([program, "encode", source, "-o", scratch / "a.ffs", "--group", "4", *common],
                            [program, "decode", scratch / "a.ffs", "-o", scratch / "out.raw", *common]):
                report, _, largest = run(command)
                stated = report["memory_bound_bytes"]["total"]
                if largest > stated:
                    raise SystemExit(f"{command}: took {largest} bytes, stated {stated}")
                cells += [f"{largest / 1e6:.0f}", f"{stated / 1e6:.0f}"]
            lines.append(f"| {name} | {n} | " + " | ".join(cells) + " |")
    return lines


def page(arguments: argparse.Namespace, speed_lines: list[str], memory_lines: list[str]) -> str:
    busy = os.getloadavg()[0]
    command = f"tests/bench/cores_bench.py --bin build/release/bin --repeat {arguments.repeat} --update"
    return f"""\
# Many cores, bounded memory

Date: {datetime.date.today().isoformat()}. Command: `{command}`. Machine: 2 cores of a shared AMD EPYC server (AVX-512), g++ 12.2, release
build. Load average at the end: {busy:.1f}; wall times say something about threads only where it is below the number of cores. Wall and
processor time are the smallest of {arguments.repeat} runs, in turns. Files lie in memory.

## Speed with more threads

The file is the same, byte for byte, with any number of threads. Processor time is against that of one thread: what it grows by, threads
cost, and 1 / growth is the most that each thread can bring.

{chr(10).join(speed_lines)}

Every thread reads, codes and writes; one alone opens the files, reads the mask and writes an archive's records. A recording of T tiles is coded by
up to max(16, T) threads at a time, rounded up to whole tiles (window × tile chains, [archives](../operations/archives.md)).

## Memory

Largest resident memory of the whole process beside the bound that `--json` states before the first frame (groups of 4 frames, windows of 16;
simulated frames, the simulator's own memory included). The bound assumes that nothing becomes smaller.

{chr(10).join(memory_lines)}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, required=True)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--scratch", type=Path, default=Path("/dev/shm"))
    parser.add_argument("--update", action="store_true")
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    program = arguments.bin.resolve() / "foreframe"
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        text = page(arguments, speeds(program, Path(folder), arguments.threads, arguments.repeat),
                    memories(program, Path(folder), arguments.threads))
    if arguments.update:
        PAGE.write_text(text)
    else:
        print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
