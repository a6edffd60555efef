# SPDX-License-Identifier: Apache-2.0
#
# The plug-in as scientists meet it, with h5py's own HDF5 and with Debian's h5repack:
#     filter_with_h5py.py frames|damage|repack|cache SCRATCH DATA      (HDF5_PLUGIN_PATH names the plug-in's folder)
import os
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tools/python"))
from recorded_frames import recorded_frames  # noqa: E402

FILTER = 57687
part, scratch, data = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])


def made_up(dtype, shape=(21, 70, 90)):
    random = np.random.default_rng(7)
    frames = random.poisson(random.gamma(2.0, 2.0, shape[1:]), shape)
    return (frames - 3 if np.dtype(dtype).kind == "i" else frames).astype(dtype)


def recordings():
    """Two or three recordings, where they lie here; their first frames do."""
    found = sorted(data.glob("*/*.json"))
    if not found:
        print("no recordings here: made-up frames alone")
    for name in ("pilatus6m_thau_centre_i32", "jungfrau_mod5_raw", "mcp_neutron_tof_early", "ddm_colloid"):
        for description in found:
            if description.parent.name == name:
                yield name, np.array(recorded_frames(str(description), Path("foreframe"), scratch)[:24])


def write(path, frames, chunks, **more):
    with h5py.File(path, "w") as f:
        made = f.create_dataset("d", data=frames, chunks=chunks, compression=FILTER, **more)
        assert str(FILTER) in made._filters, "the filter was left out"
    with h5py.File(path) as f:
        return f["d"].id.get_storage_size()


def same(path, frames, name="d"):
    with h5py.File(path) as f:
        assert f[name].dtype == frames.dtype
        assert np.array_equal(f[name][...], frames), f"{path}: pixels differ"
        for i in (0, len(frames) // 2, len(frames) - 1):
            assert np.array_equal(f[name][i], frames[i]), f"{path}: frame {i} differs"


def check_frames():
    for dtype in ("u1", "u2", "u4", "i1", "i2", "i4", "f2", "f4"):
        for profile in (0, 1, 2, 3):
            frames = made_up(dtype)
            size = write(scratch / "t.h5", frames, (8, 32, 64), compression_opts=(profile,), fillvalue=5)
            same(scratch / "t.h5", frames)
            assert dtype.startswith("f") or size < frames.nbytes, (dtype, size)
    for name, frames in recordings():
        size = write(scratch / "r.h5", frames, (16, min(512, frames.shape[1]), min(512, frames.shape[2])))
        same(scratch / "r.h5", frames)
        print(f"{name}: {frames.shape} {frames.dtype}: {frames.nbytes / size:.2f} to 1")
    flat = made_up("u2")[0]
    write(scratch / "flat.h5", flat, (32, 64))
    with h5py.File(scratch / "flat.h5") as f:
        assert np.array_equal(f["d"][...], flat)
    with h5py.File(scratch / "hole.h5", "w") as f:  # chunks that nobody wrote, and frames of one that nobody wrote
        made = f.create_dataset("d", (32, 40, 40), "u2", chunks=(16, 40, 40), compression=FILTER, fillvalue=65535)
        made[3] = made_up("u2", (1, 40, 40))[0]
    with h5py.File(scratch / "hole.h5") as f:
        read = f["d"][...]
        assert np.array_equal(read[3], made_up("u2", (1, 40, 40))[0])
        assert (np.delete(read, 3, axis=0) == 65535).all()


def check_damage():
    frames = made_up("u2")
    write(scratch / "t.h5", frames, (8, 70, 90))
    with h5py.File(scratch / "t.h5", "r+") as f:
        _, chunk = f["d"].id.read_direct_chunk((8, 0, 0))
        chunk = bytearray(chunk)
        chunk[300] ^= 4
        f["d"].id.write_direct_chunk((8, 0, 0), bytes(chunk))
    with h5py.File(scratch / "t.h5") as f:
        for _ in range(3):
            try:
                f["d"][9]
            except OSError as error:
                assert "block 0 of tile 0: crc_mismatch" in str(error), error
            else:
                raise AssertionError("a damaged chunk was read")
            assert np.array_equal(f["d"][2], frames[2])  # its neighbour is whole, and HDF5 works on
        try:
            f["nothing"]
        except KeyError as error:
            assert "nothing" in str(error), error


def check_repack():
    frames = made_up("u2", (20, 64, 80))
    with h5py.File(scratch / "plain.h5", "w") as f:
        f.create_dataset("d", data=frames, chunks=(1, 64, 80), compression="gzip")
        f.create_dataset("names", data=np.arange(5.0))
        f["d"].attrs["bound"] = "none"
    environment = {**os.environ, "LC_ALL": "C"}
    steps = [["-f", f"UD={FILTER},0,1,2", "-l", "CHUNK=16x64x80", "plain.h5", "compact.h5"],
             ["-f", "GZIP=4", "-l", "CHUNK=1x64x80", "compact.h5", "back.h5"],
             ["-f", f"d:UD={FILTER},0,1,1", "-l", "d:CHUNK=4x64x80", "compact.h5", "again.h5"],
             ["-f", "NONE", "compact.h5", "raw.h5"]]
    for step in steps:
        if "plain.h5" in step:  # over a whole file, also over a vector of float64
            step[1:2] = [f"d:UD={FILTER},0,1,2"]
            step[3:4] = ["d:CHUNK=16x64x80"]
        subprocess.run(["h5repack", *step], cwd=scratch, env=environment, check=True)
    for name in ("compact.h5", "back.h5", "again.h5", "raw.h5"):
        same(scratch / name, frames)
        with h5py.File(scratch / name) as f:
            assert f["d"].attrs["bound"] == "none" and f["names"][4] == 4.0
    with h5py.File(scratch / "compact.h5") as f:
        assert f["d"]._filters[str(FILTER)][:6] == (2, 1, 2, 16, 64, 80), f["d"]._filters
    with h5py.File(scratch / "back.h5") as f:
        assert "gzip" in f["d"]._filters and str(FILTER) not in f["d"]._filters
    diff = subprocess.run(["h5diff", "plain.h5", "compact.h5", "/d"], cwd=scratch, env=environment)
    assert diff.returncode == 0


def frame_by_frame(path):
    start = time.perf_counter()
    with h5py.File(path) as f:
        total = sum(int(f["d"][i][0, 0]) for i in range(f["d"].shape[0]))
    return time.perf_counter() - start, total


def check_cache():
    frames = made_up("u2", (32, 512, 512))
    write(scratch / "t.h5", frames, (32, 512, 512), compression_opts=(2,))
    if os.environ.get("FOREFRAME_FILTER_CACHE") == "0 B":
        print(*frame_by_frame(scratch / "t.h5"))
        return
    took, total = min(frame_by_frame(scratch / "t.h5") for _ in range(2))
    without = subprocess.run([sys.executable, __file__, "cache", str(scratch), str(data)], check=True, text=True,
                             capture_output=True, env={**os.environ, "FOREFRAME_FILTER_CACHE": "0 B"}).stdout.split()
    print(f"32 frames one by one: {took:.2f} s, without the cache {float(without[0]):.2f} s")
    assert int(without[1]) == total
    assert took < float(without[0]) / 2


{"frames": check_frames, "damage": check_damage, "repack": check_repack, "cache": check_cache}[part]()
