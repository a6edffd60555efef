# SPDX-License-Identifier: Apache-2.0
"""Makes the disk or the clock of one running program fail: the other half of fault_shim.cpp."""
from __future__ import annotations

import mmap
import struct
from pathlib import Path

MAGIC, SIZE = 0x544C4646, 4096
MODE, CLOCK, STRUCK, PREFIX = 4, 16, 24, 32
NONE, FULL, SLOW = 0, 1, 2


class FaultControl:
    """One program's faults. `environment` goes to the program; `disk` is the folder that disk faults strike."""

    def __init__(self, path: Path, shim: Path, disk: Path):
        prefix = str(disk.resolve()).encode()
        assert len(prefix) < 512, prefix
        path.write_bytes(struct.pack("<I28x512s", MAGIC, prefix).ljust(SIZE, b"\0"))
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), SIZE)
        self.environment = {"LD_PRELOAD": str(shim), "FF_FAULT_CONTROL": str(path)}

    def _disk(self, mode: int, delay_us: int = 0) -> None:
        self.memory[MODE:MODE + 8] = struct.pack("<II", mode, delay_us)

    def fill_disk(self) -> None:
        self._disk(FULL)

    def slow_disk(self, delay_ms: int) -> None:
        self._disk(SLOW, delay_ms * 1000)

    def jump_clock(self, seconds: float) -> None:
        self.memory[CLOCK:CLOCK + 8] = struct.pack("<q", int(seconds * 1e9))

    def heal(self) -> None:
        self._disk(NONE)
        self.jump_clock(0)

    def calls_struck(self) -> int:
        """Calls that met the fault: a disk fault that struck nothing has shown nothing."""
        return struct.unpack("<Q", self.memory[STRUCK:STRUCK + 8])[0]
