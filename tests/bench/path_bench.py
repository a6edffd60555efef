#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast each stage of the path is by itself, and what it costs, beside what moves the same bytes without Foreframe.

    tests/bench/path_bench.py --bin build/release/bin [--kafka 127.0.0.1:9092] [--repeat 3] --json path.json

Each stage is filled by the one before and then let go, so that it is measured alone:

    agent       the detector sends as fast as the agent takes; nobody collects: receive, unpack, code, spool
    collector   the spool is full, the collector starts: link, admission, log
    sink        the log is full, the sink starts: read, decode, compress, write, seal

Beside them, in the same run, with the same frames: ZeroMQ over loopback, librdkafka by itself, HDF5 written by h5py,
fio (which must be installed) with the spool's pattern of writes and syncs. The spool's price is the agent's time with the
spool on disk against a spool in memory that is never synced; pass-through's is the agent's time with a consumer behind it.
"""
from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools" / "python")]

import h5py  # noqa: E402
import hdf5plugin  # noqa: E402
import numpy as np  # noqa: E402
import zmq  # noqa: E402
from path_runner import Daemon, PathRunner, free_port  # noqa: E402
from recorded_frames import recorded_frames  # noqa: E402

RECORD_BYTES = 900_000
AGENT = {"memory.max": "8 GiB", "spool.max": "32 GiB", "stop.drain_timeout": "100 ms"}  # some have nobody to drain to


def until(condition, limit_s: float = 600) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("a stage did not finish")
        time.sleep(0.01)


class StagedPath(PathRunner):
    """Daemons are started one after the other."""

    def __enter__(self) -> "StagedPath":
        return self

    def measure(self, name: str, done) -> tuple[float, float]:
        """Wall and processor seconds from the daemon's first useful moment until done()."""
        daemon = self.start(name)
        began = time.monotonic()
        until(lambda: done(daemon))
        return time.monotonic() - began, daemon.processor_seconds()


