# SPDX-License-Identifier: Apache-2.0
"""The thread that takes frames waits for nobody's input or output: not for stderr, not for the frame pool's tmpfs."""
from __future__ import annotations

import fcntl
import os
import sys
import time
from pathlib import Path

import pytest
from path_runner import PathRunner, Place

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fault"))

from fault_control import FaultControl  # noqa: E402

SOURCE = "sim:eiger2-16m,rows=64,cols=96"


def until(condition, limit_s: float = 30) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


@pytest.fixture
def full_pipe(tmp_path):
    """A pipe into which nothing more fits, by its name."""
    name = tmp_path / "nobody-reads"
    os.mkfifo(name)
    ends = os.open(name, os.O_RDWR | os.O_NONBLOCK)
    fcntl.fcntl(ends, fcntl.F_SETPIPE_SZ, 4096)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(ends, b"x")
    yield name
    os.close(ends)


class StderrTo(Place):
    """This host, but what a daemon says goes to a file or pipe of ours."""

    def __init__(self, target: Path):
        self.target = target

    def command(self, arguments: list[str]) -> list[str]:
        return ["sh", "-c", 'exec "$@" 2> "$0"', str(self.target), *arguments]


def test_an_agent_whose_stderr_nobody_reads_takes_every_frame(bin_dir, tmp_path, full_pipe):
    path = PathRunner(bin_dir, tmp_path, f"log://{tmp_path}/log", settings={"agent": {"stop.drain_timeout": "1 s"}})
    path.places["agent"] = StderrTo(full_pipe)
    try:
        agent = path.start("agent")
        until(lambda: agent.get("/healthz")[0] == 200)
        path.replay(SOURCE, "--rate", "200", "--frames", "200")
        until(lambda: agent.metric("foreframe_agent_series_ended_total") == 1)
        assert agent.metric("foreframe_agent_frames_received_total") == 200
        assert agent.metric("foreframe_agent_faults_total") == 0
        agent.process.terminate()
        until(lambda: agent.process.poll() is not None, 60)  # it lets its last words go
    finally:
        agent.process.kill()
        path.__exit__()


def test_a_tmpfs_that_hangs_does_not_stop_ingest(bin_dir, tmp_path):
    shim = bin_dir.parent / "tests" / "fault" / "ff_fault_shim.so"
    if not shim.exists():
        pytest.skip("no fault shim in this build")
    path = PathRunner(bin_dir, tmp_path, f"log://{tmp_path}/log", settings={"agent": {"pool.max_wait": "100 ms"}})
    tmpfs = FaultControl(tmp_path / "agent.fault", shim, path.pool)
    path.environment["agent"] = tmpfs.environment
    try:
        agent = path.start("agent")
        until(lambda: agent.get("/healthz")[0] == 200)
        tmpfs.slow_disk(8000)
        began = time.monotonic()
        path.replay(SOURCE, "--rate", "200", "--frames", "100")
        until(lambda: agent.metric("foreframe_agent_series_ended_total") == 1)
        assert time.monotonic() - began < 6, "ingest waited for the tmpfs"
        assert tmpfs.calls_struck() > 0
        assert agent.metric("foreframe_agent_faults_total", fault="pool_full") == 100  # each frame is accounted for
        tmpfs.heal()
        until(lambda: agent.metric("foreframe_agent_pool_slots") > 0)
        path.replay(SOURCE, "--rate", "200", "--frames", "50")
        until(lambda: agent.metric("foreframe_agent_series_ended_total") == 2)
        assert agent.metric("foreframe_agent_frames_received_total") == 50
    finally:
        agent.process.kill()
        path.__exit__()
