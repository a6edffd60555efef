# SPDX-License-Identifier: Apache-2.0
"""Seals: what the daemons signed is verified from the store, from a copied folder, from the log, and with hashlib alone."""
from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import pytest
from checks import own_topics
from path_runner import PathRunner
from recordings import simulated_sources

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "sink"))
from merkle_reference import leaf_hash, root  # noqa: E402

PREFIX = "test.path"


def foreframe(bin_dir, *arguments) -> tuple[int, str]:
    done = subprocess.run([str(bin_dir / "foreframe"), *map(str, arguments)], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def sealed(bin_dir, tmp_path_factory):
    """A store with two series, its log, and the frames of each series."""
    folder = tmp_path_factory.mktemp("sealed")
    source = simulated_sources()[4]
    frames = len(source.pixels(bin_dir, folder))
    with PathRunner(bin_dir, folder, f"log://{folder}/log", topic_prefix=PREFIX) as path:
        for series_id in (1, 2):
            path.replay(source.argument, "--rate", "max", "--series-id", str(series_id))
        path.wait_until_closed(series_count=2)
        assert path.stop() == {"agent": 0, "collector": 0, "sink": 0}
    return path.store, f"log://{folder}/log", frames


def masters(store: Path) -> list[Path]:
    return sorted(store.glob("*/*_master.h5"))


def test_store_copied_folder_and_log_hold_what_was_sealed(sealed, bin_dir, tmp_path):
    store, log, frames = sealed
    code, text = foreframe(bin_dir, "ledger", "key", "--store", store)
    key = text.split()[0]
    assert code == 0 and key.startswith("ed25519:")
    code, text = foreframe(bin_dir, "ledger", "verify", "--store", store, "--deep", "--key", key, "--json")
    checks = json.loads(text)
    assert code == 0 and [check["checked"]["frames"] for check in checks] == [frames, frames]
    assert all(check["seal"]["streams"][0]["stored_exact"] == frames for check in checks)
    assert checks[1]["seal"]["detector_seal_sha256"] != ""
    assert [series["seal"] for series in json.loads(foreframe(bin_dir, "ledger", "list", "--store", store, "--json")[1])] == [1, 1]
    shutil.copytree(masters(store)[0].parent, tmp_path / "copy")
    assert foreframe(bin_dir, "ledger", "verify", tmp_path / "copy" / masters(store)[0].name, "--deep", "--key", key)[0] == 0
    code, text = foreframe(bin_dir, "ledger", "verify", "--log", log, "--topic-prefix", PREFIX, "--store", store, "--key", key)
    assert code == 0 and text.count("  holds") == 2


def test_a_changed_store_does_not_hold(sealed, bin_dir, tmp_path):
    store, _, _ = sealed
    shutil.copytree(store, tmp_path / "store")
    victim = next(file for file in sorted((tmp_path / "store").glob("*/*.h5")) if "_master" not in file.name)
    victim.unlink()
    code, text = foreframe(bin_dir, "ledger", "verify", "--store", tmp_path / "store")
    assert code == 1 and f"BROKEN file {victim.name}: it is not there" in text
    foreign = "ed25519:" + "00" * 32
    assert foreframe(bin_dir, "ledger", "verify", masters(store)[0], "--key", foreign)[0] == 1
    assert foreframe(bin_dir, "ledger", "verify", tmp_path / "nothing.h5")[0] == 66


def test_hashlib_alone_finds_the_sealed_root_in_the_master_file(sealed, bin_dir):
    store, _, _ = sealed
    for master in masters(store):
        with h5py.File(master) as file:
            data, ends = file["entry/foreframe/leaves/bytes"][:].tobytes(), file["entry/foreframe/leaves/bytes_end"][:].tolist()
            body = file["entry/foreframe/seals/body"][:].tobytes()
        hashes = [leaf_hash(data[first:end]) for first, end in zip([0, *ends], ends)]
        _, text = foreframe(bin_dir, "ledger", "verify", master, "--json")
        assert json.loads(text)[0]["seal"]["merkle_root"] == root(hashes).hex()
        assert root(hashes) in body  # as the signed bytes say it


def test_why_tells_a_frames_way(sealed, bin_dir):
    store, _, frames = sealed
    uid = masters(store)[0].parent.name
    code, text = foreframe(bin_dir, "why", uid, frames - 1, "--store", store, "--json")
    story = json.loads(text)
    (stream,) = story["streams"]
    assert code == 0 and stream["state"] == "stored_exact" and story["seal"]["number"] == 1
    assert stream["agents"] == ["test-agent"] and stream["groups"][0]["blocks"] == stream["window"]["tiles"]
    assert stream["groups"][0]["device"] in ("cpu", "reference") and stream["groups"][0]["bound"] == "exact"
    assert stream["seen"]["received_utc"].startswith("20") and stream["log"]["last_offset"] >= stream["log"]["first_offset"]
    with h5py.File(store / stream["file"]["name"]) as file:
        assert file["entry/data/frame"][stream["file"]["row"]] == frames - 1
        assert file["entry/data/pixel_crc32c"][stream["file"]["row"]] == stream["file"]["pixel_crc32c"]
    assert foreframe(bin_dir, "why", uid, frames, "--store", store)[0] == 66


def test_seals_stand_in_apache_kafka(bin_dir, tmp_path, kafka):
    prefix = own_topics()
    log = f"kafka://{kafka}"
    with PathRunner(bin_dir, tmp_path, log, topic_prefix=prefix) as path:
        path.replay(simulated_sources()[4].argument, "--rate", "max")
        path.wait_until_closed()
        assert path.stop() == {"agent": 0, "collector": 0, "sink": 0}
    code, text = foreframe(bin_dir, "ledger", "verify", "--log", log, "--topic-prefix", prefix, "--store", path.store)
    assert code == 0 and text.count("  holds") == 1
    code, text = foreframe(bin_dir, "ledger", "list", "--log", log, "--topic-prefix", prefix, "--json")
    assert code == 0 and [seal["number"] for seal in json.loads(text)] == [1]
