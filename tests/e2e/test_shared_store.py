# SPDX-License-Identifier: Apache-2.0
"""Two sinks of one group store into one folder over a real Kafka: one master and one seal per series, whichever dies."""
from __future__ import annotations

import json
import signal
import subprocess
import time

import pytest
from checks import assert_ledger_closes, assert_pixels_equal, master_of, own_topics
from path_runner import Daemon, PathRunner
from recordings import simulated_sources

SESSION = '["session.timeout.ms=6000"]'  # the shortest that a broker allows: a killed sink's partitions move after it


def start_sink(path: PathRunner, name: str) -> Daemon:
    settings = {**path.settings_of("sink"), "sink.name": name}
    daemon = Daemon(path.bin_dir / "foreframe-sink", name, path.folder, settings)
    daemon.wait_ready()
    return daemon


class TwoSinks:
    """A path whose second sink runs beside the runner's own."""

    def __init__(self, bin_dir, folder, kafka):
        prefix = own_topics()
        settings = {"sink": {"sink.name": "one", "log.kafka": SESSION, "store.grace": "2 s", "replay.timeout": "20 s"}}
        self.path = PathRunner(bin_dir, folder, f"kafka://{kafka}", settings=settings, topic_prefix=prefix)

    def __enter__(self) -> "TwoSinks":
        self.path.__enter__()
        self.sinks = {"one": self.path.daemons["sink"]}
        try:
            self.sinks["two"] = self.path.daemons["two"] = start_sink(self.path, "two")
            self.wait_until_shared()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for sink in self.sinks.values():
            sink.stop()
        self.path.__exit__()

    def wait_until_shared(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            owned = [[sink.metric(f"foreframe_sink_{what}_owned") for sink in self.sinks.values()]
                     for what in ("partitions", "ledger_partitions")]
            if all(sum(each) == 4 and min(each) > 0 for each in owned):
                return
            assert time.monotonic() < deadline, f"partitions of blocks and of the ledger by sink: {owned}"
            time.sleep(0.1)

    def sealer(self) -> str | None:
        return next((name for name, sink in self.sinks.items() if sink.metric("foreframe_sink_series_sealing") > 0), None)

    def kill(self, name: str) -> None:
        sink = self.sinks.pop(name)
        self.path.daemons.pop("sink" if name == "one" else "two")
        sink.process.send_signal(signal.SIGKILL)
        sink.process.wait(10)
        sink.log.close()

    def restart(self, name: str) -> None:
        self.sinks[name] = self.path.daemons["sink" if name == "one" else "two"] = start_sink(self.path, name)

    def begin_series(self, source, number: int, rate: str):
        return subprocess.Popen([str(self.path.bin_dir / "foreframe"), "replay", source.argument, "--bind",
                                 f"tcp://127.0.0.1:{self.path.detector_port}", "--rate", rate, "--series-id", str(number)],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def check(self, series: dict, expected) -> None:
        """Every frame once, under one master that holds up to its seal, pixels included."""
        assert_ledger_closes(series)
        assert [stream["counts"]["stored_exact"] for stream in series["streams"]] == [len(expected)]
        assert_pixels_equal(self.path.store, series, expected)
        assert master_of(self.path.store, series).exists()
        done = subprocess.run([str(self.path.bin_dir / "foreframe"), "ledger", "verify", series["series_uid"], "--deep",
                               "--store", str(self.path.store)], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        listed = self.path.foreframe_json("ledger", "list", "--store", str(self.path.store))
        assert [s["series_uid"] for s in listed].count(series["series_uid"]) == 1


def test_two_sinks_store_one_series_under_one_master_and_one_seal(bin_dir, tmp_path, kafka):
    source = simulated_sources()[0]
    expected = source.pixels(bin_dir, tmp_path)
    with TwoSinks(bin_dir, tmp_path, kafka) as both:
        with both.begin_series(source, 1, "max") as sender:
            assert sender.wait(60) == 0
        (series,) = both.path.wait_until_closed()
        stored = [sink.metric("foreframe_sink_frames_stored_total") for sink in both.sinks.values()]
        assert min(stored) > 0 and sum(stored) == len(expected), stored
        assert sum(sink.metric("foreframe_sink_seals_made_total") for sink in both.sinks.values()) == 1
        assert sum(sink.metric("foreframe_sink_masters_written_total") for sink in both.sinks.values()) == 1
        assert series["seal"] == 1
        both.check(series, expected)
        deadline = time.monotonic() + 20  # the statements are gone, the seal stays
        while any(sink.metric("foreframe_sink_ledger_records_waiting") for sink in both.sinks.values()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        listed = subprocess.run([str(bin_dir / "foreframe"), "ledger", "verify", "--log", both.path.log_url, "--topic-prefix",
                                 both.path.topic_prefix, "--store", str(both.path.store), "--json"],
                                capture_output=True, text=True, timeout=60, check=False)
        assert listed.returncode == 0 and [check["seal"]["number"] for check in json.loads(listed.stdout)] == [1]


@pytest.mark.parametrize("victim", ["sealer", "other"])
def test_a_sink_killed_in_mid_series_is_replaced_by_the_other(victim, bin_dir, tmp_path, kafka):
    source = simulated_sources()[0]
    expected = source.pixels(bin_dir, tmp_path)
    with TwoSinks(bin_dir, tmp_path, kafka) as both:
        with both.begin_series(source, 1, "8") as sender:
            deadline = time.monotonic() + 30
            while (sealer := both.sealer()) is None or min(
                    sink.metric("foreframe_sink_records_read_total") for sink in both.sinks.values()) == 0:
                assert time.monotonic() < deadline, "no sink seals"
                time.sleep(0.05)
            other = "two" if sealer == "one" else "one"
            killed = sealer if victim == "sealer" else other
            both.kill(killed)
            assert sender.wait(60) == 0
        (series,) = both.path.wait_until_closed()
        both.check(series, expected)
        both.restart(killed)
        both.wait_until_shared()
        with both.begin_series(source, 2, "max") as sender:
            assert sender.wait(60) == 0
        for series in both.path.wait_until_closed(series_count=2):
            both.check(series, expected)
        # Both are started again, and a third series finds them as the others did.
        for name in ("one", "two"):
            both.sinks[name].stop()
            both.restart(name)
        both.wait_until_shared()
        with both.begin_series(source, 3, "max") as sender:
            assert sender.wait(60) == 0
        for series in both.path.wait_until_closed(series_count=3):
            both.check(series, expected)
