# SPDX-License-Identifier: Apache-2.0
"""A detector misbehaves; the gaps show up exactly where they were made, and nowhere else."""
from __future__ import annotations

import json

import pytest
from checks import assert_ledger_closes, assert_pixels_equal, frames_in
from path_runner import PathRunner
from recordings import small_source

SETTINGS = {"agent": {"series.idle_timeout": "2 s"}}


def run(bin_dir, tmp_path, *faults: str):
    """Streams the small recording with faults: (path, series, pixels, the sender's own report of what it did)."""
    source, report = small_source(), tmp_path / "report.json"
    expected = source.pixels(bin_dir, tmp_path)
    options = [option for fault in faults for option in ("--fault", fault)]
    with PathRunner(bin_dir, tmp_path, f"log://{tmp_path}/log", settings=SETTINGS) as path:
        path.replay(source.argument, "--rate", "200", "--report", str(report), "--fault-seed", "7", *options)
        (series,) = path.wait_until_closed()
        assert_ledger_closes(series)
    return path, series, expected, json.loads(report.read_text())


def affected(report: dict, kind: str) -> list[int]:
    """Frames that the sender dropped, truncated, corrupted ..., by its own report."""
    frames = sorted(report["series"][0][kind])
    assert frames, f"the sender has no {kind} frame: the test would show nothing"
    return frames


def test_dropped_images_are_lost_between_detector_and_agent(bin_dir, tmp_path):
    path, series, expected, report = run(bin_dir, tmp_path, "drop=0.2")
    dropped = affected(report, "dropped")
    last_sent = max(set(range(len(expected))) - set(dropped))
    (stream,) = series["streams"]
    assert frames_in(stream, "lost", "receive") == [f for f in dropped if f < last_sent]
    assert frames_in(stream, "not_acquired") == [f for f in dropped if f > last_sent]
    assert_pixels_equal(path.store, series, expected, set(dropped))


@pytest.mark.parametrize("fault, kind", [("truncate", "truncated"), ("corrupt", "corrupted")])
def test_unreadable_images_are_damaged_or_lost_never_stored(fault, kind, bin_dir, tmp_path):
    path, series, expected, report = run(bin_dir, tmp_path, f"{fault}=3,8,9")
    broken = affected(report, kind)
    (stream,) = series["streams"]
    gone = frames_in(stream, "damaged") + frames_in(stream, "lost")
    assert sorted(gone) == broken
    assert_pixels_equal(path.store, series, expected, set(broken))


@pytest.mark.parametrize("fault", ["double=0.3", "reorder=0.3", "stray-images", "unknown-keys", "missing-start"])
def test_harmless_faults_lose_nothing(fault, bin_dir, tmp_path):
    path, series, expected, _ = run(bin_dir, tmp_path, fault)
    (stream,) = series["streams"]
    assert stream["counts"]["stored_exact"] == len(expected)
    assert_pixels_equal(path.store, series, expected)


def test_after_an_abort_the_rest_is_not_acquired(bin_dir, tmp_path):
    path, series, expected, _ = run(bin_dir, tmp_path, "abort=10")
    (stream,) = series["streams"]
    assert stream["counts"]["stored_exact"] == 10
    assert frames_in(stream, "not_acquired") == list(range(10, len(expected)))
    assert_pixels_equal(path.store, series, expected, set(range(10, len(expected))))


def test_all_faults_at_once_still_close_the_ledger(bin_dir, tmp_path):
    path, series, expected, report = run(bin_dir, tmp_path, "drop=4,5", "double=0.2", "reorder=0.2", "truncate=11",
                                         "corrupt=14", "stray-images")
    (stream,) = series["streams"]
    gone = set(frames_in(stream, "damaged") + frames_in(stream, "lost"))
    assert gone == {4, 5, 11, 14}
    assert_pixels_equal(path.store, series, expected, gone)
