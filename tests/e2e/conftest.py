# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the end-to-end tests: the programs, the recordings, a real Kafka broker."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "python"))
sys.path.insert(0, str(Path(__file__).resolve().parent))


@pytest.fixture(scope="session")
def bin_dir() -> Path:
    folder = Path(os.environ.get("FF_BIN_DIR", ROOT / "build" / "release" / "bin")).resolve()
    for program in ("foreframe", "foreframe-agent", "foreframe-collector", "foreframe-sink"):
        assert (folder / program).exists(), f"{folder / program} is missing: build first, or set FF_BIN_DIR"
    return folder


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory):
    """Address of a real single-node Apache Kafka: the one that FF_KAFKA_BOOTSTRAP names, or one for this session."""
    if address := os.environ.get("FF_KAFKA_BOOTSTRAP"):
        yield address
        return
    folder = tmp_path_factory.mktemp("kafka")
    broker = [sys.executable, str(ROOT / "tools" / "kafka" / "broker")]
    started = subprocess.run([*broker, "start", str(folder)], capture_output=True, text=True, timeout=180, check=False)
    assert started.returncode == 0, f"the Kafka broker did not start: {started.stderr}"
    try:
        yield started.stdout.split()[-1]
    finally:
        subprocess.run([*broker, "stop", str(folder)], timeout=60, check=False)
