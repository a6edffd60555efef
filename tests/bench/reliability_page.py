#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Puts what was measured of the path's reliability into docs/benchmarks/reliability.md.

    tests/bench/reliability_page.py --matrix matrix.json --soak soak.json --path path.json --fuzz fuzz.txt

Each part is what its program wrote (tests/fault/run_matrix.py, tests/fault/soak.py, tests/bench/path_bench.py,
tests/fuzz/run_fuzzers.py) and is kept, with its date, in docs/benchmarks/reliability.json; a part that is not given stays as it was.
"""
from __future__ import annotations

import argparse
import datetime
import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE, KEPT = ROOT / "docs/benchmarks/reliability.md", ROOT / "docs/benchmarks/reliability.json"

HEAD = """\
# Reliability: what was broken, what was lost, what it costs

Written by `tests/bench/reliability_page.py` from the programs named below; the raw results are in [reliability.json](reliability.json).
Machine: 2 cores of a shared AMD EPYC server, one host, loopback, Apache Kafka 3.9.1 on one node.
"""


def rows(header: list[str], lines: list[list[object]]) -> str:
    table = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in table)


def matrix_part(part: dict) -> str:
    run = part["result"]
    cells = run["cells"]
    passed = sum(cell["passed"] for cell in cells)
    lines = [[cell["cell"], cell["log"] + ("://" if cell["log"] == "log" else ""), cell["network"], cell.get("fault", "–"),
              cell.get("sent", "–"), cell.get("stored", "–"), cell.get("lost", "–"),
              f"{cell['recovery_s']} s" if "recovery_s" in cell else "–",
              "passed" if cell["passed"] else "**failed**: " + short(cell.get("why", ""))] for cell in cells]
    return f"""## The fault matrix

{part['date']}, `{part['command']}`, seed {run['seed']}, faults of {run['lasts_s']:g} s: **{passed} of {len(cells)} cells passed.** Each cell is a site of its own
(detector, agent, collector, Kafka, sink), and the fault strikes in the middle of a series. *Lost* counts frames that are stored nowhere, with the stage that the
ledger names; a cell passes only when its fault excuses that stage. *Well again* counts from the end of the fault until every daemon's `/readyz` is 200 and a
new data file is in the store.

{networks_of(cells)}

{rows(["cell", "log", "network", "what was done", "frames sent", "stored", "lost", "well again", ""], lines)}

A killed agent loses what ZeroMQ had received for it and what was on the wire: *receive* is the detector's side of the socket. Everything it had taken is in
its pool or spool and is stored. Between detector and agent TCP alone notices an outage, and tries again after as long a pause as the outage lasted: hence the
time that the agent's cut and silent links take.
"""


NETWORK_WORDS = {
    "netns": "each part runs in a network namespace of its own and each connection is a pair of virtual Ethernet devices; a cut link is a pulled cable, a silent "
             "link loses every packet and tells nobody, a slow link is shaped by tc and loses 2 % of its packets",
    "proxy": "all parts run on one host and each connection goes through a proxy that refuses, holds up or damages it",
}


def networks_of(cells: list[dict]) -> str:
    """In which networks the cells ran, the most used first."""
    used = [cell["network"] for cell in cells]
    names = sorted(set(used), key=lambda name: -used.count(name))
    return "Networks: " + "; ".join(f"*{name}* ({used.count(name)} cells): {NETWORK_WORDS[name]}" for name in names) + "."


def short(why: str) -> str:
    return why.splitlines()[0].replace("|", "/")[:160] if why else ""


def soak_part(part: dict) -> str:
    result = part["result"]
    lines = [[name, f"{daemon['processor_s_per_gb']:.2f}", daemon["memory_mib"], daemon["memory_max_mib"], yes(daemon, "memory_flat"),
              daemon.get("files_max", "–"), yes(daemon, "files_flat")] for name, daemon in result["daemons"].items()]
    return f"""## A run without a miss

{part['date']}, `{part['command']}`: {result['seconds']:g} s at {result['rate_hz']:g} Hz ({result['gigabytes_per_second']} GB/s of raw pixels, {result['log']}), with the detector simulated on
the same host. **{result['frames']} frames sent, {result['missed']} missed.** {how_it_went(result)}

{rows(["daemon", "processor s per raw GB", "memory at the end, MiB", "most, MiB", "flat", "most open files", "flat"], lines)}

