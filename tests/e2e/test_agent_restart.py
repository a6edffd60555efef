# SPDX-License-Identifier: Apache-2.0
"""A real agent killed with SIGKILL while its frame pool holds frames: all of them arrive in the file."""
from __future__ import annotations

import time

import numpy as np
import pytest
import zmq
from checks import assert_ledger_closes, assert_pixels_equal
from path_runner import PathRunner

FRAMES, KILLED_AFTER = 64, 40


class Detector:
    """Sends frames one by one, in the plain format."""

    def __init__(self, port: int, frames: np.ndarray):
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.PUSH)
        self.socket.bind(f"tcp://127.0.0.1:{port}")
        self.frames, self.shape = frames, {"dtype": str(frames.dtype), "shape": frames.shape[1:]}

    def start(self) -> None:
        self.socket.send_json({"type": "start", "series": 1, "frames": len(self.frames), **self.shape})

    def send(self, first: int, end: int) -> None:
        for number in range(first, end):
            self.socket.send_json({"type": "image", "series": 1, "frame": number, **self.shape}, zmq.SNDMORE)
            self.socket.send(self.frames[number])

    def end(self) -> None:
        self.socket.send_json({"type": "end", "series": 1})
        self.socket.close(linger=10_000)
        self.context.term()


def wait_for(agent, metric: str, at_least: float) -> None:
    deadline = time.monotonic() + 30
    while agent.metric(metric) < at_least:
        assert time.monotonic() < deadline, f"{metric} stays at {agent.metric(metric)}\n{agent.log_tail()}"
        time.sleep(0.05)


@pytest.mark.parametrize("settings", [
    # Groups as long as the window and never closed by time: at the kill every frame is in the pool alone.
    pytest.param({"window.frames": 64}, id="uncoded"),
])
def test_frames_in_the_pool_of_a_killed_agent_arrive_in_the_file(settings, bin_dir, tmp_path):
    frames = np.random.default_rng(4).poisson(3, (FRAMES, 96, 130)).astype("uint16")
    agent_settings = {"group.max_latency": "1 h", "series.idle_timeout": "1 min", **settings}
    with PathRunner(bin_dir, tmp_path, f"log://{tmp_path}/log", source="plain", settings={"agent": agent_settings}) as path:
        detector = Detector(path.detector_port, frames)
        detector.start()
        detector.send(0, KILLED_AFTER)
        wait_for(path.daemons["agent"], "foreframe_agent_frames_received_total", KILLED_AFTER)
        path.daemons["agent"].process.kill()
        path.daemons["agent"].process.wait()
        again = path.start("agent")
        again.wait_ready()
        wait_for(again, "foreframe_agent_frames_recovered_total", 1)
        detector.send(KILLED_AFTER, FRAMES)
        detector.end()
        (series,) = path.wait_until_closed()
        assert_ledger_closes(series)
        assert series["streams"][0]["counts"]["stored_exact"] == FRAMES
        assert_pixels_equal(path.store, series, frames)