def agent_alone(path: StagedPath, options: argparse.Namespace) -> tuple[Daemon, dict]:
    """A started agent that has spooled a series which nobody collects, and what that took."""
    agent = path.start("agent")
    until(lambda: agent.get("/healthz")[0] == 200)
    before, began = agent.processor_seconds(), time.monotonic()
    report = path.replay(options.source, "--rate", "max", "--frames", str(options.frames), "--preload", timeout_s=900)
    frames = report["series"][0]["frames_planned"]
    windows = -(-frames // 16)
    until(lambda: agent.metric("foreframe_agent_series_ended_total") >= 1
          and agent.metric("foreframe_agent_windows_total") >= windows
          and agent.metric("foreframe_agent_records_spooled_total") >= 2 * windows)
    return agent, {"agent": (time.monotonic() - began, agent.processor_seconds() - before), "frames": frames,
                   "raw_bytes": frames * report["rows"] * report["cols"] * np.dtype(report["dtype"]).itemsize,
                   "coded_bytes": agent.metric("foreframe_agent_coded_bytes_total")}


def stages(options: argparse.Namespace, folder: Path, log_url: str, prefix: str, spool: Path | None) -> dict:
    """One pass of a series through the path, stage by stage."""
    settings = {"agent": {**AGENT, **({"spool.path": spool, "spool.fsync": "1 min"} if spool else {})}, "sink": {"file.max_time": "5 s"}}
    with StagedPath(options.bin, folder, log_url, settings=settings, topic_prefix=prefix) as path:
        agent, result = agent_alone(path, options)
        records = agent.metric("foreframe_agent_records_spooled_total")
        result["collector"] = path.measure(
            "collector", lambda d: agent.metric("foreframe_agent_records_acknowledged_total") >= records and d.process.poll() is None)
        result["sink"] = path.measure("sink", lambda d: any(s["closed"] for s in path.ledger()))
        stored = path.ledger()[0]["streams"][0]["counts"]["stored_exact"]
        assert stored == result["frames"], f"{stored} frames stored"
    return result


# ---------------------------------------------------------------- pass-through

class Consumer(threading.Thread):
    """The file writer that was there before: takes every message and looks at none."""

    def __init__(self, address: str):
        super().__init__(daemon=True)
        self.messages, self.over = 0, threading.Event()
        self.socket = zmq.Context.instance().socket(zmq.PULL)
        self.socket.connect(address)

    def run(self) -> None:
        while not self.over.is_set():
            if self.socket.poll(50):
                self.socket.recv_multipart(copy=False)
                self.messages += 1
        self.socket.close(linger=0)


def agent_with_consumer(options: argparse.Namespace, folder: Path) -> dict:
    """As agent_alone, with every message re-emitted to a consumer on this host."""
    address = f"tcp://127.0.0.1:{free_port()}"
    settings = {"agent": {**AGENT, "passthrough.address": address, "passthrough.on_stall": "wait"}}
    consumer = Consumer(address)
    consumer.start()
    with StagedPath(options.bin, folder, f"log://{folder}/log", settings, "bench.passthrough") as path:
        _, result = agent_alone(path, options)
        until(lambda: consumer.messages >= result["frames"] + 2)  # start and end
    consumer.over.set()
    consumer.join()
    return result


def agent_without(options: argparse.Namespace, folder: Path) -> dict:
    with StagedPath(options.bin, folder, f"log://{folder}/log", {"agent": AGENT}, "bench.alone") as path:
        return agent_alone(path, options)[1]


def pass_through(options: argparse.Namespace, scratch: Path) -> dict:
    """The agent with and without a consumer behind it, in turns."""
    made: dict[str, list[dict]] = {"without": [], "with": []}
    for number in range(options.repeat):
        for kind, measure in (("without", agent_without), ("with", agent_with_consumer)):
            folder = scratch / f"{kind}{number}"
            made[kind].append(measure(options, folder))
            subprocess.run(["rm", "-rf", str(folder)], check=False)
    return {kind: as_rates(passes, "agent") for kind, passes in made.items()}


# ---------------------------------------------------------------- peers

def zeromq_loopback(gigabytes: float) -> float:
    """GB/s of RECORD_BYTES messages, PUSH to PULL over loopback TCP."""
    context, count = zmq.Context(io_threads=1), int(gigabytes * 1e9 / RECORD_BYTES)
    pull, push = context.socket(zmq.PULL), context.socket(zmq.PUSH)
    port = pull.bind_to_random_port("tcp://127.0.0.1")
    push.connect(f"tcp://127.0.0.1:{port}")
    record = os.urandom(RECORD_BYTES)

    def send() -> None:
        for _ in range(count):
            push.send(record, copy=False)

    began = time.monotonic()
    sender = threading.Thread(target=send)
    sender.start()
    for _ in range(count):
        pull.recv(copy=False)
    seconds = time.monotonic() - began
    sender.join()
    context.destroy(linger=0)
    return count * RECORD_BYTES / seconds / 1e9


def kafka_producer(address: str, gigabytes: float) -> float:
    """GB/s of librdkafka by itself, as its Python client brings it: same records, acks=all, idempotent, no compression."""
    from confluent_kafka import Producer
    failed: list[str] = []
    producer = Producer({"bootstrap.servers": address, "acks": "all", "enable.idempotence": True, "linger.ms": 5,
                         "queue.buffering.max.kbytes": 262144})
    record, count = os.urandom(RECORD_BYTES), int(gigabytes * 1e9 / RECORD_BYTES)
    report = lambda error, _message: failed.append(str(error)) if error else None  # noqa: E731
    began = time.monotonic()
    for _ in range(count):
        while True:
            try:
                producer.produce("peer.blocks", record, callback=report)
                break
            except BufferError:
                producer.poll(0.01)
        producer.poll(0)
    assert producer.flush(120) == 0 and not failed, failed[:1]
    return count * RECORD_BYTES / (time.monotonic() - began) / 1e9


def make_topic(address: str, name: str) -> None:
    from confluent_kafka.admin import AdminClient, NewTopic
    client = AdminClient({"bootstrap.servers": address})  # has to outlive the answers
    for made in client.create_topics([NewTopic(name, 4, 1)]).values():
        made.result(30)


def hdf5_writing(folder: Path, frames: np.ndarray, compressed: bool) -> float:
    """GB/s of raw pixels that h5py writes, a chunk a frame, synced at the end."""
    options = dict(hdf5plugin.Bitshuffle(cname="lz4")) if compressed else {}
    began = time.monotonic()
    with h5py.File(folder / "peer.h5", "w") as file:
        data = file.create_dataset("data", shape=frames.shape, dtype=frames.dtype, chunks=(1, *frames.shape[1:]), **options)
        for index in range(len(frames)):
            data[index] = frames[index]
        file.flush()
        os.fsync(os.open(folder / "peer.h5", os.O_RDONLY))
    return frames.nbytes / (time.monotonic() - began) / 1e9


def fio_writing(folder: Path, gigabytes: float, writes_per_sync: int) -> float:
    """GB/s of fio: one writer, RECORD_BYTES a write, fdatasync after so many writes, as the spool does."""
    done = subprocess.run(
        ["fio", "--name=peer", f"--filename={folder / 'peer.fio'}", "--rw=write", f"--bs={RECORD_BYTES}", "--ioengine=psync",
         f"--size={int(gigabytes * 1e9 // RECORD_BYTES * RECORD_BYTES)}", f"--fdatasync={writes_per_sync}", "--end_fsync=1",
         "--fallocate=none", "--output-format=json"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"fio: {done.stderr}")
    (folder / "peer.fio").unlink()
    return json.loads(done.stdout)["jobs"][0]["write"]["bw_bytes"] / 1e9


def spool_against_fio(options: argparse.Namespace, folder: Path, gigabytes: float = 1.35) -> dict:
    """The segment log's writing and fio's, in turns on the same disk, with as many writes between two syncs."""
    bench = options.bin.parent / "tests" / "bench" / "transport" / "bench_transport"
    ours, theirs = [], []
    for _ in range(max(options.repeat, 3)):
        done = subprocess.run([bench, "--folder", folder, "--only", "append", "--runs", "1"], capture_output=True, text=True, check=True)
        ours.append(float(done.stdout.split("200 ms", 1)[1].split()[0]))
        theirs.append(fio_writing(folder, gigabytes, max(1, round(0.2 * ours[-1] * 1e9 / RECORD_BYTES))))
    middle = [sorted(values)[len(values) // 2] for values in (ours, theirs)]
    return {"ours": {"best": max(ours), "worst": min(ours)}, "fio": {"best": round(max(theirs), 2), "worst": round(min(theirs), 2)},
            "percent_of_fio": round(100 * middle[0] / middle[1])}


def best(runs: int, measure) -> dict:
    values = sorted(measure() for _ in range(runs))
    return {"best": round(values[-1], 3), "worst": round(values[0], 3)}


# ---------------------------------------------------------------- all of it

def as_rates(passes: list[dict], stage: str) -> dict:
    fastest = min(passes, key=lambda one: one[stage][0])
    slowest = max(passes, key=lambda one: one[stage][0])
    return {"raw_gb_per_s": round(fastest["raw_bytes"] / fastest[stage][0] / 1e9, 3),
            "raw_gb_per_s_worst": round(slowest["raw_bytes"] / slowest[stage][0] / 1e9, 3),
            "coded_gb_per_s": round(fastest["coded_bytes"] / fastest[stage][0] / 1e9, 3),
            "processor_s_per_raw_gb": round(fastest[stage][1] / fastest["raw_bytes"] * 1e9, 3)}


def run(options: argparse.Namespace, scratch: Path) -> dict:
    result = {"source": options.source, "frames": options.frames, "machine": f"{os.cpu_count()} cores, {platform.machine()}",
              "repeat": options.repeat, "log://": {}, "kafka": {}, "peers": {}}
    number = 0

    def passes(log: str, spool_in_memory: bool = False) -> list[dict]:
        nonlocal number
        made = []
        for _ in range(options.repeat):
            number += 1
            folder = scratch / f"pass{number}"
            url = f"kafka://{options.kafka}" if log == "kafka" else f"log://{folder}/log"
            spool = Path(tempfile.mkdtemp(dir="/dev/shm")) if spool_in_memory else None
            made.append(stages(options, folder, url, f"bench.pass{number}x{os.getpid()}", spool))
            subprocess.run(["rm", "-rf", str(folder), *([str(spool)] if spool else [])], check=False)
            print(f"{log} pass {number}: agent {made[-1]['agent'][0]:.2f} s, collector {made[-1]['collector'][0]:.2f} s, "
                  f"sink {made[-1]['sink'][0]:.2f} s", file=sys.stderr, flush=True)
        return made

    local, in_memory = passes("log://"), passes("log://", spool_in_memory=True)
    for stage in ("agent", "collector", "sink"):
        result["log://"][stage] = as_rates(local, stage)
    fast, slow = (min(one["agent"][0] for one in made) for made in (in_memory, local))
    result["spool_costs_percent"] = round(100 * (slow - fast) / slow, 1)
    if options.kafka:
        through_kafka = passes("kafka")
        for stage in ("collector", "sink"):
            result["kafka"][stage] = as_rates(through_kafka, stage)
        make_topic(options.kafka, "peer.blocks")
        result["peers"]["librdkafka alone, acks=all"] = best(options.repeat, lambda: kafka_producer(options.kafka, 1.0))
    result["passthrough"] = pass_through(options, scratch)
    result["spool"] = spool_against_fio(options, scratch)
    frames = recorded_frames(f"{options.source},frames=64", options.bin / "foreframe", scratch)
    frames = np.concatenate([frames] * max(options.frames // 64, 1))
    result["peers"]["ZeroMQ loopback, PUSH to PULL"] = best(options.repeat, lambda: zeromq_loopback(2.0))
    result["peers"]["h5py, no compression"] = best(options.repeat, lambda: hdf5_writing(scratch, frames, False))
    result["peers"]["h5py, bitshuffle + LZ4"] = best(options.repeat, lambda: hdf5_writing(scratch, frames, True))
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, default=ROOT / "build/release/bin")
    parser.add_argument("--kafka")
    parser.add_argument("--source", default="sim:eiger2-16m,rows=1028,cols=1062")
    parser.add_argument("--frames", type=int, default=960)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--scratch", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="path-bench-", dir=options.scratch) as folder:
        result = run(options, Path(folder))
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