Memory is what the processes hold for themselves (the frame pool lies in shared memory and has a fixed size). *Flat*: the median of the run's last quarter is not
above the second quarter's by more than 24 MiB or 8 files. In an hour that is a leak of 14 kB/s.
"""


def yes(daemon: dict, key: str) -> str:
    return {True: "yes", False: "**no**", None: "–"}[daemon.get(key)]


def how_it_went(result: dict) -> str:
    """What runs say beyond the count of frames; those of a given rate in one series say less."""
    said = []
    if result.get("share", 1) < 1:
        said.append(f"The rate is {100 * result['share']:.0f} % of the {result['highest_rate_hz']:g} Hz that the path held: no image missed, the sink not left behind.")
    if "series" in result:
        said.append(f"{result['behind_s']} s after the last image all were stored and sealed. Each of {result['series']} series was checked against its seal and "
                    f"deleted; most disk in use: {result['disk_max_mib']} MiB.")
    return " ".join(said)


def path_part(part: dict) -> str:
    result = part["result"]
    lines = []
    for log in ("log://", "kafka"):
        for stage, rate in result[log].items():
            lines.append([f"{stage}, {log}", rate["raw_gb_per_s"], rate["raw_gb_per_s_worst"], rate["coded_gb_per_s"],
                          rate["processor_s_per_raw_gb"]])
    peers = [[name, rate["best"], rate["worst"]] for name, rate in result["peers"].items()]
    spool = "" if "spool" not in result else f"""
The spool by itself writes {result['spool']['ours']['best']} GB/s ({result['spool']['ours']['worst']} worst), fio with the same record size and as many writes per sync
{result['spool']['fio']['best']} ({result['spool']['fio']['worst']} worst): {result['spool']['percent_of_fio']} % of fio, medians, in turns on the same disk.
"""
    if "passthrough" in result:
        lines += [[f"agent, log://, {kind} pass-through", *(rate[key] for key in
                   ("raw_gb_per_s", "raw_gb_per_s_worst", "coded_gb_per_s", "processor_s_per_raw_gb"))]
                  for kind, rate in result["passthrough"].items()]
    return f"""## Each stage by itself

{part['date']}, `{part['command']}`: {result['frames']} frames of `{result['source']}`, {result['machine']}, best and worst of {result['repeat']} passes. Each stage is filled by
the one before and then let go, so it is measured alone; GB/s count raw pixels, coded GB/s what lies on wire and disk.

{rows(["stage", "raw GB/s", "worst", "coded GB/s", "processor s per raw GB"], lines)}

With pass-through every message goes on to a consumer on the same host, which takes its share of the cores (`passthrough.on_stall = "wait"`; it got them all).

The spool costs {percent_told(result['spool_costs_percent'])} of the agent's time (spool on disk with a sync every 200 ms, against a spool in memory that is never synced).
{spool}
What moves bytes without Foreframe, in the same run (GB/s of the bytes handed over: 900 kB records, or the same raw frames for HDF5):

{rows(["peer", "best", "worst"], peers)}
"""


def percent_told(percent: float) -> str:
    return f"{percent} %" if percent > 0 else f"nothing that stands out of the noise ({percent} %)"


def fuzz_part(part: dict) -> str:
    lines = re.findall(r"^(\w+)\s+(clean|FAULT)\s+(\d+) inputs\s+(\d+) s", part["result"], re.M)
    return f"""## Fuzzing

{part['date']}, `{part['command']}`: {sum(int(line[2]) for line in lines):,} inputs with libFuzzer, address and undefined-behaviour sanitizers.

{rows(["target", "result", "inputs", "seconds"], [list(line) for line in lines])}
"""


PARTS = {"matrix": matrix_part, "soak": soak_part, "path": path_part, "fuzz": fuzz_part}
COMMANDS = {"matrix": "tests/fault/run_matrix.py --cells all --lasts 30 --frames 2400 --jobs 2", "soak": "tests/fault/soak.py --seconds 60",
            "path": "tests/bench/path_bench.py", "fuzz": "tests/fuzz/run_fuzzers.py --build build/fuzz"}


def kept_result(name: str, text: str):
    """What is kept of a program's output: nothing that names the machine's folders."""
    if name == "fuzz":
        return text
    result = json.loads(text)
    for cell in result.get("cells", []) if name == "matrix" else []:
        for private in ("trace", "folder"):
            cell.pop(private, None)
        cell["why"] = short(cell.get("why", ""))
    return result


def page(kept: dict) -> str:
    return "\n".join([HEAD, *(render(kept[name]) for name, render in PARTS.items() if name in kept)])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in PARTS:
        parser.add_argument(f"--{name}", type=Path)
        parser.add_argument(f"--{name}-command", default=COMMANDS[name], help=f"how it was run; default: {COMMANDS[name]}")
    arguments = vars(parser.parse_args())
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    for name in PARTS:
        if path := arguments[name]:
            kept[name] = {"date": datetime.date.today().isoformat(), "command": arguments[f"{name}_command"],
                          "result": kept_result(name, path.read_text())}
    KEPT.write_text(json.dumps(kept, indent=1) + "\n")
    PAGE.write_text(page(kept))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
