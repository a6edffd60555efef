#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Decodes every golden block with tools/decode_reference.py, and compares with the JSON twins.

    decode_reference_check.py FOLDER     holds vectors/ and errors/
"""
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
from decode_reference import BlockError, State, crc32c, decode_block  # noqa: E402


def twin_of(path):
    return json.loads(path.with_suffix(".json").read_text())


def check_vector(path):
    """A block and those before it in its window, oldest first."""
    chain, state = [path], State()
    while before := twin_of(chain[0])["after"]:
        chain.insert(0, path.parent / before)
    for member in chain:
        pixels = decode_block(member.read_bytes(), state)
    twin = twin_of(path)
    assert f"{crc32c(pixels.tobytes()):08x}" == twin["pixels_crc32c"], path.name
    assert len(pixels) == twin["frames"], path.name


def check_defect(path):
    word = twin_of(path)["error"]
    try:
        decode_block(path.read_bytes(), State())
    except BlockError as error:
        assert error.args[0] == word, f"{path.name}: {error.args}, block.md promises {word}"
        return
    raise AssertionError(f"{path.name} was decoded; block.md promises {word}")


def main():
    folder = pathlib.Path(sys.argv[1])
    vectors, errors = sorted(folder.glob("vectors/*.bin")), sorted(folder.glob("errors/*.bin"))
    for path in vectors:
        check_vector(path)
    for path in errors:
        check_defect(path)
    print(f"{len(vectors)} golden blocks and {len(errors)} damaged ones are as block.md says")
    return 0 if vectors and errors else 1


if __name__ == "__main__":
    sys.exit(main())
