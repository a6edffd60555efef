# SPDX-License-Identifier: Apache-2.0
"""The benchmark page: goals judged from a report, limits computed, nothing silently left out."""
import json
import math
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[3] / "tools" / "python"
sys.path.insert(0, str(SCRIPTS))
import codec_document  # noqa: E402
import codec_goals  # noqa: E402
from codec_results import Recording, geometric_mean, number  # noqa: E402


def result(codec, bits, raw=1_000_000, **more):
    spread = {"median": 1.0, "min": 0.8, "max": 1.25, "repeats": 3}
    return {"codec": codec, "label": codec.upper(), "state": "measured", "frames": 10, "raw_bytes": raw, "bytes": int(bits * raw / 16),
            "bits_per_pixel": bits, "ratio": 16 / bits, "encode_gb_s": spread, "decode_gb_s": spread} | more


def recording(name, kind, results, **more):
    return {"name": name, "kind": kind, "dtype": "uint16", "frames": 10, "rows": 500, "cols": 600, "raw_bytes": 1_000_000, "mean": 1,
            "zeros": 0.1, "order0_bits_per_pixel": 3.5, "results": results} | more


def report(**more):
    lost = {"codec": "ffv1", "label": "FFV1", "state": "not installed", "note": "av"}
    counted = recording("corner", "photon-counting", [result("fast", 2.0), result("bitshuffle-lz4", 2.5), lost],
                        lossy=[{"bound": "abs:1", "absolute": 1, "results": [result("sz3", 0.5, max_error=1)]}])
    swept = recording("sim:x", "photon-counting, simulated", [result("fast", 1.1), result("bitshuffle-lz4", 2.0)],
                      photons_per_pixel=0.5, entropy_bits_per_pixel=1.0)
    core = recording("sim:citius-module,frames=64", "integrating, gain switching, simulated", [result("fast", 8.0)],
                     detector_bytes_per_s=5e9)
    return {"format": "foreframe-bench-codec", "version": 1, "foreframe": "0.1.0", "date": "2000-01-02", "command": "foreframe bench codec",
            "machine": {"processor": "P", "vector_instructions": "V", "cores": 2, "memory_gib": 3, "compiler": "C", "build": "release"},
            "settings": {"device": "cpu", "window_frames": 16, "group_frames": 0, "repeat": 3, "max_seconds": 4, "frames_max": 0},
            "recordings": [counted], "sweep": [swept], "cores": [core]} | more


class Document(unittest.TestCase):
    def test_every_table_is_made_from_a_report(self):
        text = codec_document.fill("\n".join("{{" + name + "}}" for name in codec_document.TABLES), report())
        self.assertNotIn("{{", text)
        self.assertIn("| corner | 10 of 500 × 600, 16 bits | 3.500 | **2.000** | 2.500 | – |", text)
        self.assertIn("- FFV1: not installed (av): all recordings", text)
        self.assertIn("| citius-module | 5.00 | FAST | 2.00 |", text)
        self.assertIn("5.0 (4.0 … 6.2)", text)

    def test_text_around_the_tables_stays(self):
        self.assertEqual(codec_document.fill("a {{members}} b", report())[:3], "a -")
        with self.assertRaises(ValueError):
            codec_document.fill("{{no such table}}", report())

    def test_goals_are_judged(self):
        lines = codec_goals.goal_table(report()).splitlines()
        counting = next(line for line in lines if "`fast` ≥ 1.18 × smaller than bitshuffle+LZ4" in line)
        self.assertTrue(counting.endswith("| 1.250 × | yes |"), counting)
        static = next(line for line in lines if "`fast` ≤ +2.5 %" in line)
        self.assertTrue(static.endswith("| +10.00 % | **no** |"), static)
        missing = next(line for line in lines if "`small` ≥ 1.38" in line)
        self.assertTrue(missing.endswith("| – | not measured |"), missing)

    def test_a_slow_codec_says_on_how_many_frames(self):
        some = report()
        some["recordings"][0]["results"].append(result("jpeg-xl-7", 1.9, frames=3))
        self.assertIn("**1.900** (on 3)", codec_document.sizes(some))

    def test_classes_follow_from_what_a_recording_says(self):
        def kind(mode, **more):
            return codec_goals.class_of(Recording(recording("x", mode, [], **more)))
        self.assertEqual(kind("photon-counting"), "counting")
        self.assertEqual(kind("integrating, gain switching, uncorrected"), "raw")
        self.assertEqual(kind("integrating (scintillator + camera)"), "camera")
        self.assertEqual(kind("integrating (8-bit)", dtype="uint8"), "8bit")
        self.assertEqual(kind("photon-counting", zeros=0.995), "sparse")

    def test_entropy_forbids(self):
        self.assertEqual(codec_goals.lossy_limit(1.0, 1, 16), math.inf)  # 3 values a bin: log2(3) bits are saved
        self.assertAlmostEqual(codec_goals.lossy_limit(5.0, 1, 16), 16 / (5 - math.log2(3)))
        claims = codec_document.claims(report(sweep=[recording(
            "s", "", [result("fast", 4.0)], photons_per_pixel=10, entropy_bits_per_pixel=3.8)]))
        self.assertIn("forbidden to anyone", claims)

    def test_the_script_writes_the_document_or_says_why_not(self):
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            (place / "r.json").write_text(json.dumps(report()))
            command = [sys.executable, SCRIPTS / "codec_document.py", place / "r.json", place / "page.md"]
            self.assertEqual(subprocess.run(command, capture_output=True, check=False).returncode, 65)
            (place / "page.template.md").write_text("# Page\n\n{{machine}}\n")
            self.assertEqual(subprocess.run(command, capture_output=True, check=False).returncode, 0)
            self.assertIn("Command: `foreframe bench codec`", (place / "page.md").read_text())

    def test_numbers(self):
        self.assertAlmostEqual(geometric_mean([1, 4]), 2)
        self.assertEqual([number(value) for value in (0, 0.0123, 1.234, 56.78, 1234.5)], ["–", "0.012", "1.23", "56.8", "1234"])


if __name__ == "__main__":
    unittest.main()
