# SPDX-License-Identifier: Apache-2.0
"""`foreframe drill` beside a running site: it passes where nothing is lost, and says so where something is."""
from __future__ import annotations

import json
import subprocess

import pytest
from checks import assert_ledger_closes
from path_runner import PathRunner

SHORT = ["--before", "1 s", "--lasts", "2 s", "--after", "1 s", "--rate", "60", "--source", "sim:eiger2-16m,rows=128,cols=130"]


def drill(path: PathRunner, bin_dir, *arguments: str) -> tuple[int, dict]:
    done = subprocess.run([bin_dir / "foreframe", "drill", *arguments, "--collector", f"tcp://127.0.0.1:{path.link_port}",
                           "--destination", f"{path.topic_prefix}.sink", "--json"],
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.fixture
def site(bin_dir, tmp_path):
    with PathRunner(bin_dir, tmp_path, f"log://{tmp_path}/log", settings={"sink": {"file.max_time": "500 ms"}}) as path:
        yield path


def test_a_cut_link_costs_the_site_nothing(site, bin_dir):
    code, report = drill(site, bin_dir, "link-cut", *SHORT)
    assert (code, report["passed"], report["failures"]) == (0, True, [])
    assert report["frames_sent"] == report["frames_received"] == 240
    assert report["spool_records_most"] > 0 and [event["what"] for event in report["events"]][1:3] == ["link cut", "link back"]
    (series,) = site.wait_until_closed()
    assert_ledger_closes(series)
    assert series["detector"] == "drill" and series["streams"][0]["counts"]["stored_exact"] == 240


def test_a_full_spool_holds_the_detector_and_loses_nothing(site, bin_dir):
    code, report = drill(site, bin_dir, "disk-full", "--before", "1 s", "--lasts", "30 s", "--after", "1 s", "--rate", "60",
                         "--source", "sim:jungfrau-4m,rows=512,cols=512,frames=32")
    assert (code, report["failures"]) == (0, [])
    assert "spool full" in [event["what"] for event in report["events"]]


def test_a_sink_that_comes_back_is_waited_for(site, bin_dir, tmp_path):
    """The command takes the sink away and brings it back, as systemctl restart does."""
    pid = site.daemons["sink"].process.pid
    (tmp_path / "restart").write_text(f"kill {pid}; sleep 1; touch {tmp_path}/gone\n")
    process = subprocess.Popen([bin_dir / "foreframe", "drill", "sink-restart", *SHORT, "--collector", f"tcp://127.0.0.1:{site.link_port}",
                                "--destination", f"{site.topic_prefix}.sink", "--command", f"sh {tmp_path}/restart", "--json"], stdout=subprocess.PIPE, text=True)
    site.daemons["sink"].process.wait(60)
    site.start("sink").wait_ready()
    report = json.loads(process.communicate(timeout=120)[0])
    assert (process.returncode, report["failures"]) == (0, [])
    (series,) = site.wait_until_closed()
    assert series["streams"][0]["counts"]["stored_exact"] == report["frames_sent"]


def test_a_drill_without_a_collector_says_what_is_missing(bin_dir):
    done = subprocess.run([bin_dir / "foreframe", "drill", "link-cut", "--collector", "tcp://127.0.0.1:1"], capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == 69 and "no collector answers at tcp://127.0.0.1:1" in done.stderr
