# SPDX-License-Identifier: Apache-2.0
"""The closing line of tools/test: it must count what ran, and never call silence a success."""
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[3] / "tools" / "python" / "count_results.py"

CTEST = """<testsuite name="x" tests="3">
<testcase name="test_base" status="run"/>
<testcase name="test_wire" status="fail"><failure message=""/></testcase>
<testcase name="test_kafka" status="notrun"><skipped message=""/></testcase></testsuite>"""
PYTEST = """<testsuites><testsuite name="pytest"><testcase name="a"/><testcase name="b"/>
<testcase name="c"><error message="fixture"/></testcase></testsuite></testsuites>"""
GREEN = '<testsuite><testcase name="a" status="run"/></testsuite>'


class CountResults(unittest.TestCase):
    def count(self, reports: dict, *broken: str) -> tuple:
        with tempfile.TemporaryDirectory() as folder:
            for name, text in reports.items():
                (Path(folder) / name).write_text(text)
            done = subprocess.run([sys.executable, SCRIPT, folder, "--seconds", "61", "--broken", *broken],
                                  capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.splitlines()

    def test_the_parts_are_summed_and_failures_named(self):
        code, lines = self.count({"release.xml": CTEST, "e2e.xml": PYTEST})
        self.assertEqual(code, 1)
        self.assertEqual(lines[-1], "3 passed, 2 failed, 1 skipped")
        self.assertIn("FAILED  release: test_wire", lines)
        self.assertIn("FAILED  e2e: c", lines)

    def test_all_green_is_success(self):
        self.assertEqual(self.count({"release.xml": GREEN})[0], 0)

    def test_a_part_that_did_not_build_is_a_failure_beside_green_ones(self):
        code, lines = self.count({"release.xml": GREEN}, "asan does not build")
        self.assertEqual((code, lines[-1]), (1, "1 passed, 1 failed, 0 skipped"))

    def test_no_test_at_all_is_a_failure(self):
        code, lines = self.count({})
        self.assertEqual((code, lines[-1]), (1, "0 passed, 1 failed, 0 skipped"))


if __name__ == "__main__":
    unittest.main()
