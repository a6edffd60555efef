# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests stream: real recordings where they are at hand, and the built-in simulator."""
from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from recorded_frames import recorded_frames

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("FF_DATA_DIR", ROOT.parent / "shared" / "data"))

# Different kinds on purpose: counting with module gaps, signed 32-bit sentinels, integrating with gain bits,
# bright counting, camera video, 8-bit microscopy, almost empty frames, small 32-bit frames.
REAL = ["pilatus6m_thau_corner", "pilatus6m_thau_centre_i32", "jungfrau_mod5_raw", "mcp_neutron_tof_bright",
        "coldatom_probe", "trackpy_bulk_water", "dexela_ruby_thresholded", "ptycho_petra_p25"]
SIMULATED = ["sim:eiger2-16m,rows=600,cols=1030,frames=40,seed=1", "sim:jungfrau-4m,rows=512,cols=1024,frames=24,seed=2",
             "sim:citius-module,frames=40,seed=3", "sim:pilatus-6m,rows=619,cols=487,frames=24,seed=4",
             "sim:eiger2-16m,rows=128,cols=130,frames=70,kind=speckle,seed=5"]


@dataclass(frozen=True)
class Source:
    """A recording and what `foreframe replay` and `encode` take for it."""
    name: str
    argument: str

    def pixels(self, bin_dir: Path, scratch: Path) -> np.ndarray:
        """(frames, rows, cols), as an outside witness reads them."""
        return recorded_frames(self.argument, bin_dir / "foreframe", scratch)


def real_sources() -> list[Source]:
    return [Source(name, str(DATA / name / f"{name}.json")) for name in REAL if (DATA / name / f"{name}.json").exists()]


def simulated_sources() -> list[Source]:
    return [Source(argument[4:].split(",")[0] + "-" + argument[-1], argument) for argument in SIMULATED]


def all_sources() -> list[Source]:
    """Every recording at hand and the simulator; without the data folder the simulator alone, in five kinds."""
    real = real_sources()
    return real + (simulated_sources()[:1] if real else simulated_sources())


def small_source() -> Source:
    """A short one for tests of faults."""
    return (real_sources() or simulated_sources())[0]
