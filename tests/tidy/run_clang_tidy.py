#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs clang-tidy over the project's own sources and remembers which were clean.

    tests/tidy/run_clang_tidy.py --build build/release [--deep] [--junitxml FILE] [FILE ...]

A file is checked again only when it, a header or .proto of ours that it reaches, .clang-tidy or the compiler's
arguments change: the sums of clean files lie in build/clang-tidy-cache. One process a core. Most of clang-tidy's time
goes into headers, so many stale files are taken several at a time; where that finds anything or the files do not go
together, one by one. --deep adds the path-sensitive analyzer, which doubles the time, and goes one by one. Compiler warnings are g++'s business: clang's are off here. Tests are
left to the compiler's warnings and the sanitizers, so that the run stays within its minutes.
"""
from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools" / "python")]

import junit_report  # noqa: E402

FOLDERS = ("agent", "collector", "common", "fpga", "hpc_sink", "kernels", "tools")
BATCH = 8  # as many as the sanitizer builds compile at a time
INCLUDE = re.compile(r'^\s*(?:#\s*include|import)\s+"([^"]+)"', re.MULTILINE)


class Sums:
    """What a clang-tidy verdict on a file depends on, as one sum."""

    def __init__(self, options: list[str]) -> None:
        version = subprocess.run(["clang-tidy", "--version"], capture_output=True, text=True, check=True).stdout
        self.common = version + (ROOT / ".clang-tidy").read_text() + " ".join(options)

    def reached(self, path: Path, seen: dict[Path, str]) -> None:
        if path in seen or not path.is_file():
            return
        seen[path] = path.read_text(errors="replace")
        for included in INCLUDE.findall(seen[path]):
            self.reached(ROOT / re.sub(r"\.pb\.h$", ".proto", included), seen)

    def of(self, path: Path, command: str) -> str:
        seen: dict[Path, str] = {}
        self.reached(path, seen)
        text = self.common + command + "".join(str(p.relative_to(ROOT)) + seen[p] for p in sorted(seen))
        return hashlib.sha256(text.encode()).hexdigest()


def own_sources(build: Path, wanted: list[str]) -> dict[Path, str]:
    """Our sources of the compilation database, with their compile commands."""
    sources = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = Path(entry["directory"], entry["file"]).resolve()
        name = str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else ""
        if name.split("/")[0] in FOLDERS and (not wanted or name in wanted):
            sources[path] = entry.get("command") or shlex.join(entry["arguments"])
    return sources


def check(path: Path, build: Path, options: list[str]) -> tuple[Path, str, float]:
    """The file's findings, "" when it is clean, and the seconds it took."""
    start = time.monotonic()
    done = subprocess.run(
        ["clang-tidy", "-quiet", "-p", str(build), "--extra-arg=-w", *options, str(path)],
        capture_output=True, text=True, cwd=ROOT, check=False)
    findings = done.stdout.strip() if done.returncode else ""
    if done.returncode and not findings:
        findings = done.stderr.strip() or f"clang-tidy ended with status {done.returncode}"
    return path, findings, time.monotonic() - start


def batches_of(stale: list[Path], sources: dict[Path, str]) -> list[list[Path]]:
    """Stale files of one folder with the same arguments, up to BATCH of them."""
    alike: dict[tuple[Path, str], list[Path]] = {}
    for path in stale:
        alike.setdefault((path.parent, " ".join(compiler_arguments(sources[path]))), []).append(path)
    return [group[i:i + BATCH] for group in alike.values() for i in range(0, len(group), BATCH)]


def compiler_arguments(command: str) -> list[str]:
    """What the compiler is told but for its own name, the source and the output."""
    words = shlex.split(command)[1:]
    return [word for word, before in zip(words, ["", *words]) if word not in ("-o", "-c") and before not in ("-o", "-c")]


def are_clean_together(batch: list[Path], cache: Path, entry_command: str) -> bool:
    """Whether clang-tidy has nothing to say about these files as one; if not, they are checked one by one."""
    together = cache / f"together_{hashlib.sha256(str(batch).encode()).hexdigest()[:16]}.cpp"
    together.write_text("".join(f'#include "{path}"\n' for path in batch))
    done = subprocess.run(
        ["clang-tidy", "-quiet", "-checks=-bugprone-suspicious-include", f"-header-filter={ROOT}/[^.].*", str(together),
         "--", *compiler_arguments(entry_command), "-w"],
        capture_output=True, text=True, cwd=ROOT, check=False)
    together.unlink()
    return done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--deep", action="store_true")
    parser.add_argument("--junitxml", type=Path)
    parser.add_argument("files", nargs="*")
    arguments = parser.parse_args()

    build = arguments.build.resolve()
    cache = ROOT / "build" / "clang-tidy-cache"
    cache.mkdir(parents=True, exist_ok=True)
    options = ["-checks=clang-analyzer-core.*,clang-analyzer-cplusplus.*,clang-analyzer-unix.*"] if arguments.deep else []
    sums = Sums(options)
    sources = own_sources(build, arguments.files)
    sum_of = {path: sums.of(path, command.replace(str(ROOT), "")) for path, command in sources.items()}
    verdicts = [(path, "", 0.0) for path in sources if (cache / sum_of[path]).exists()]
    stale = [path for path in sources if not (cache / sum_of[path]).exists()]
    print(f"{len(sources)} files, {len(verdicts)} known to be clean", flush=True)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        batches = batches_of(stale, sources) if not arguments.deep else []
        clean = pool.map(lambda batch: are_clean_together(batch, cache, sources[batch[0]]), batches)
        for path in (path for batch, is_clean in zip(batches, clean) if is_clean for path in batch):
            (cache / sum_of[path]).touch()
            verdicts.append((path, "", 0.0))
            print(f"    ok  {path.relative_to(ROOT)}", flush=True)
        stale = [path for path in stale if not (cache / sum_of[path]).exists()]
        for path, findings, seconds in pool.map(lambda p: check(p, build, options), stale):
            verdicts.append((path, findings, seconds))
            print(f"{'FAILED' if findings else 'ok':>6}  {path.relative_to(ROOT)}  {seconds:.1f} s", flush=True)
            if findings:
                print(findings, flush=True)
            else:
                (cache / sum_of[path]).touch()
    if arguments.junitxml:
        junit_report.write(arguments.junitxml, "clang-tidy", [
            junit_report.Case(str(path.relative_to(ROOT)), seconds, findings.partition("\n")[0], findings)
            for path, findings, seconds in verdicts])
    return 1 if any(findings for _, findings, _ in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
