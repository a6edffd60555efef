# SPDX-License-Identifier: Apache-2.0
"""The pixels of a recording as numpy sees them: the outside witness that stored frames are compared with.

Raw recordings are read with numpy and zstandard alone, none of our code takes part. HDF5, TIFF and simulated
ones are first copied into a raw file by `foreframe convert`.
"""
from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy
import zstandard


def recorded_frames(source: str, foreframe: Path, scratch: Path) -> numpy.ndarray:
    """All frames of a recording, [frames, rows, cols], as a read-only map of a file (not in memory)."""
    description = Path(source)
    if description.suffix != ".json":
        description = scratch / "input.json"
        subprocess.run([foreframe, "convert", source, "-o", description, "--force"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    about = json.loads(description.read_text())
    pixels = description.parent / about["file"]
    if pixels.suffix == ".zst":
        unpacked = scratch / "input.raw"
        with open(pixels, "rb") as packed, open(unpacked, "wb") as raw:
            zstandard.ZstdDecompressor().copy_stream(packed, raw)
        pixels = unpacked
    dtype = numpy.dtype(about["dtype"]).newbyteorder("<" if about.get("byteorder", "little") == "little" else ">")
    return numpy.memmap(pixels, dtype=dtype, mode="r", shape=tuple(about["shape"]))
