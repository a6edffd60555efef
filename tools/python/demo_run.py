# SPDX-License-Identifier: Apache-2.0
"""The demo behind tools/demo: streams a recording through the whole path and reports what came out."""
from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import h5py
import hdf5plugin
import numpy
import zstandard

from path_runner import Daemon, PathError, PathRunner
from recorded_frames import recorded_frames

ROOT = Path(__file__).resolve().parents[2]
SIMULATED = "sim:eiger2-16m,rows=1062,cols=1028,frames=64,kind=rotation,seed=1"
DEFAULT_RECORDING = "pilatus6m_thau_centre/pilatus6m_thau_centre.json"

# Whose processor time is reported: (daemon, name of its threads without their number; "" for all of them).
STAGES = [("agent", "ingest"), ("agent", "window"), ("agent", "encode"), ("agent", "spool"), ("agent", "send"),
          ("agent", ""), ("collector", ""), ("sink", "decode"), ("sink", "store"), ("sink", "")]


def default_source() -> str:
    folder = Path(os.environ.get("FF_DATA_DIR") or ROOT.parent / "shared" / "data")
    recording = folder / DEFAULT_RECORDING
    return str(recording) if recording.is_file() else SIMULATED


def megabytes(count: float) -> str:
    return f"{count / 1e6:,.2f} MB"


class Kafka:
    """A broker for the length of a `with`; gives its log URL."""

    def __init__(self, folder: Path):
        self.command, self.folder = [sys.executable, str(ROOT / "tools" / "kafka" / "broker")], folder

    def __enter__(self) -> str:
        started = subprocess.run([*self.command, "start", str(self.folder)], capture_output=True, text=True, check=False)
        if started.returncode != 0:
            raise PathError(started.stderr.strip())
        return f"kafka://{started.stdout.strip()}"

    def __exit__(self, *_: object) -> None:
        subprocess.run([*self.command, "stop", str(self.folder)], check=False, stdout=subprocess.DEVNULL)


class Run:
    """What one pass through the path left behind."""

    def __init__(self, bin_dir: Path, folder: Path, source: str, rate: str, frames: int, log_url: str):
        self.log_url = log_url
        options = (["--rate", rate] if rate else []) + ["--quiet"] + (["--frames", str(frames)] if frames else [])
        with PathRunner(bin_dir, folder, log_url, topic_prefix="demo.path") as path:
            before, begin = cpu_seconds(path), time.monotonic()
            self.replay = path.replay(source, *options)
            self.ledger = path.wait_until_closed()[0]
            self.seconds = time.monotonic() - begin
            self.coded_bytes = path.daemons["agent"].metric("foreframe_agent_coded_bytes_total")
            self.busy_s = {stage: used - before[stage] for stage, used in cpu_seconds(path).items()}
            self.exit_codes = path.stop()
        masters = sorted((path.store / self.ledger["series_uid"]).glob("*_master.h5"))
        if not masters:
            raise PathError(f"the sink closed series {self.ledger['series_uid']} but there is no master file in {path.store}")
        self.master = masters[0]


def cpu_seconds(path: PathRunner) -> dict[tuple[str, str], float]:
    """Processor time that each stage has used so far."""
    used = dict.fromkeys(STAGES, 0.0)
    for daemon, threads in STAGES:
        for task in Path(f"/proc/{path.daemons[daemon].process.pid}/task").iterdir():
            if not threads or (task / "comm").read_text().strip().split("-")[0] == threads:
                used[daemon, threads] += int((task / "schedstat").read_text().split()[0]) / 1e9
    return used


def compare(master: Path, expected: numpy.ndarray, frames: int) -> tuple[int, str]:
    """Stored frames that equal the input bit for bit, and the first difference in words."""
    equal, first_difference = 0, ""
    with h5py.File(master) as file:
        stored = file["/entry/data/data"]
        if stored.shape[0] != frames or stored.shape[1:] != expected.shape[1:] or stored.dtype != expected.dtype:
            return 0, f"stored {stored.shape} {stored.dtype}, expected {(frames, *expected.shape[1:])} {expected.dtype}"
        for frame in range(frames):
            if numpy.array_equal(stored[frame], expected[frame % len(expected)]):
                equal += 1
            elif not first_difference:
                first_difference = f"frame {frame} differs"
    return equal, first_difference


def size_with_bitshuffle_lz4(expected: numpy.ndarray, frames: int, scratch: Path) -> int:
    target = scratch / "bitshuffle_lz4.h5"
    with h5py.File(target, "w") as file:
        data = file.create_dataset("data", shape=(frames, *expected.shape[1:]), dtype=expected.dtype,
                                   chunks=(1, *expected.shape[1:]), compression=hdf5plugin.Bitshuffle())
        for frame in range(frames):
            data[frame] = expected[frame % len(expected)]
        size = data.id.get_storage_size()
    target.unlink()
    return size


