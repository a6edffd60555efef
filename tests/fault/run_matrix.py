#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Breaks one part after the other while a series runs, and checks that no frame is lost in silence.

    tests/fault/run_matrix.py --bin build/release/bin --shim build/release/tests/fault/ff_fault_shim.so
    tests/fault/run_matrix.py … --cells third --seed 7      a third of the cells, chosen by the seed
    tests/fault/run_matrix.py … --cells "sink × full disk"  one of them
    tests/fault/run_matrix.py --list

Each cell is a site of its own: detector, agent, collector, Apache Kafka, sink, every connection over a wire that can be broken:
network namespaces with tc where the machine allows, else proxies (--network). After the fault nobody helps. Then must hold:
the daemons are ready again and frames are stored again, the series closes, every frame number is in exactly one state, every
stored pixel equals the detector's and lies in one file only, what is lost is lost in a stage that the fault excuses, the
spool is empty, memory is back. Exit code 0 when all cells pass.
"""
from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools" / "python"), str(ROOT / "tests" / "e2e"), str(Path(__file__).resolve().parent)]

import junit_report  # noqa: E402
from fault_cells import Cell, all_cells  # noqa: E402
from fault_judge import judge  # noqa: E402
from fault_network import choose_network  # noqa: E402
from fault_site import Site  # noqa: E402
from recorded_frames import recorded_frames  # noqa: E402

RECOVERY_LIMIT_S = 60
SHARING_LIMIT_S = 10  # sinks of one group divide the partitions of topics that are new to them


def choose(wanted: list[str], seed: int) -> list[Cell]:
    cells = all_cells()
    if not wanted or wanted == ["all"]:
        return cells
    if wanted == ["third"]:
        # Every part and every fault is met every third time; which third, the seed says.
        chance = random.Random(seed)
        chance.shuffle(cells)
        return cells[:(len(cells) + 2) // 3]
    named = [cell for cell in cells if cell.name in wanted or cell.part in wanted or cell.fault in wanted]
    if not named:
        raise SystemExit(f"no such cell: {', '.join(wanted)}; --list names them")
    return named


def run_cell(cell: Cell, options: argparse.Namespace) -> dict:
    """What came out: "passed", and what the table shows."""
    folder = Path(tempfile.mkdtemp(prefix="fault-", dir=options.scratch))
    chance = random.Random(f"{options.seed} {cell.name}")
    network = cell.network or options.network
    result = {"cell": cell.name, "passed": False, "log": cell.log, "network": network}
    began = time.monotonic()
    try:
        site = Site(options.bin, options.shim, folder, cell, network, options.lasts, options.seed)
        frames = options.frames + int((cell.sinks - 1) * SHARING_LIMIT_S * options.rate)
        source = f"{options.source},frames={frames},seed={chance.randrange(1000)}"
        expected = recorded_frames(source, options.bin / "foreframe", folder)
        with site:
            result |= drive(cell, site, source, options, chance)
            result |= judge(cell, site, expected)
        result["passed"] = True
    except Exception as problem:  # noqa: BLE001  a cell must not take the others with it
        result["why"] = f"{type(problem).__name__}: {problem}"
        result["trace"] = traceback.format_exc()
    result["seconds"] = round(time.monotonic() - began, 1)
    if result["passed"] and not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        result["folder"] = str(folder)
    return result


def drive(cell: Cell, site: Site, source: str, options: argparse.Namespace, chance: random.Random) -> dict:
    """Streams the series, strikes in the middle of it, and waits until all is well again."""
    detector = site.detector(source, options.rate, site.folder / "replay.json")
    try:
        time.sleep(options.before + chance.random())
        site.wait_until_all_store(SHARING_LIMIT_S)
        site.memory_before = {name: site.daemons[name].memory_bytes() for name in site.names}
        done = cell.strike(site, options.lasts, chance)
        lifted = time.monotonic()
        site.wait_well(RECOVERY_LIMIT_S)
        recovered = time.monotonic() - lifted
        if detector.wait(300) != 0:
            raise RuntimeError(f"the detector gave up: {(site.folder / 'replay.log').read_text()[-500:]}")
    finally:
        detector.kill()
        detector.wait()
    return {"fault": done, "recovery_s": round(recovered, 1), "restarts": site.restarts}


def table(results: list[dict]) -> str:
    lines = ["| cell | network | fault | frames sent | stored | lost, and where | well again after | |", "|---|---|---|---|---|---|---|---|"]
    for result in results:
        lines.append(f"| {result['cell']} | {result['network']} | {result.get('fault', '–')} | {result.get('sent', '–')} | {result.get('stored', '–')} | "
                     f"{result.get('lost', '–')} | {result.get('recovery_s', '–')} s | "
                     f"{'passed' if result['passed'] else '**failed**: ' + result.get('why', '')} |")
    return "\n".join(lines)


def write_json(options: argparse.Namespace, results: list[dict]) -> None:
    run = {"seed": options.seed, "network": options.network, "lasts_s": options.lasts, "cells": results}
    options.json.write_text(json.dumps(run, indent=1) + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, default=ROOT / "build/release/bin")
    parser.add_argument("--shim", type=Path, default=ROOT / "build/release/tests/fault/ff_fault_shim.so")
    parser.add_argument("--cells", nargs="*", default=["all"], help="all, third, parts, faults or whole names")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="sites at a time")
    parser.add_argument("--source", default="sim:eiger2-16m,rows=256,cols=256")
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--rate", type=float, default=50, help="images a second")
    parser.add_argument("--before", type=float, default=3, help="seconds of quiet before the fault")
    parser.add_argument("--lasts", type=float, default=6, help="seconds that a fault lasts; 30 for the full matrix")
    parser.add_argument("--network", choices=["auto", "netns", "proxy"], default="auto", help="auto: netns where the machine allows")
    parser.add_argument("--scratch", type=Path, help="default: the system's folder for temporary files")
    parser.add_argument("--keep", action="store_true", help="keep the folders of cells that passed as well")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--json", type=Path, help="results")
    parser.add_argument("--junitxml", type=Path)
    return parser.parse_args()


def main() -> int:
    options = arguments()
    cells = choose(options.cells, options.seed)
    if options.list:
        print("\n".join(cell.name for cell in cells))
        return 0
    options.network = choose_network(options.network)
    results = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for result in pool.map(lambda cell: run_cell(cell, options), cells):
            results.append(result)
            if options.json:
                write_json(options, results)
            print(f"{'ok    ' if result['passed'] else 'FAILED'} {result['cell']:<36} {result['seconds']:6.1f} s  "
                  f"{result.get('why') or result.get('lost', '')}", flush=True)
            if not result["passed"]:
                print(f"       logs: {result['folder']}", flush=True)
    print("\n" + table(results))
    if options.junitxml:
        junit_report.write(options.junitxml, "faults", [
            junit_report.Case(result["cell"], result["seconds"], result.get("why", ""), result.get("trace", "")) for result in results])
    failed = sum(not result["passed"] for result in results)
    print(f"\n{len(results) - failed} passed, {failed} failed (seed {options.seed}, network {options.network})")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
