# SPDX-License-Identifier: Apache-2.0
"""Files of every released version are read by this one: archive, log, store, seal (tests/golden/compat)."""
from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from checks import assert_ledger_closes, assert_pixels_equal
from path_runner import Daemon, PathRunner

COMPAT = Path(__file__).resolve().parents[1] / "golden" / "compat"
VERSIONS = sorted(path for path in COMPAT.iterdir() if path.is_dir())
SHAPE = (20, 48, 66)


def pixels_of(version: Path, bin_dir: Path, tmp_path: Path) -> np.ndarray:
    done = subprocess.run([bin_dir / "foreframe", "decode", version / "frames.ffs", "-o", tmp_path / "frames.json"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    raw = np.fromfile(tmp_path / json.loads((tmp_path / "frames.json").read_text())["file"], np.uint16)
    return raw.reshape(SHAPE)


@pytest.mark.parametrize("version", VERSIONS, ids=lambda path: path.name)
def test_an_archive_decodes_to_the_same_pixels(version, bin_dir, tmp_path):
    pixels = pixels_of(version, bin_dir, tmp_path)
    assert hashlib.sha256(pixels.tobytes()).hexdigest() == (version / "frames.sha256").read_text().strip()


@pytest.mark.parametrize("version", VERSIONS, ids=lambda path: path.name)
def test_a_log_that_nobody_had_read_is_stored(version, bin_dir, tmp_path):
    shutil.copytree(version / "log", tmp_path / "log")
    path = PathRunner(bin_dir, tmp_path, f"log://{tmp_path}/log", topic_prefix="compat.path")
    sink = Daemon(bin_dir / "foreframe-sink", "sink", tmp_path,
                  {**path.settings_of("sink"), "consume.exit_when_closed": "true", "file.max_time": "500 ms"})
    assert sink.process.wait(60) == 0, sink.log_tail()
    (series,) = path.ledger()
    assert_ledger_closes(series)
    assert_pixels_equal(path.store, series, pixels_of(version, bin_dir, tmp_path))


@pytest.mark.parametrize("version", VERSIONS, ids=lambda path: path.name)
def test_a_store_is_listed_and_its_seal_holds(version, bin_dir, tmp_path):
    shutil.copytree(version / "store", tmp_path / "store")
    (series,) = PathRunner(bin_dir, tmp_path, f"log://{tmp_path}/log").ledger()
    assert_ledger_closes(series)
    assert_pixels_equal(tmp_path / "store", series, pixels_of(version, bin_dir, tmp_path))
    for what in ([series["series_uid"], "--store", tmp_path / "store"], [*tmp_path.glob("store/*/*_master.h5")]):
        done = subprocess.run([bin_dir / "foreframe", "ledger", "verify", *what, "--deep"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
