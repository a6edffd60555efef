# SPDX-License-Identifier: Apache-2.0
"""Sums the JUnit files of one tools/test run; its last line is "N passed, N failed, N skipped".

Exit code 1 when a test failed, a part broke before its tests, or no test ran at all.
"""
from __future__ import annotations

import argparse
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def state_of(case: ElementTree.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "skipped" if case.find("skipped") is not None or case.get("status") in ("notrun", "disabled") else "passed"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("--broken", nargs="*", default=[])
    arguments = parser.parse_args()

    total = {"passed": 0, "failed": 0, "skipped": 0}
    failures: list[str] = []
    print(f"\n{'part':<12}{'passed':>8}{'failed':>8}{'skipped':>9}")
    for report in sorted(arguments.results.glob("*.xml")):
        counts = {"passed": 0, "failed": 0, "skipped": 0}
        for case in ElementTree.parse(report).getroot().iter("testcase"):
            state = state_of(case)
            counts[state] += 1
            if state == "failed":
                failures.append(f"{report.stem}: {case.get('name')}")
        print(f"{report.stem:<12}{counts['passed']:>8}{counts['failed']:>8}{counts['skipped']:>9}")
        for state, count in counts.items():
            total[state] += count
    total["failed"] += len(arguments.broken)
    for failure in failures + arguments.broken:
        print(f"FAILED  {failure}")
    if total["passed"] + total["failed"] == 0:
        print("FAILED  no test ran")
        total["failed"] = 1
    print(f"\nlogs: {arguments.results}/    total time: {arguments.seconds // 60} min {arguments.seconds % 60:02d} s")
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return 1 if total["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
