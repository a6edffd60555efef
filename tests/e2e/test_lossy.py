# SPDX-License-Identifier: Apache-2.0
"""Lossy where the operator declares it: the file says so, and every pixel keeps the bound."""
from __future__ import annotations

import json
import subprocess

import h5py
import hdf5plugin  # noqa: F401  registers the public bitshuffle filter
import numpy as np
import pytest
from checks import assert_ledger_closes, master_of
from path_runner import PathRunner
from recordings import simulated_sources, small_source

STORED_BOUNDED = 3  # FrameState of common/wire/records.proto


def assert_within_root(expected: np.ndarray, stored: np.ndarray, factor: float, sentinel: int) -> None:
    before, after = expected.astype(np.int64), stored.astype(np.int64)
    assert np.all((after - before) ** 2 <= factor ** 2 * np.maximum(before, 0))
    assert np.array_equal(before == sentinel, after == sentinel)


def test_a_declared_bound_reaches_the_file_and_holds_there(bin_dir, tmp_path):
    source = simulated_sources()[0]
    expected = source.pixels(bin_dir, tmp_path)
    with PathRunner(bin_dir, tmp_path, f"log://{tmp_path}/log", {"agent": {"encode.bound": "sqrt:0.5"}}) as path:
        path.replay(source.argument, "--rate", "max")
        (series,) = path.wait_until_closed()
        assert_ledger_closes(series)
        assert series["streams"][0]["counts"]["stored_bounded"] == len(expected)
        with h5py.File(master_of(path.store, series)) as master:
            assert set(np.asarray(master["entry/data/state"]).ravel()) == {STORED_BOUNDED}
            stored = np.asarray(master["entry/data/data"])
        assert not np.array_equal(stored, expected)
        assert_within_root(expected, stored, 0.5, np.iinfo(expected.dtype).max)
        for name in (path.store / series["series_uid"]).rglob("*.h5"):
            with h5py.File(name) as file:
                if "layout" in file["entry/foreframe"].attrs and "bound" in file["entry/foreframe"].attrs:
                    assert file["entry/data/data"].attrs["bound"] in ("sqrt:0.5", b"sqrt:0.5")


def test_the_agent_refuses_a_bound_it_does_not_know(bin_dir):
    answer = subprocess.run([bin_dir / "foreframe-agent", "--no-config", "--set", "encode.bound=sqrt:99", "--check"],
                            capture_output=True, text=True)
    assert answer.returncode == 78
    assert "encode.bound" in answer.stderr and "sqrt:F" in answer.stderr


@pytest.mark.parametrize("bound", ["abs:3", "sqrt:0.5", "sqrt:1", "rel:3%,0,200", "photon:2.5,0"])
def test_verify_measures_what_encode_has_promised(bound, bin_dir, tmp_path):
    source, target = small_source(), tmp_path / "lossy.ffs"
    subprocess.run([bin_dir / "foreframe", "encode", source.argument, "-o", target, "--bound", bound], check=True,
                   capture_output=True)
    inspected = json.loads(subprocess.run([bin_dir / "foreframe", "inspect", target, "--json"], check=True,
                                          capture_output=True).stdout)
    assert inspected["bound"] == bound and inspected["exact"] is False
    command = [bin_dir / "foreframe", "verify", source.argument, target, "--json"]
    measured = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert measured["promise_kept"] and measured["bound"] == bound and measured["pixels_changed"] > 0
    assert measured["pixels_over_bound"] == measured["masked_or_sentinels_changed"] == 0
    stricter = subprocess.run([*command, "--bound", "none"], capture_output=True)
    assert stricter.returncode == 1


def test_verify_finds_every_pixel_of_an_exact_archive_equal(bin_dir, tmp_path):
    source, target = small_source(), tmp_path / "exact.ffs"
    subprocess.run([bin_dir / "foreframe", "encode", source.argument, "-o", target], check=True, capture_output=True)
    answer = subprocess.run([bin_dir / "foreframe", "verify", source.argument, target], capture_output=True, text=True)
    assert answer.returncode == 0 and "every pixel is equal" in answer.stdout
