# SPDX-License-Identifier: Apache-2.0
#
# Reads a master file as a scientist would and compares it with the raw frames: read_with_h5py.py MASTER RAW
import sys

import h5py
import hdf5plugin  # noqa: F401  registers the bitshuffle filter
import numpy as np

master, raw = sys.argv[1:]
with h5py.File(master) as f:
    data = f["/entry/data/data"]
    expected = np.fromfile(raw, data.dtype).reshape(data.shape)
    assert data.is_virtual
    assert np.array_equal(data[...], expected), "pixels differ"
    states = f["/entry/data/state"][...]
    assert states.tolist() == [7 if i == 7 else 2 for i in range(21)], states

    text = lambda path: f[path][()].decode()
    assert text("/entry/definition") == "NXmx"
    assert f["/entry"].attrs["NX_class"] in (b"NXentry", "NXentry")
    detector = f["/entry/instrument/detector"]
    assert detector["pixel_mask"][0, 0] == 1 and detector["pixel_mask"][...].sum() == 1
    assert abs(detector["distance"][()] - 0.25) < 1e-12 and detector["distance"].attrs["units"] in (b"m", "m")
    assert abs(f["/entry/instrument/beam/incident_wavelength"][()] - 1.0) < 1e-12
    omega = f["/entry/sample/transformations/omega"]
    assert omega.shape == (21,) and abs(omega[20] - 12.0) < 1e-9
    assert omega.attrs["vector"].tolist() == [-1, 0, 0]
    assert detector["data"].shape == data.shape
    assert f["/entry/foreframe"].attrs["ledger_closes"] == 1
    assert '"lost": 1' in text("/entry/foreframe/ledger")
print("all pixels and metadata as they should be")
