#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A zero-miss run: as fast as this machine holds, for as long as you like; every frame arrives, memory and disk stay flat.

    tests/fault/soak.py --bin build/release/bin --seconds 60
    tests/fault/soak.py --bin build/release/bin --seconds 3600 --kafka 127.0.0.1:9092 --json soak.json

The detector drops an image when nobody takes it, as detectors do. First the rate is searched for: it is held when no image is
missed and the sink is not left behind, so that no spool hides a path that is too slow. The run goes at --share of it, series
after series; each is checked when it is closed (ledger, seal) and then deleted, but for the last, of which every pixel is
compared with its seal. Exit code 0 when no frame was missed and no daemon's memory or number of open files grew.
With --kafka the broker's own retention must bound its disk.
"""
from __future__ import annotations

import argparse
import json
import math
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools" / "python")]

import junit_report  # noqa: E402
from path_runner import PathError, PathRunner  # noqa: E402

DAEMONS = ("agent", "collector", "sink")
SETTINGS = {"sink": {"file.max_time": "2 s"}}
DTYPE_BYTES = {"uint8": 1, "uint16": 2, "uint32": 4}
GROWTH_ALLOWED = {"memory": 24 << 20, "files": 8}  # of the median between two quarters of a run; allocators breathe
CLOSE_LIMIT_S = 300
FREE_DISK_MIN = 2 << 30


class Watch(threading.Thread):
    """Samples twice a second what each daemon holds, and what lies on the disk."""

    def __init__(self, path: PathRunner):
        super().__init__(daemon=True)
        self.path, self.over, self.disk_max = path, threading.Event(), 0
        self.samples = {name: {"memory": [], "files": []} for name in DAEMONS}

    def run(self) -> None:
        while not self.over.wait(0.5):
            for name in DAEMONS:
                self.samples[name]["memory"].append(self.path.daemons[name].memory_bytes())
                self.samples[name]["files"].append(self.path.daemons[name].open_files())
            self.disk_max = max(self.disk_max, bytes_in(self.path.folder))


def bytes_in(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_blocks * 512
        except OSError:  # deleted meanwhile
            pass
    return total


def grows(samples: list[int], allowed: int) -> bool:
    """The last quarter's median against the second's: the first quarter fills pools and queues."""
    quarter = len(samples) // 4
    if quarter < 4:
        return False
    return statistics.median(samples[-quarter:]) > statistics.median(samples[quarter:2 * quarter]) + allowed


class Checked:
    """Takes each closed series' account and gives its disk back: an hour of frames fits on no disk."""

    def __init__(self, path: PathRunner):
        self.path, self.store = path, ("--store", str(path.store))
        self.stored: dict[str, int] = {}                # frames by series uid
        self.elsewhere: dict[str, dict[str, int]] = {}  # the others by series uid and by state and stage
        self.not_sealed: list[str] = []

    def look(self, keep_newest: bool = False) -> None:
        listed = self.path.foreframe_json("ledger", "list", *self.store) or []
        newest = max((series["series_uid"] for series in listed), default="")
        for uid in [s["series_uid"] for s in listed if s["closed"] and s["series_uid"] not in self.stored]:
            account = self.path.foreframe_json("ledger", "show", uid, *self.store)
            if not self.verify(uid):
                self.not_sealed.append(uid)
            if not (keep_newest and uid == newest):
                shutil.rmtree(self.path.store / uid)
            states = account["streams"][0]["frames"]
            self.elsewhere[uid] = {f"{state} ({entry.get('stage', 'none')})": sum(last - first + 1 for first, last in entry["frames"])
                                   for state, entries in states.items() for entry in entries if state != "stored_exact"}
            self.stored[uid] = account["streams"][0]["counts"]["stored_exact"]
        if shutil.disk_usage(self.path.folder).free < FREE_DISK_MIN:
            raise PathError(f"less than {FREE_DISK_MIN >> 30} GiB are left on the disk of {self.path.folder}")

    def verify(self, uid: str, *more: str) -> bool:
        command = [self.path.bin_dir / "foreframe", "ledger", "verify", uid, *self.store, *more]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0


def stream(path: PathRunner, options: argparse.Namespace, checked: Checked, rate: float, seconds: float, keep: bool = False) -> dict:
    """Series after series at `rate`: the detector's report, what was missed, and how far the sink was behind at the end."""
    count = max(1, round(seconds / options.series_seconds))
    frames = max(int(rate * seconds / count), 32)
    before = sum(checked.stored.values())
    series = len(checked.stored)
    with ThreadPoolExecutor(1) as detector:
        sent = detector.submit(
            path.replay, options.source, "--rate", f"{rate:g}", "--frames", str(frames), "--repeat", str(count), "--preload",
            "--drop-when-full", "--send-queue", "1000", "--series-id", str(series + 1), timeout_s=seconds + 600)
        while not sent.done():
            checked.look(keep)
            time.sleep(0.5)
        report, over = sent.result(), time.monotonic()
    while len(checked.stored) < series + count:
        checked.look(keep)
        if time.monotonic() > over + CLOSE_LIMIT_S:
            raise PathError(f"{series + count - len(checked.stored)} series are not closed after {CLOSE_LIMIT_S} s")
        time.sleep(0.05)
    return {"report": report, "frames": frames * count, "missed": before + frames * count - sum(checked.stored.values()),
            "behind_s": time.monotonic() - over, "series": series}


