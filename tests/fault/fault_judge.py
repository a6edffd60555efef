# SPDX-License-Identifier: Apache-2.0
"""What must hold after a fault, whatever it was: every frame stored exactly once or accounted for, and all back to normal."""
from __future__ import annotations

import subprocess
import time
from collections import Counter
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  registers the public bitshuffle filter
import numpy as np
from checks import STORED_EXACT, assert_ledger_closes, expand, master_of
from fault_site import Site

CLOSE_LIMIT_S = 90
MEMORY_GROWTH_BYTES = 256 << 20


def judge(cell, site: Site, expected: np.ndarray) -> dict:
    ledger = closed_series(site)
    for series in ledger:
        assert_ledger_closes(series)
        verify(site, series)
    stored = stored_frames(site, ledger, expected)
    lost = lost_frames(ledger, len(expected), stored)
    check_excused(cell, lost)
    check_back_to_normal(site)
    summary = ", ".join(f"{count} ({stage})" for stage, count in sorted(lost.items())) or "0"
    return {"sent": len(expected), "stored": len(stored), "lost": summary,
            "closed": ", ".join(str(series.get("close_reason", "")) for series in ledger)}


def closed_series(site: Site) -> list[dict]:
    """All series, once all are closed and have been so for a moment: what comes late is still to come."""
    deadline = time.monotonic() + CLOSE_LIMIT_S
    while time.monotonic() < deadline:
        ledger = site.ledger()
        if ledger and all(series and series["closed"] for series in ledger) and site.waiting_records() == 0:
            time.sleep(1.0)
            again = site.ledger()
            if [s["streams"] for s in again] == [s["streams"] for s in ledger]:
                return again
        time.sleep(0.2)
    tails = "\n".join(f"--- {name}\n{site.daemons[name].log_tail(12)}" for name in site.names)
    raise AssertionError(f"not closed after {CLOSE_LIMIT_S} s, {site.waiting_records():g} records wait in the spool; "
                         f"ledger {site.ledger()}\n{tails}")


def verify(site: Site, series: dict) -> None:
    """The seal, where this version seals."""
    program = str(site.bin_dir / "foreframe")
    if "verify" not in subprocess.run([program, "ledger", "--help"], capture_output=True, text=True, check=False).stdout:
        return
    done = subprocess.run([program, "ledger", "verify", series["series_uid"], "--store", str(site.store)], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, f"ledger verify: {done.stdout}{done.stderr}"


def stored_frames(site: Site, ledger: list[dict], expected: np.ndarray) -> set[int]:
    """Frames that are stored, every pixel compared, none of them in two rows of the data files."""
    stored: set[int] = set()
    for series in ledger:
        with h5py.File(master_of(site.store, series)) as master:
            data, state = master["entry/data/data"], np.asarray(master["entry/data/state"])
            for frame in np.flatnonzero(state == STORED_EXACT):
                assert np.array_equal(data[frame], expected[frame]), f"frame {frame} differs"
                assert frame not in stored, f"frame {frame} is stored in two series"
                stored.add(int(frame))
        rows = Counter(number for path in data_files(site.store, series) for number in numbers_in(path))
        doubled = sorted(number for number, count in rows.items() if count > 1)
        assert not doubled, f"stored in more than one row: frames {doubled[:20]}"
    return stored


def data_files(store: Path, series: dict) -> list[Path]:
    return [path for path in (store / series["series_uid"]).glob("*.h5") if not path.name.endswith("_master.h5")]


def numbers_in(path: Path) -> list[int]:
    with h5py.File(path) as file:
        return [int(number) for number in file["entry/data/frame"]]


def lost_frames(ledger: list[dict], frames: int, stored: set[int]) -> Counter:
    """Frames that are stored nowhere, by the stage that the ledger names for them."""
    lost: Counter = Counter()
    for frame in sorted(set(range(frames)) - stored):
        lost[stage_of(ledger, frame)] += 1
    return lost


def stage_of(ledger: list[dict], frame: int) -> str:
    for series in reversed(ledger):
        for stream in series["streams"]:
            for state, entries in stream["frames"].items():
                for entry in entries:
                    if frame in expand(entry["frames"]):
                        return entry.get("stage", state)
    raise AssertionError(f"frame {frame} is in no series' ledger: lost in silence")


def check_excused(cell, lost: Counter) -> None:
    for stage, count in lost.items():
        assert count <= cell.may_lose.get(stage, 0), f"{count} frames lost ({stage}); excused are {cell.may_lose or 'none'}"


def check_back_to_normal(site: Site) -> None:
    for name in site.names:
        before, now = site.memory_before[name], site.daemons[name].memory_bytes()
        assert now <= before + MEMORY_GROWTH_BYTES, f"{name} holds {now >> 20} MiB, {before >> 20} MiB before the fault"
    segments = len(list((site.folder / "spool").glob("segment-*.ffs")))
    assert segments <= 2, f"{segments} segments are left in the spool"
    parts = [path.name for path in site.store.rglob("*.part")]
    assert not parts, f"unfinished files are left in the store: {parts}"
