# SPDX-License-Identifier: Apache-2.0
"""`foreframe bench codec` as a process: its JSON holds the exact sizes, and says what isn't there."""
from __future__ import annotations

import csv
import json
import os
import subprocess
from pathlib import Path

import pytest
from recordings import DATA, ROOT

SMALL = "savu_tomo_proj"
SIMULATED = "sim:eiger2-16m,rows=96,cols=80,frames=20,rate=1.5"


def bench(bin_dir: Path, *arguments: str, **environment: str) -> dict:
    done = subprocess.run([bin_dir / "foreframe", "bench", "codec", "--quick", "--json", *arguments], capture_output=True,
                          text=True, timeout=120, check=False, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def by_codec(report: dict) -> dict[str, dict]:
    return {result["codec"]: result for result in report["recordings"][0]["results"]}


def test_sizes_are_those_in_git(bin_dir: Path):
    recording = DATA / SMALL / f"{SMALL}.json"
    if not recording.exists():
        pytest.skip(f"{recording} is not here")
    report = bench(bin_dir, str(recording))
    with open(ROOT / "tests" / "bench" / "sizes.csv", newline="", encoding="utf-8") as file:
        row = next(row for row in csv.DictReader(file) if row["recording"] == SMALL)
    assert report["settings"]["window_frames"] == int(row["window_frames"])
    for profile in ("fast", "small"):
        ours, wanted = by_codec(report)[profile], int(row[f"{profile}_bytes"])
        assert (ours["bytes"], ours["raw_bytes"]) == (wanted, int(row["raw_bytes"]))
        assert ours["ratio"] == pytest.approx(int(row["raw_bytes"]) / wanted, rel=1e-4)
        for speed in ("encode_gb_s", "encode_planned_gb_s", "decode_gb_s"):
            assert 0 < ours[speed]["min"] <= ours[speed]["median"] <= ours[speed]["max"]
    for peer in ("bitshuffle-lz4", "bitshuffle-zstd", "zstd-1", "zstd-3", "terse"):
        assert by_codec(report)[peer]["state"] == "measured"


def test_missing_peers_are_named(bin_dir: Path):
    report = bench(bin_dir, SIMULATED, "--peers", "jpeg-ls,x265,tezip-mean", FF_PYTHON="/usr/bin/false")
    results = by_codec(report)
    assert [results[name]["state"] for name in ("jpeg-ls", "x265", "tezip-mean")] == ["not installed"] * 2 + ["measured"]
    assert "tools/setup --bench" in results["jpeg-ls"]["note"]


def test_lossy_codecs_keep_the_bound(bin_dir: Path):
    report = bench(bin_dir, SIMULATED, "--peers", "tezip-previous,tezip-mean", "--bound", "abs:2,sqrt:1")
    bounded, root = report["recordings"][0]["lossy"]
    assert bounded["absolute"] == 2 and "absolute" not in root
    assert [result["codec"] for result in bounded["results"]] == ["fast", "small", "tezip-previous", "tezip-mean"]
    assert [result["codec"] for result in root["results"]] == ["fast", "small"]
    for result in bounded["results"]:
        assert result["max_error"] <= 2
        assert result["bytes"] < by_codec(report)[result["codec"]]["bytes"]


def test_peers_in_python_give_back_their_frames(bin_dir: Path):
    peers = "blosc2-lz4,blosc2-zstd,jpeg-ls,jpeg-xl-3,jpeg-xl-7,ffv1,x265,zfp,sz3"
    report = bench(bin_dir, SIMULATED, "--profile", "fast", "--peers", peers, "--bound", "abs:2", "--max-seconds", "0.02")
    lossless, lossy = by_codec(report), report["recordings"][0]["lossy"][0]["results"]
    results = [lossless[name] for name in peers.split(",") if name in lossless] + lossy[1:]
    if any(result["state"] == "not installed" for result in results):
        pytest.skip("tools/setup --bench has not run here")
    assert lossless["x265"]["state"] == "not possible", "its masked pixels hold 65535"
    for result in results:
        if result["codec"] != "x265":
            assert result["state"] == "measured", result
            assert result["raw_bytes"] == result["frames"] * 96 * 80 * 2
            assert result["max_error"] <= 2 if result["codec"] in ("zfp", "sz3") else "max_error" not in result
    assert lossless["jpeg-xl-7"]["frames"] < 20, "too slow for 0.02 s"


def test_a_recording_that_is_not_there_is_named(bin_dir: Path):
    done = subprocess.run([bin_dir / "foreframe", "bench", "codec", "nowhere.json"], capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 66
    assert "nowhere.json" in done.stderr


def test_a_page_without_its_template_is_refused_before_the_long_run(bin_dir: Path, tmp_path: Path):
    done = subprocess.run([bin_dir / "foreframe", "bench", "codec", SIMULATED, "--write", tmp_path / "page.md"],
                          capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == 66
    assert "page.template.md" in done.stderr


def test_a_page_is_written_from_a_saved_report(bin_dir: Path, tmp_path: Path):
    report, page = tmp_path / "report.json", tmp_path / "page.md"
    bench(bin_dir, SIMULATED, "--peers", "fast", "--bound", "sqrt:1", "--save", str(report))
    (tmp_path / "page.template.md").write_text("# Sizes\n\n{{sizes}}\nand\n\n{{lossy}}\n", encoding="utf-8")
    subprocess.run([bin_dir / "foreframe", "bench", "codec", "--from", report, "--write", page], timeout=60, check=True)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Sizes\n\n| recording | frames | order-0 entropy | Foreframe fast | Foreframe small | bitshuffle+LZ4")
    assert "| sqrt:1 |" in text
