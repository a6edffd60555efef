# SPDX-License-Identifier: Apache-2.0
"""The reliability page: what failed is seen, what network a cell ran in is told, nothing of the machine's folders is kept."""
import json
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests" / "bench"))
from reliability_page import kept_result, page  # noqa: E402

PASSED = {"cell": "agent × silent link", "passed": True, "log": "kafka", "network": "netns", "fault": "nothing comes through for 30 s",
          "recovery_s": 2.5, "sent": 2400, "stored": 2396, "lost": "4 (receive)"}
FAILED = {"cell": "sink × corrupt bytes", "passed": False, "log": "kafka", "network": "proxy",
          "why": "AssertionError: a | b\n/scratch/x", "trace": "/scratch/x/run.py", "folder": "/scratch/x/fault-1"}
DAEMON = {"processor_s_per_gb": 1.5, "memory_mib": 40, "memory_max_mib": 50, "memory_flat": True, "files_max": 20, "files_flat": True}
SOAK = {"seconds": 60, "rate_hz": 250, "highest_rate_hz": 500, "share": 0.5, "gigabytes_per_second": 0.26, "log": "log://", "frames": 15000,
        "series": 3, "missed": 0, "behind_s": 0.4, "disk_max_mib": 700, "daemons": {"sink": DAEMON}}


def part(name: str, result) -> dict:
    return {name: {"date": "2000-01-02", "command": "run", "result": kept_result(name, result if name == "fuzz" else json.dumps(result))}}


class ReliabilityPage(unittest.TestCase):
    def test_each_cell_says_its_network_and_what_became_of_the_frames(self):
        text = page(part("matrix", {"seed": 3, "lasts_s": 30, "cells": [PASSED, FAILED]}))
        self.assertIn("seed 3, faults of 30 s: **1 of 2 cells passed.**", text)
        self.assertIn("| agent × silent link | kafka | netns | nothing comes through for 30 s | 2400 | 2396 | 4 (receive) | 2.5 s | passed |", text)
        self.assertIn("*netns* (1 cells)", text)
        self.assertIn("*proxy* (1 cells)", text)

    def test_a_failed_cell_is_named_with_its_reason_in_one_line(self):
        text = page(part("matrix", {"seed": 3, "lasts_s": 30, "cells": [FAILED]}))
        self.assertIn("| – | **failed**: AssertionError: a / b |", text)
        self.assertNotIn("/scratch/x", text)
        self.assertNotIn("/scratch/x", kept_result("matrix", json.dumps({"cells": [FAILED]}))["cells"][0].values())

    def test_a_daemon_that_grows_is_set_in_bold(self):
        grown = SOAK | {"daemons": {"sink": DAEMON | {"memory_flat": False}}}
        self.assertIn("| sink | 1.50 | 40 | 50 | yes | 20 | yes |", page(part("soak", SOAK)))
        self.assertIn("| sink | 1.50 | 40 | 50 | **no** | 20 | yes |", page(part("soak", grown)))

    def test_a_run_says_how_its_rate_was_found_where_it_was(self):
        self.assertIn("The rate is 50 % of the 500 Hz that the path held", page(part("soak", SOAK)))
        self.assertNotIn("The rate is", page(part("soak", SOAK | {"share": 1.0, "highest_rate_hz": 250})))

    def test_fuzzers_are_summed_with_those_that_found_something(self):
        text = page(part("fuzz", "block        clean       1000 inputs      60 s\nmask         FAULT         20 inputs       2 s\n"))
        self.assertIn("1,020 inputs", text)
        self.assertIn("| mask | FAULT | 20 | 2 |", text)


if __name__ == "__main__":
    unittest.main()
