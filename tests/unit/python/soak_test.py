# SPDX-License-Identifier: Apache-2.0
"""The run without a miss: it finds the rate, and a leak or a miss fails it."""
import random
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests" / "fault"))
from soak import GROWTH_ALLOWED, faults_of, find_rate, grows  # noqa: E402

MIB = 1 << 20
FLAT = {"memory_flat": True, "files_flat": True}


class Soak(unittest.TestCase):
    def test_the_highest_rate_is_found_from_below_and_from_above(self):
        for limit in (40.0, 149.0, 151.0, 980.0):
            found = find_rate(150.0, lambda rate: rate <= limit)  # noqa: B023
            self.assertLessEqual(found, limit)
            self.assertGreater(found, 0.94 * limit)
        self.assertEqual(find_rate(150.0, lambda _rate: False), 0.0)

    def test_memory_that_breathes_is_flat_and_a_leak_is_not(self):
        chance = random.Random(1)
        breathing = [(60 + chance.randrange(30)) * MIB for _ in range(7200)]  # an hour, twice a second
        leaking = [size + 8000 * second for second, size in enumerate(breathing)]  # 16 kB a second
        self.assertFalse(grows(breathing, GROWTH_ALLOWED["memory"]))
        self.assertTrue(grows(leaking, GROWTH_ALLOWED["memory"]))

    def test_filling_a_pool_at_the_start_is_no_leak(self):
        self.assertFalse(grows([0] * 20 + [500 * MIB] * 100, GROWTH_ALLOWED["memory"]))

    def test_each_fault_is_named(self):
        good = {"missed": 0, "dropped_by_detector": 0, "not_sealed": [], "elsewhere": [], "daemons": {"sink": FLAT}}
        self.assertEqual(faults_of(good), [])
        self.assertEqual(len(faults_of(good | {"missed": 3})), 1)
        self.assertEqual(faults_of(good | {"daemons": {"sink": FLAT | {"files_flat": False}}}), ["the sink's open files grow"])
        self.assertEqual(faults_of(good | {"not_sealed": ["u"]}), ["series u does not hold what was sealed"])


if __name__ == "__main__":
    unittest.main()
