#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""configs/*.toml and docs/operations/config.md must say what the daemons say.

    tests/tidy/configs_test.py --bin build/release/bin             compares
    tests/tidy/configs_test.py --bin build/release/bin --update    writes the files anew
"""
from __future__ import annotations

import argparse
import difflib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DAEMONS = ("agent", "collector", "sink")
PAGE = "docs/operations/config.md"
PAGE_HEAD = """\
# Configuration

Each daemon reads one TOML file (`--config FILE`, else `/etc/foreframe/<daemon>.toml` when it exists); `--set KEY=VALUE` overrides a
key. `--check` says whether a file can be used and what the daemon will need; `--print-config` prints the configuration in force. A file
with an unknown key, a wrong type or a value out of range is refused as a whole with file, line and column, and the daemon exits with 78.

This page and `configs/*.toml` are written by the daemons themselves: `tests/tidy/configs_test.py --update`.
"""


def said_by(program: Path, option: str) -> str:
    return subprocess.run([program, "--no-config", option], capture_output=True, text=True, check=True).stdout


def wanted_files(programs: Path) -> dict[str, str]:
    wanted = {f"configs/{daemon}.toml": said_by(programs / f"foreframe-{daemon}", "--print-config") for daemon in DAEMONS}
    wanted[PAGE] = PAGE_HEAD + "".join(
        f"\n## foreframe-{daemon}\n\n" + said_by(programs / f"foreframe-{daemon}", "--print-config-docs")
        for daemon in DAEMONS)
    return wanted


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, required=True)
    parser.add_argument("--update", action="store_true")
    arguments = parser.parse_args()
    differ = 0
    for name, wanted in wanted_files(arguments.bin).items():
        path = ROOT / name
        present = path.read_text() if path.exists() else ""
        if arguments.update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted)
        elif present != wanted:
            differ += 1
            print(f"{name} is not what the daemons say; tests/tidy/configs_test.py --bin ... --update writes it anew")
            print("\n".join(difflib.unified_diff(present.splitlines(), wanted.splitlines(), name, "the daemons", "", "", 1)))
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
