# SPDX-License-Identifier: Apache-2.0
"""A bit flips in the agent's spool before it is sent: what the sink says, the agent does, and `foreframe dead` shows."""
from __future__ import annotations

import struct
import subprocess
import time
from pathlib import Path

import pytest
from checks import assert_ledger_closes, assert_pixels_equal, frames_in, own_topics
from path_runner import PathRunner
from recordings import simulated_sources

PREFIX = 24  # of an envelope: magic, version, header_bytes at 8, payload_bytes at 12


@pytest.fixture(params=["log", "kafka"])
def log_url(request, tmp_path) -> str:
    if request.param == "log":
        return f"log://{tmp_path}/log"
    return f"kafka://{request.getfixturevalue('kafka')}"


def flip_a_bit_of_the_first_block(spool: Path) -> None:
    segment = min(path for path in spool.rglob("*") if path.is_file() and b"FFEV" in path.read_bytes())
    data = bytearray(segment.read_bytes())
    at = data.find(b"FFEV")
    while at >= 0:
        header_bytes, payload_bytes = struct.unpack_from("<II", data, at + 8)
        block = data[at + PREFIX + header_bytes:at + PREFIX + header_bytes + payload_bytes]
        if block[:4] == b"FFBK":
            data[at + PREFIX + header_bytes + payload_bytes - 1] ^= 1
            segment.write_bytes(data)
            return
        at = data.find(b"FFEV", at + PREFIX + header_bytes)
    raise AssertionError(f"no block in {segment}")


def wait_until(condition, what: str, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def test_a_record_that_the_spool_lost_ends_as_dead_letters_which_can_be_listed_and_exported(bin_dir, tmp_path, log_url):
    source = simulated_sources()[4]
    expected = source.pixels(bin_dir, tmp_path)
    prefix = own_topics()
    quick = {"sink": {"store.window_timeout": "3 s", "store.grace": "2 s", "replay.timeout": "10 s", "replay.pause": "1 s"}}
    with PathRunner(bin_dir, tmp_path, log_url, settings=quick, topic_prefix=prefix) as path:
        assert path.daemons["collector"].stop() == 0  # nothing leaves the spool
        del path.daemons["collector"]
        agent = path.daemons["agent"]
        for series in (1, 2):  # the second one's records say that the first one's are durable: no torn tail
            path.replay(source.argument, "--rate", "max", "--series-id", str(series))
            wait_until(lambda: agent.metric("foreframe_agent_series_ended_total") >= series, "series not ended")
            time.sleep(1)
        agent.process.kill()
        agent.process.wait()
        del path.daemons["agent"]
        flip_a_bit_of_the_first_block(tmp_path / "spool")
        path.start("collector").wait_ready()
        agent = path.start("agent")
        agent.wait_ready()
        damaged, whole = path.wait_until_closed(series_count=2)

        # The agent is told, copies what it has into its quarantine, and frees it.
        wait_until(lambda: agent.metric("foreframe_agent_receipts_waiting") == 0, agent.log_tail())
        assert list((tmp_path / "agent-state" / "quarantine").glob("*.envelope"))
        damaged, whole = path.wait_until_closed(series_count=2)
        for series in (damaged, whole):
            assert_ledger_closes(series)
        assert_pixels_equal(path.store, whole, expected)
        lost = frames_in(damaged["streams"][0], "lost", "spool")
        assert 0 in lost
        why = subprocess.run([str(bin_dir / "foreframe"), "why", damaged["series_uid"], "0", "--store", str(path.store)],
                             capture_output=True, text=True, timeout=60, check=True).stdout
        assert "it is not in the agent's spool any more" in why

        where = ("--log", log_url, "--topic-prefix", prefix)
        letters = path.foreframe_json("dead", "list", *where)
        assert letters and all("did not come, also not when" in letter["reason"] for letter in letters)
        assert all(letter["key"].startswith(damaged["series_uid"]) for letter in letters)
        (shown,) = path.foreframe_json("dead", "show", letters[0]["record"], *where)
        assert shown["payload_intact"] and shown["agent"] == "test-agent"
        assert path.foreframe_json("dead", "show", "7:999999", *where) is None
        out = tmp_path / "letters"
        assert path.foreframe_json("dead", "export", "--out", str(out), *where) == {"records": len(letters)}
        envelopes = sorted(out.glob("*.envelope"))
        assert [len(envelope.read_bytes()) for envelope in envelopes] and len(envelopes) == len(letters)
        assert all(envelope.read_bytes()[:4] == b"FFEV" for envelope in envelopes)
        assert sum(letter["bytes"] for letter in letters) == sum(envelope.stat().st_size for envelope in envelopes)
        for block in out.glob("*.block"):
            subprocess.run([str(bin_dir / "foreframe"), "inspect", str(block)], capture_output=True, timeout=60, check=True)
        # It went twice: once, and once because the sink had asked.
        assert agent.metric("foreframe_agent_windows_resent_total") >= 1
        assert path.stop() == {"agent": 0, "collector": 0, "sink": 0}
