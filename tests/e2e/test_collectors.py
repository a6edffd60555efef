# SPDX-License-Identifier: Apache-2.0
"""Two collectors in front of one real Kafka: one dies or hangs in mid-series, its agents move on."""
from __future__ import annotations

import signal
import subprocess
import time

import pytest
from checks import assert_ledger_closes, assert_pixels_equal, own_topics
from path_runner import Daemon, PathRunner, free_port
from recordings import simulated_sources

CREDIT = "1 MiB"  # so that most of the series is still at the agent when its collector goes


def start_second_collector(path: PathRunner, port: int) -> Daemon:
    settings = {**path.settings_of("collector"), "collector.name": "collector-2", "link.listen": f"tcp://127.0.0.1:{port}"}
    daemon = Daemon(path.bin_dir / "foreframe-collector", "collector-2", path.folder, settings)
    daemon.wait_ready()
    return daemon


def strike(collector: Daemon, fault: str) -> None:
    collector.process.send_signal(signal.SIGKILL if fault == "killed" else signal.SIGSTOP)


@pytest.mark.parametrize("fault", ["killed", "hung"])
def test_agents_move_on_and_nothing_is_lost_or_doubled(fault, bin_dir, tmp_path, kafka):
    source = simulated_sources()[0]
    expected = source.pixels(bin_dir, tmp_path)
    ports = [free_port(), free_port()]
    collectors = ", ".join(f'"tcp://127.0.0.1:{port}"' for port in ports)
    prefix = own_topics()
    settings = {"agent": {"link.collectors": f"[{collectors}]", "link.collector_timeout": "1 s", "link.heartbeat": "200 ms"},
                "collector": {"link.listen": f"tcp://127.0.0.1:{ports[0]}", "link.credit": CREDIT,
                              "link.heartbeat": "200 ms"}}
    with PathRunner(bin_dir, tmp_path, f"kafka://{kafka}", settings=settings, topic_prefix=prefix) as path:
        second = start_second_collector(path, ports[1])
        first = path.daemons["collector"]
        try:
            command = [str(bin_dir / "foreframe"), "replay", source.argument, "--bind",
                       f"tcp://127.0.0.1:{path.detector_port}", "--rate", "15"]
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as sender:
                deadline = time.monotonic() + 30
                while first.metric("foreframe_collector_received_records_total") < 10:
                    assert time.monotonic() < deadline, first.log_tail()
                    time.sleep(0.02)
                taken = first.metric("foreframe_collector_received_records_total")
                strike(first, fault)
                if fault == "killed":
                    del path.daemons["collector"]  # not to be waited for
                assert sender.wait(60) == 0
            if fault == "hung":  # it comes back with records that went by the other one meanwhile
                time.sleep(2)
                first.process.send_signal(signal.SIGCONT)
            (series,) = path.wait_until_closed()
            assert_ledger_closes(series)
            (stream,) = series["streams"]
            assert stream["counts"]["stored_exact"] == len(expected), stream["counts"]
            assert_pixels_equal(path.store, series, expected)
            assert taken > 0 and second.metric("foreframe_collector_published_records_total") > 0
        finally:
            second.stop()
            if fault == "killed":
                first.stop()
