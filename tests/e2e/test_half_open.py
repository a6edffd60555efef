# SPDX-License-Identifier: Apache-2.0
"""A detector's host that is switched off says no goodbye: its agent must find out by itself."""
from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "fault")]
from net_namespace import Namespace, VethWire, allowed  # noqa: E402
from path_runner import Daemon, PathRunner  # noqa: E402

PORT = 7000


def wired(agent_host: Namespace) -> tuple[Namespace, VethWire]:
    """A host for a detector, always with the same address."""
    detector_host = Namespace()
    return detector_host, VethWire(agent_host, detector_host, "detector", 0)


def send(bin_dir: Path, host: Namespace, wire: VethWire, series: int) -> subprocess.Popen:
    return subprocess.Popen(host.command([
        str(bin_dir / "foreframe"), "replay", "sim:eiger2-16m,rows=64,cols=64,frames=1000", "--rate", "20", "--series-id", str(series),
        "--bind", f"tcp://{wire.server_address}:{PORT}", "--quiet"]), stdout=subprocess.DEVNULL)


def wait_for_frames(agent: Daemon, more_than: float, limit_s: float) -> float:
    deadline = time.monotonic() + limit_s
    while (frames := agent.metric("foreframe_agent_frames_received_total")) <= more_than:
        assert time.monotonic() < deadline, f"no image in {limit_s} s\n{agent.log_tail()}"
        time.sleep(0.1)
    return frames


@pytest.mark.skipif(not allowed(), reason="network namespaces with tc need root, iproute2, veth, cls_bpf and sch_tbf")
def test_a_detector_whose_host_was_switched_off_is_heard_again(bin_dir: Path, tmp_path: Path) -> None:
    agent_host = Namespace()
    detector_host, wire = wired(agent_host)
    path = PathRunner(bin_dir, tmp_path, f"log://{tmp_path}/log")
    path.places["agent"] = agent_host
    path.extra["agent"] = {"source.address": f"tcp://{wire.server_address}:{PORT}"}
    detector = send(bin_dir, detector_host, wire, 1)
    agent = path.start("agent")
    try:
        wait_for_frames(agent, 0, 30)
        wire.close()  # the last words are not heard
        detector.kill()
        detector.wait()
        detector_host.close()
        detector_host, wire = wired(agent_host)
        heard = agent.metric("foreframe_agent_frames_received_total")
        detector = send(bin_dir, detector_host, wire, 2)
        wait_for_frames(agent, heard, 30)
    finally:
        detector.kill()
        detector.wait()
        agent.stop(sign=signal.SIGKILL)  # nobody collects: there is nothing to drain into
        path.__exit__()
        detector_host.close()
        agent_host.close()
