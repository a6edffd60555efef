# SPDX-License-Identifier: Apache-2.0
"""What the runners write, read back as tools/test reads it."""
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tools" / "python"))
from count_results import state_of  # noqa: E402
from junit_report import Case, write  # noqa: E402


def written(*cases: Case) -> ElementTree.Element:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "faults.xml"
        write(path, "faults", list(cases))
        return ElementTree.parse(path).getroot()


class JunitReport(unittest.TestCase):
    def test_failed_and_passed_cases_are_counted_as_such(self):
        suite = written(Case("sink × kill", 41.25), Case("agent × kill", 63, "not closed", "line 1\nline 2"))
        self.assertEqual([state_of(case) for case in suite.iter("testcase")], ["passed", "failed"])
        self.assertEqual((suite.get("tests"), suite.get("failures")), ("2", "1"))
        self.assertEqual(suite[0].get("name"), "sink × kill")
        self.assertEqual(suite[1].find("failure").text, "line 1\nline 2")

    def test_a_log_with_control_bytes_and_markup_stays_readable(self):
        failure = written(Case("fuzz", 1, "died: <a href=\"x\">", "\x1b[31mred\x00 & \ud800")).find("testcase/failure")
        self.assertEqual(failure.get("message"), "died: <a href=\"x\">")
        self.assertEqual(failure.text, "?[31mred? & ?")


if __name__ == "__main__":
    unittest.main()
