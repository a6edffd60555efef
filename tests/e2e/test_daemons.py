# SPDX-License-Identifier: Apache-2.0
"""Each daemon as its operator meets it: configuration, bad input, restart, full disk, stop."""
from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import zmq
from checks import assert_ledger_closes, assert_pixels_equal, frames_in
from path_runner import Daemon, PathRunner
from recordings import simulated_sources

ROOT = Path(__file__).resolve().parents[2]
DAEMONS = ["agent", "collector", "sink"]


def ask(bin_dir, name, *arguments) -> subprocess.CompletedProcess:
    return subprocess.run([bin_dir / f"foreframe-{name}", *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("name", DAEMONS)
def test_the_shipped_configuration_is_complete_and_equal_to_the_defaults(name, bin_dir):
    assert ask(bin_dir, name, "--print-config").stdout == (ROOT / "configs" / f"{name}.toml").read_text()


@pytest.mark.parametrize("name", DAEMONS)
def test_an_unknown_key_is_refused_with_place_and_nearest_name(name, bin_dir, tmp_path):
    config = tmp_path / "wrong.toml"
    config.write_text("[status]\nlisten = \"127.0.0.1:0\"\nlisen = \"127.0.0.1:0\"\n")
    done = ask(bin_dir, name, "--config", str(config), "--check")
    assert done.returncode == 78
    assert f"{config}:3:1" in done.stderr and "status.listen" in done.stderr


@pytest.mark.parametrize("name", DAEMONS)
def test_help_shows_examples(name, bin_dir):
    done = ask(bin_dir, name, "--help")
    assert done.returncode == 0 and f"foreframe-{name} --config" in done.stdout


def test_the_agent_prints_its_memory_bound_and_refuses_to_pass_its_limit(bin_dir):
    assert "memory" in ask(bin_dir, "agent", "--check").stdout
    done = ask(bin_dir, "agent", "--check", "--set", "memory.max=1 MiB")
    assert done.returncode == 78 and "memory.max" in done.stderr


def test_every_listener_is_on_loopback_unless_told_otherwise(bin_dir):
    for name in DAEMONS:
        for line in ask(bin_dir, name, "--print-config").stdout.splitlines():
            if line.split("=")[0].strip() == "listen":
                assert "127.0.0.1" in line, f"{name}: {line}"


def test_garbage_on_every_socket_is_counted_and_stops_nothing(bin_dir, tmp_path):
    source = simulated_sources()[4]
    expected = source.pixels(bin_dir, tmp_path)
    garbage = [b"", b"\x00", os.urandom(1000), b"\xa1" * 100_000, b"\x9f" * 1_000_000, b'{"type": "image"}',
               b"\xbf\x64type\x65image\xff", b"\xa1\x64type" + b"\x81" * 5000]
    with PathRunner(bin_dir, tmp_path, f"log://{tmp_path}/log") as path:
        context = zmq.Context()
        detector, link = context.socket(zmq.PUSH), context.socket(zmq.DEALER)
        detector.bind(f"tcp://127.0.0.1:{path.detector_port}")
        link.connect(f"tcp://127.0.0.1:{path.link_port}")
        for message in garbage:
            detector.send(message)
            link.send_multipart([message, message])
        deadline = time.monotonic() + 20
        agent, collector = path.daemons["agent"], path.daemons["collector"]
        while time.monotonic() < deadline and agent.metric("foreframe_agent_faults_total") < len(garbage):
            time.sleep(0.1)
        assert agent.metric("foreframe_agent_faults_total") >= len(garbage)
        assert collector.metric("foreframe_collector_link_malformed_total") >= 1
        context.destroy(linger=0)
        path.replay(source.argument, "--rate", "max")
        series = path.wait_until_closed()[-1]
        assert_ledger_closes(series)
        assert_pixels_equal(path.store, series, expected)


@pytest.mark.parametrize("victim", ["collector", "sink"])
def test_a_daemon_killed_in_mid_series_loses_nothing(victim, bin_dir, tmp_path):
    source = simulated_sources()[0]
    expected = source.pixels(bin_dir, tmp_path)
    with PathRunner(bin_dir, tmp_path, f"log://{tmp_path}/log", settings={"sink": {"file.max_time": "1 s"}}) as path:
        command = [str(bin_dir / "foreframe"), "replay", source.argument, "--bind",
                   f"tcp://127.0.0.1:{path.detector_port}", "--rate", "20"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as sender:
            time.sleep(1.0)
            path.daemons[victim].process.kill()
            path.daemons[victim].process.wait()
            time.sleep(0.5)
            path.start(victim).wait_ready()
            assert sender.wait(60) == 0
        (series,) = path.wait_until_closed()
        assert_ledger_closes(series)
        assert_pixels_equal(path.store, series, expected)


def test_an_agent_killed_in_mid_series_accounts_for_every_frame(bin_dir, tmp_path):
    """What the dead agent held in memory is lost and named; all else is stored, under one series."""
    source = simulated_sources()[0]
    expected = source.pixels(bin_dir, tmp_path)
    with PathRunner(bin_dir, tmp_path, f"log://{tmp_path}/log", settings={"agent": {"series.idle_timeout": "3 s"}}) as path:
        command = [str(bin_dir / "foreframe"), "replay", source.argument, "--bind",
                   f"tcp://127.0.0.1:{path.detector_port}", "--rate", "20"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as sender:
            time.sleep(1.2)
            path.daemons["agent"].process.kill()
            path.daemons["agent"].process.wait()
            path.start("agent").wait_ready()
            assert sender.wait(60) == 0
        (series,) = path.wait_until_closed()
        assert_ledger_closes(series)
        (stream,) = series["streams"]
        gone = set(frames_in(stream, "lost")) | set(frames_in(stream, "not_acquired"))
        assert len(gone) < len(expected) / 2
        assert_pixels_equal(path.store, series, expected, gone)


def test_metrics_health_and_readiness_answer(bin_dir, tmp_path):
    with PathRunner(bin_dir, tmp_path, f"log://{tmp_path}/log") as path:
        for name, daemon in path.daemons.items():
            assert daemon.get("/healthz")[0] == 200
            assert f"foreframe_{name}_build_info" in daemon.get("/metrics")[1]


def test_the_ten_line_python_sender_of_the_document_works(bin_dir, tmp_path):
    """docs/formats/plain.md promises that ten lines suffice; these are the ten lines."""
    text = (ROOT / "docs" / "formats" / "plain.md").read_text()
    sender = text.split("```python\n")[1].split("```")[0]
    with PathRunner(bin_dir, tmp_path, f"log://{tmp_path}/log", source="plain",
                    settings={"agent": {"source.bind": "true"}}) as path:
        program = sender.replace("31001", str(path.detector_port))
        subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
        (series,) = path.wait_until_closed()
        assert_ledger_closes(series)
        assert series["streams"][0]["counts"]["stored_exact"] == series["streams"][0]["expected"] > 0
