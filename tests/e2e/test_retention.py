# SPDX-License-Identifier: Apache-2.0
"""Retention overtakes a sink that was away: no frame is missing from the account, whoever still has its records."""
from __future__ import annotations

import shutil
import time

from checks import assert_ledger_closes, assert_pixels_equal, frames_in, own_topics
from kafka_records import delete_records
from path_runner import PathRunner
from recordings import simulated_sources

PARTITIONS = 4
QUICK = {"sink": {"store.grace": "1 s", "replay.timeout": "3 s", "replay.pause": "500 ms"}}


def wait_for_records(path: PathRunner, name: str, at_least: float) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and path.daemons["collector"].metric(name) < at_least:
        time.sleep(0.1)
    assert path.daemons["collector"].metric(name) >= at_least


def test_what_nobody_has_any_more_is_lost_to_retention_and_the_next_series_is_stored(bin_dir, tmp_path, kafka):
    source = simulated_sources()[4]
    expected = source.pixels(bin_dir, tmp_path)
    prefix = own_topics()
    with PathRunner(bin_dir, tmp_path, f"kafka://{kafka}", settings=QUICK, topic_prefix=prefix) as path:
        path.replay(source.argument, "--rate", "max", "--series-id", "1")
        path.wait_until_closed()
        delivered = path.daemons["collector"].metric("foreframe_collector_published_records_total")
        assert path.daemons["sink"].stop() == 0
        del path.daemons["sink"]

        path.replay(source.argument, "--rate", "max", "--series-id", "2")
        wait_for_records(path, "foreframe_collector_published_records_total", 2 * delivered)
        assert path.daemons["agent"].stop() == 0  # and its host with it
        del path.daemons["agent"]
        shutil.rmtree(tmp_path / "spool")
        assert all(low > 0 for low in delete_records(kafka, f"{prefix}.blocks", PARTITIONS))

        path.start("sink").wait_ready()
        first, second = path.wait_until_closed(series_count=2)
        for series in (first, second):
            assert_ledger_closes(series)
        assert frames_in(second["streams"][0], "lost", "retention") == list(range(len(expected)))
        assert path.daemons["sink"].metric("foreframe_sink_log_gaps_total") == PARTITIONS
        assert path.daemons["sink"].metric("foreframe_sink_replays_requested_total") >= 1

        path.start("agent").wait_ready()
        path.replay(source.argument, "--rate", "max", "--series-id", "3")
        third = path.wait_until_closed(series_count=3)[-1]
        assert_ledger_closes(third)
        assert_pixels_equal(path.store, third, expected)