def find_rate(first: float, held: Callable[[float], bool]) -> float:
    """The highest rate that is held, to about 5 %; 0 when not even one image a second is."""
    rate = first
    if held(rate):
        while held(rate * 1.5):
            rate *= 1.5
    else:
        while rate >= 1 and not held(rate / 1.5):
            rate /= 1.5
        rate /= 1.5
        if rate < 1:
            return 0.0
    too_fast = rate * 1.5
    for _ in range(3):
        middle = math.sqrt(rate * too_fast)
        rate, too_fast = (middle, too_fast) if held(middle) else (rate, middle)
    return rate


def is_held(path: PathRunner, options: argparse.Namespace, checked: Checked, rate: float) -> bool:
    run = stream(path, options, checked, rate, options.try_seconds)
    why = [f"{run['missed']} missed"] if run["missed"] else []
    if run["report"]["latest_s"] > 0.5:
        why.append("the detector itself can't send as fast")
    if run["behind_s"] > 1.5 + 0.1 * options.try_seconds:
        why.append("the sink is left behind")
    print(f"{rate:10.0f} Hz: {', '.join(why) or 'held'} ({run['behind_s']:.1f} s until all was stored)", flush=True)
    return not why


def soak(path: PathRunner, options: argparse.Namespace) -> dict:
    checked = Checked(path)
    highest = options.rate or find_rate(options.first_rate, lambda rate: is_held(path, options, checked, rate))
    if highest == 0:
        raise SystemExit("not even one image a second is held; use a smaller --source")
    rate = highest * (1.0 if options.rate else options.share)
    watch = Watch(path)
    before = {name: path.daemons[name].processor_seconds() for name in DAEMONS}
    watch.start()
    run = stream(path, options, checked, rate, options.seconds, keep=True)
    watch.over.set()
    watch.join()
    used = {name: path.daemons[name].processor_seconds() - before[name] for name in DAEMONS}
    newest = max(checked.stored)
    if not checked.verify(newest, "--deep"):
        checked.not_sealed.append(newest)
    return account_of(options, run, watch, used) | {
        "rate_hz": round(rate, 1), "highest_rate_hz": round(highest, 1), "share": round(rate / highest, 2),
        "not_sealed": checked.not_sealed, "elsewhere": list(checked.elsewhere.values())[run["series"]:]}


def account_of(options: argparse.Namespace, run: dict, watch: Watch, used: dict[str, float]) -> dict:
    report = run["report"]
    raw_bytes = run["frames"] * report["rows"] * report["cols"] * DTYPE_BYTES[report["dtype"]]
    result = {"source": options.source, "log": "kafka" if options.kafka else "log://", "seconds": options.seconds,
              "gigabytes_per_second": round(raw_bytes / report["seconds"] / 1e9, 3), "series": len(report["series"]),
              "frames": run["frames"], "missed": run["missed"],
              "dropped_by_detector": sum(len(series["not_sent"]) for series in report["series"]), "behind_s": round(run["behind_s"], 1),
              "disk_max_mib": watch.disk_max >> 20, "daemons": {}}
    for name in DAEMONS:
        memory, files = watch.samples[name]["memory"], watch.samples[name]["files"]
        result["daemons"][name] = {
            "processor_s_per_gb": round(used[name] / raw_bytes * 1e9, 3), "memory_mib": memory[-1] >> 20,
            "memory_max_mib": max(memory) >> 20, "memory_flat": not grows(memory, GROWTH_ALLOWED["memory"]),
            "files_max": max(files), "files_flat": not grows(files, GROWTH_ALLOWED["files"])}
    return result


def faults_of(result: dict) -> list[str]:
    faults = []
    if result["missed"]:
        faults.append(f"{result['missed']} missed ({result['dropped_by_detector']} never sent, because the agent took none): {result['elsewhere']}")
    faults += [f"the {name}'s {what} grow" for name, daemon in result["daemons"].items()
               for what, flat in (("memory", daemon["memory_flat"]), ("open files", daemon["files_flat"])) if not flat]
    return faults + [f"series {uid} does not hold what was sealed" for uid in result["not_sealed"]]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, default=ROOT / "build/release/bin")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--series-seconds", type=float, default=20, help="length of a series")
    parser.add_argument("--share", type=float, default=0.5, help="of the highest rate that is held")
    parser.add_argument("--rate", type=float, help="Hz; without it the rate is searched for")
    parser.add_argument("--first-rate", type=float, default=150)
    parser.add_argument("--try-seconds", type=float, default=4)
    parser.add_argument("--source", default="sim:eiger2-16m,rows=512,cols=1028,frames=64,rate=0.1")
    parser.add_argument("--kafka", help="address of a broker; without it log:// is used")
    parser.add_argument("--scratch", type=Path, help="default: the system's folder for temporary files")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--junitxml", type=Path)
    return parser.parse_args()


def main() -> int:
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="soak-", dir=options.scratch) as folder:
        log = f"kafka://{options.kafka}" if options.kafka else f"log://{folder}/log"
        prefix = "soak." + Path(folder).name.replace("-", "").replace("_", "")
        with PathRunner(options.bin, Path(folder), log, settings=SETTINGS, topic_prefix=prefix) as path:
            result = soak(path, options)
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    faults = faults_of(result)
    if options.junitxml:
        junit_report.write(options.junitxml, "soak", [
            junit_report.Case(f"no frame is missed at {result['rate_hz']} Hz", options.seconds, ", ".join(faults))])
    print(f"{'FAILED' if faults else 'ok'}: {result['frames']} frames at {result['rate_hz']} Hz "
          f"({result['gigabytes_per_second']} GB/s raw), {', '.join(faults) or 'none missed, all flat'}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
