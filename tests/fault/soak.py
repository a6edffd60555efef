#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A zero-miss run: the highest rate this machine holds, for as long as you like; every frame arrives and memory stays flat.

    tests/fault/soak.py --bin build/release/bin --seconds 60
    tests/fault/soak.py --bin build/release/bin --seconds 3600 --kafka 127.0.0.1:9092 --json soak.json

The detector drops an image when nobody takes it, as detectors do. First the rate is raised by half from try to try until an
image is dropped; the run itself goes at --share of the highest rate without a drop. Exit code 0 when no frame was
missed and no daemon's memory grew.
"""
from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools" / "python")]

import junit_report  # noqa: E402
from path_runner import PathRunner  # noqa: E402

DAEMONS = ("agent", "collector", "sink")
SETTINGS = {"sink": {"file.max_time": "2 s"}}
GROWTH_ALLOWED = 24 << 20  # of the median between two quarters of a run; allocators breathe


class Watch(threading.Thread):
    """Samples each daemon's memory twice a second."""

    def __init__(self, path: PathRunner):
        super().__init__(daemon=True)
        self.path, self.over = path, threading.Event()
        self.memory: dict[str, list[int]] = {name: [] for name in DAEMONS}

    def run(self) -> None:
        while not self.over.wait(0.5):
            for name in DAEMONS:
                self.memory[name].append(self.path.daemons[name].memory_bytes())


def stream(path: PathRunner, options: argparse.Namespace, rate: float, seconds: float, series: int) -> tuple[dict, dict]:
    """One series at `rate`: the detector's report and its ledger."""
    frames = max(int(rate * seconds), 32)
    report = path.replay(options.source, "--rate", f"{rate:g}", "--frames", str(frames), "--preload", "--drop-when-full", "--send-queue", "1000",
                         "--series-id", str(series), timeout_s=seconds + 600)
    ledger = path.wait_until_closed(series, timeout_s=300)
    newest = max(ledger, key=lambda account: account["series_uid"])
    return report, newest["streams"][0]


def missed(report: dict, account: dict) -> int:
    """Frames of the series that are not stored, dropped by the detector or lost on the way."""
    return report["series"][0]["frames_planned"] - account["counts"]["stored_exact"]


def find_rate(path: PathRunner, options: argparse.Namespace) -> tuple[float, int]:
    """The highest rate of a ladder at which nothing was missed, and the number of series that it took."""
    rate, held, series = options.first_rate, 0.0, 0
    while True:
        series += 1
        report, account = stream(path, options, rate, options.try_seconds, series)
        late = report["latest_s"] > 0.5  # the detector itself can't send as fast
        print(f"{rate:10.0f} Hz: {missed(report, account)} missed{', the detector falls behind' if late else ''}", flush=True)
        if missed(report, account) > 0 or late:
            return held, series
        held, rate = rate, rate * 1.5


def flat(samples: list[int]) -> bool:
    """The last quarter's median against the second's: the first quarter fills pools and queues."""
    quarter = len(samples) // 4
    if quarter < 4:
        return True
    return statistics.median(samples[-quarter:]) <= statistics.median(samples[quarter:2 * quarter]) + GROWTH_ALLOWED


def soak(path: PathRunner, options: argparse.Namespace) -> dict:
    held, series = (options.rate, 0) if options.rate else find_rate(path, options)
    if held == 0:
        raise SystemExit(f"not even {options.first_rate:g} Hz is held; use --first-rate or a smaller --source")
    rate = held * (1.0 if options.rate else options.share)
    watch = Watch(path)
    before = {name: path.daemons[name].processor_seconds() for name in DAEMONS}
    watch.start()
    report, account = stream(path, options, rate, options.seconds, series + 1)
    watch.over.set()
    watch.join()
    raw_bytes = report["series"][0]["frames_planned"] * report["rows"] * report["cols"] * (2 if report["dtype"] == "uint16" else 4)
    result = {"source": options.source, "log": "kafka" if options.kafka else "log://", "rate_hz": round(rate, 1),
              "seconds": options.seconds, "gigabytes_per_second": round(raw_bytes / options.seconds / 1e9, 3),
              "frames": report["series"][0]["frames_planned"], "missed": missed(report, account),
              "states": account["counts"], "daemons": {}}
    for name in DAEMONS:
        used = path.daemons[name].processor_seconds() - before[name]
        samples = watch.memory[name]
        result["daemons"][name] = {"processor_s_per_gb": round(used / raw_bytes * 1e9, 3), "memory_mib": samples[-1] >> 20,
                                   "memory_max_mib": max(samples) >> 20, "memory_flat": flat(samples)}
    return result


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, default=ROOT / "build/release/bin")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--share", type=float, default=0.5, help="of the highest rate that was held")
    parser.add_argument("--rate", type=float, help="Hz; without it the rate is searched for")
    parser.add_argument("--first-rate", type=float, default=100)
    parser.add_argument("--try-seconds", type=float, default=3)
    parser.add_argument("--source", default="sim:eiger2-16m,rows=512,cols=1028,frames=64,rate=0.1")
    parser.add_argument("--kafka", help="address of a broker; without it log:// is used")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--junitxml", type=Path)
    return parser.parse_args()


def main() -> int:
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        log = f"kafka://{options.kafka}" if options.kafka else f"log://{folder}/log"
        prefix = "soak." + Path(folder).name.replace("-", "").replace("_", "")
        with PathRunner(options.bin, Path(folder), log, settings=SETTINGS, topic_prefix=prefix) as path:
            result = soak(path, options)
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    growing = [name for name, daemon in result["daemons"].items() if not daemon["memory_flat"]]
    passed = result["missed"] == 0 and not growing
    if options.junitxml:
        fault = "" if passed else f"{result['missed']} missed, memory grows: {growing}"
        junit_report.write(options.junitxml, "soak", [
            junit_report.Case(f"no frame is missed at {result['rate_hz']} Hz", options.seconds, fault)])
    print(f"{'ok' if passed else 'FAILED'}: {result['frames']} frames at {result['rate_hz']} Hz "
          f"({result['gigabytes_per_second']} GB/s raw), {result['missed']} missed{', memory grows: ' if growing else ''}{', '.join(growing)}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
