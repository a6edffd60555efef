# SPDX-License-Identifier: Apache-2.0
"""A detector's stream becomes an HDF5 file on the other side: three daemons as processes, every pixel compared."""
from __future__ import annotations

import pytest
from checks import assert_ledger_closes, assert_pixels_equal, own_topics
from path_runner import PathRunner
from recordings import all_sources, real_sources, simulated_sources


def stream_and_compare(path: PathRunner, bin_dir, tmp_path, source, *options: str) -> None:
    expected = source.pixels(bin_dir, tmp_path)
    path.replay(source.argument, *options)
    (series,) = path.wait_until_closed()
    assert_ledger_closes(series)
    assert series["streams"][0]["expected"] == len(expected)
    assert_pixels_equal(path.store, series, expected)
    assert path.stop() == {"agent": 0, "collector": 0, "sink": 0}


@pytest.mark.parametrize("source", all_sources(), ids=lambda source: source.name)
def test_every_pixel_arrives_over_the_embedded_log(source, bin_dir, tmp_path):
    with PathRunner(bin_dir, tmp_path, f"log://{tmp_path}/log") as path:
        stream_and_compare(path, bin_dir, tmp_path, source, "--rate", "max")


KAFKA_SOURCES = (real_sources() or simulated_sources())[:5] + simulated_sources()[:1]


@pytest.mark.parametrize("source", KAFKA_SOURCES, ids=lambda source: source.name)
def test_every_pixel_arrives_over_apache_kafka(source, bin_dir, tmp_path, kafka):
    prefix = own_topics()
    with PathRunner(bin_dir, tmp_path, f"kafka://{kafka}", topic_prefix=prefix) as path:
        stream_and_compare(path, bin_dir, tmp_path, source, "--rate", "max")


def test_several_series_one_after_the_other_become_several_files(bin_dir, tmp_path):
    source = simulated_sources()[4]
    expected = source.pixels(bin_dir, tmp_path)
    with PathRunner(bin_dir, tmp_path, f"log://{tmp_path}/log") as path:
        for series_id in (1, 2, 3):
            path.replay(source.argument, "--rate", "max", "--series-id", str(series_id))
        ledger = path.wait_until_closed(series_count=3)
        assert len({series["series_uid"] for series in ledger}) == 3
        for series in ledger:
            assert_ledger_closes(series)
            assert_pixels_equal(path.store, series, expected)


def test_a_detector_with_two_thresholds_gives_two_streams(bin_dir, tmp_path):
    source = simulated_sources()[4]
    expected = source.pixels(bin_dir, tmp_path)
    with PathRunner(bin_dir, tmp_path, f"log://{tmp_path}/log") as path:
        path.replay(source.argument, "--rate", "max", "--channels", "2")
        (series,) = path.wait_until_closed()
        assert_ledger_closes(series)
        assert len(series["streams"]) == 2
        assert_pixels_equal(path.store, series, expected, channel=0)


def test_the_documented_plain_format_arrives_too(bin_dir, tmp_path):
    source = all_sources()[0]
    with PathRunner(bin_dir, tmp_path, f"log://{tmp_path}/log", source="plain") as path:
        stream_and_compare(path, bin_dir, tmp_path, source, "--rate", "max", "--format", "plain")
