# SPDX-License-Identifier: Apache-2.0
"""What must hold after a series has gone down the path. Reads files with h5py alone, as a scientist would."""
from __future__ import annotations

import uuid
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  registers the public bitshuffle filter
import numpy as np

STORED_EXACT, DAMAGED, LOST, NOT_ACQUIRED = 2, 6, 7, 8  # FrameState of common/wire/records.proto


def own_topics() -> str:
    """A topic prefix that no other test has: they share a broker, and run beside each other."""
    return f"test.{uuid.uuid4().hex[:16]}"


def master_of(store: Path, series: dict) -> Path:
    masters = sorted((store / series["series_uid"]).glob("*_master.h5"))
    assert len(masters) == 1, f"one master file expected for {series['series_uid']}, found {masters}"
    return masters[0]


def dataset_name(channel: int) -> str:
    return "data" if channel == 0 else f"data_{channel}"


def expand(ranges: list[list[int]]) -> list[int]:
    return [frame for first, last in ranges for frame in range(first, last + 1)]


def frames_in(stream: dict, state: str, stage: str | None = None) -> list[int]:
    """Frame numbers of a stream in a state ("lost", stage "receive"), from the ledger's JSON."""
    return sorted(frame for entry in stream["frames"].get(state, [])
                  if stage is None or entry.get("stage") == stage for frame in expand(entry["frames"]))


def assert_ledger_closes(series: dict) -> None:
    assert series["closed"] and series["closes"], series
    for stream in series["streams"]:
        assert sum(stream["counts"].values()) == stream["expected"], stream
        listed = [f for entries in stream["frames"].values() for entry in entries for f in expand(entry["frames"])]
        assert sorted(listed) == list(range(stream["expected"])), "every frame number stands in exactly one state"


def assert_pixels_equal(store: Path, series: dict, expected: np.ndarray, missing: set[int] = frozenset(),
                        channel: int = 0) -> None:
    """Every frame but the missing ones equals the input; the missing ones are flagged and filled."""
    with h5py.File(master_of(store, series)) as master:
        data, state = master["entry/data"][dataset_name(channel)], master["entry/data/state"]
        assert data.shape == expected.shape and data.dtype == expected.dtype, (data.shape, data.dtype)
        state = np.asarray(state)[..., channel] if state.ndim == 2 else np.asarray(state)
        for frame in range(len(expected)):
            if frame in missing:
                assert state[frame] != STORED_EXACT, f"frame {frame} was never sent, yet is called stored"
            else:
                assert state[frame] == STORED_EXACT, f"frame {frame} has state {state[frame]}"
                assert np.array_equal(data[frame], expected[frame]), f"frame {frame} differs"