def size_with_zstd(expected: numpy.ndarray, frames: int) -> int:
    compressor = zstandard.ZstdCompressor(level=3)
    sizes = [len(compressor.compress(numpy.ascontiguousarray(frame).tobytes())) for frame in expected[:frames]]
    return sum(sizes[frame % len(sizes)] for frame in range(frames))


def ledger_lines(ledger: dict) -> list[str]:
    lines = []
    for stream in ledger["streams"]:
        parts = [f"{count} {state.replace('_', ' ')}" for state, count in stream["counts"].items() if count]
        name = f"stream {stream['stream']}: " if len(ledger["streams"]) > 1 else ""
        closes = "closes" if stream["closes"] else "does NOT close: " + "; ".join(stream["open"])
        lines.append(f"{name}{stream['expected']} expected = {' + '.join(parts) or '0'} ({closes})")
    return lines


def report(run: Run, source: str, expected: numpy.ndarray, scratch: Path) -> bool:
    """Prints what came out; True when every frame was stored bit for bit and the ledger closes."""
    frames = run.ledger["streams"][0]["expected"]
    equal, difference = compare(run.master, expected, frames)
    exact = equal == frames > 0
    raw = frames * expected[0].nbytes
    sizes = {
        "Foreframe": run.coded_bytes,
        "bitshuffle + LZ4": size_with_bitshuffle_lz4(expected, frames, scratch),
        "zstd, level 3": size_with_zstd(expected, frames),
    }
    print(f"\nRecording    {source}")
    print(f"             {frames} frames of {expected.shape[1]} x {expected.shape[2]} {expected.dtype}, {megabytes(raw)} raw")
    print(f"Over         {run.log_url.split('://')[0]}://")
    for line in ledger_lines(run.ledger):
        print(f"Frames       {line}")
    print(f"Bit-exact    {'yes' if exact else 'NO'}: {equal} of {frames} frames read back by h5py equal the input"
          + (f"; {difference}" if difference else ""))
    print("\nSize         of the same frames")
    for name, size in sizes.items():
        print(f"  {name:<24}{megabytes(size):>18}   {raw / size if size else 0:6.2f} : 1   {size * 8 / (raw / expected.itemsize):6.3f} bit/pixel")
    print("\nThroughput   raw bytes per second of processor time")
    for (daemon, threads), seconds in run.busy_s.items():
        rate = f"{megabytes(raw / seconds)}/s" if seconds > 0.001 else "too quick to tell"
        print(f"  {daemon + ': ' + (threads or 'all threads'):<24}{rate:>18}")
    print(f"  {'all, by the clock':<24}{megabytes(raw / run.seconds) + '/s':>18}   {run.seconds:.2f} s from the first frame "
          f"to the closed file;\n{'':47}the detector sent for {run.replay['seconds']:.2f} s of it")
    master = os.path.relpath(run.master)
    print(f"""
File         {master}

  import h5py, hdf5plugin                      # {os.path.relpath(sys.executable)}
  file = h5py.File("{master}")
  frames = file["/entry/data/data"]            # {frames} x {expected.shape[1]} x {expected.shape[2]}, one chunk a frame
  state = file["/entry/data/state"][:]         # what became of each frame
""")
    return exact and run.ledger["closes"] and not any(run.exit_codes.values())


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/demo", description=__doc__)
    parser.add_argument("file", nargs="?", default="")
    parser.add_argument("--bin", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--kafka", action="store_true")
    parser.add_argument("--rate", default="")
    parser.add_argument("--frames", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=ROOT / "build" / "demo")
    arguments = parser.parse_args()

    folder = arguments.keep.resolve()
    if folder == ROOT / "build" / "demo":
        shutil.rmtree(folder, ignore_errors=True)
    elif folder.exists() and any(folder.iterdir()):
        print(f"tools/demo: {folder} is not empty; name a new folder with --keep", file=sys.stderr)
        return 64
    folder.mkdir(parents=True, exist_ok=True)
    source = arguments.file or default_source()
    try:
        expected = recorded_frames(source, arguments.bin / "foreframe", folder)
        print(f"-- streaming {source} through agent, collector and sink", flush=True)
        with Kafka(folder / "kafka") if arguments.kafka else nullcontext(f"log://{folder / 'log'}") as log_url:
            run = Run(arguments.bin, folder, source, arguments.rate, arguments.frames, log_url)
        good = report(run, source, expected, folder)
    except PathError as error:
        print(f"tools/demo: {error}\nThe daemons' logs lie in {folder}", file=sys.stderr)
        return 1
    if not good:
        print(f"tools/demo: something above is not as it should be; the daemons' logs lie in {folder}", file=sys.stderr)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
