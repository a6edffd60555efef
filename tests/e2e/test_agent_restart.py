# SPDX-License-Identifier: Apache-2.0
"""A real agent killed with SIGKILL while its frame pool holds frames: all of them arrive in the file."""
from __future__ import annotations

import json
import time

import numpy as np
import pytest
import zmq
from checks import assert_ledger_closes, assert_pixels_equal
from path_runner import PathRunner, free_port

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
    # Groups of 16: two are coded and in the spool, the third is open; the next run's window record counts them.
    pytest.param({"window.frames": 64, "group.frames": 16}, id="half-coded"),
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


def test_messages_pass_through_byte_for_byte_while_the_agent_observes(bin_dir, tmp_path):
    frames = np.random.default_rng(5).poisson(3, (32, 64, 80)).astype("uint16")
    consumer_port = free_port()
    settings = {"agent.mode": "observe", "source.queue": 40, "source.message_max": "1 MiB", "passthrough.address": f"tcp://127.0.0.1:{consumer_port}",
                "passthrough.on_stall": "wait"}
    context = zmq.Context()
    consumer = context.socket(zmq.PULL)
    consumer.setsockopt(zmq.RCVTIMEO, 20_000)
    consumer.connect(f"tcp://127.0.0.1:{consumer_port}")
    with PathRunner(bin_dir, tmp_path, f"log://{tmp_path}/log", source="plain", settings={"agent": settings}) as path:
        detector = Detector(path.detector_port, frames)
        detector.start()
        detector.send(0, len(frames))
        detector.end()
        assert len(consumer.recv_multipart()) == 1
        for number, frame in enumerate(frames):
            header, pixels = consumer.recv_multipart()
            assert json.loads(header)["frame"] == number
            assert pixels == frame.tobytes()
        assert json.loads(consumer.recv())["type"] == "end"
        (series,) = path.wait_until_closed()
        assert_pixels_equal(path.store, series, frames)
    context.destroy(linger=0)
