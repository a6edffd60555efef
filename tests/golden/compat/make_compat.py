#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the files of this version that later versions must read: run once per release, never over an older one.

    tests/golden/compat/make_compat.py --bin build/release/bin      writes tests/golden/compat/<version>/

  frames.ffs   `foreframe encode` of a simulated series; frames.sha256 is that of its raw pixels
  log/         log:// folder as a collector left it: blocks and series topics, nothing read yet
  store/       a sink's store of the same series: data file, master with seal, catalogue
tests/e2e/test_compat.py reads all versions.
"""
from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[2] / "tools" / "python")]

from path_runner import PathRunner  # noqa: E402
from recorded_frames import recorded_frames  # noqa: E402

SOURCE = "sim:eiger2-16m,rows=48,cols=66,frames=20,seed=5"


def make_log(bin_dir: Path, scratch: Path, target: Path) -> None:
    """The log before any sink has seen it: agent and collector alone."""
    path = PathRunner(bin_dir, scratch, f"log://{scratch}/log", topic_prefix="compat.path")
    try:
        for name in ("collector", "agent"):
            path.start(name)
        path.replay(SOURCE, "--rate", "max")
        agent = path.daemons["agent"]
        while agent.metric("foreframe_agent_series_ended_total") < 1 or agent.metric("foreframe_agent_spool_records") > 0:
            pass
    finally:
        path.stop()
    shutil.copytree(scratch / "log", target, ignore=shutil.ignore_patterns("cursors", "*.lock"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, required=True)
    bin_dir = parser.parse_args().bin.resolve()
    version = subprocess.run([bin_dir / "foreframe", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    folder = HERE / version
    if folder.exists():
        raise SystemExit(f"{folder} is there already: files of a released version never change")
    with tempfile.TemporaryDirectory() as scratch_name:
        scratch = Path(scratch_name)
        folder.mkdir()
        subprocess.run([bin_dir / "foreframe", "encode", SOURCE, "-o", folder / "frames.ffs"], check=True, capture_output=True)
        pixels = recorded_frames(SOURCE, bin_dir / "foreframe", scratch)
        (folder / "frames.sha256").write_text(hashlib.sha256(pixels.tobytes()).hexdigest() + "\n")
        make_log(bin_dir, scratch / "unread", folder / "log")
        with PathRunner(bin_dir, scratch / "whole", f"log://{scratch}/whole/log", topic_prefix="compat.path") as path:
            path.replay(SOURCE, "--rate", "max")
            path.wait_until_closed()
        shutil.copytree(scratch / "whole" / "store", folder / "store", ignore=shutil.ignore_patterns("keys"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
