# SPDX-License-Identifier: Apache-2.0
"""The cells of the fault matrix: which part, which fault, how it is made and lifted, and what it may cost.

A cell's `strike` makes the fault, waits for `lasts` seconds where it lasts, and lifts it. `may_lose` names the stages in
which frames may end, and how many: everything else must be stored.
"""
from __future__ import annotations

import random
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

from fault_site import Site, alive

PARTS = ("agent", "collector", "sink", "broker")
WIRE_OF = {"agent": "detector", "collector": "link", "sink": "fetch", "sink-2": "fetch-2", "broker": "publish"}
SLOW_BITS_PER_S = 1_000_000
SOCKET_QUEUE = 64  # images that ZeroMQ and TCP may hold for a killed agent


@dataclass(frozen=True)
class Cell:
    part: str
    fault: str
    strike: Callable[[Site, float, random.Random], str]   # returns what was done, for the report
    log: str = "kafka"
    may_lose: dict[str, int] = field(default_factory=dict)  # stage -> frames
    broker_settings: tuple[str, ...] = ()
    sinks: int = 1                                        # that share the store
    settings: dict[str, dict[str, str]] = field(default_factory=dict)  # part -> keys, beside the site's
    network: str = ""  # "proxy" where only a proxy can make the fault

    @property
    def name(self) -> str:
        return f"{self.part}{f' of {self.sinks}' if self.sinks > 1 else ''} × {self.fault}"


def kill(part: str):
    def strike(site: Site, _lasts: float, _chance: random.Random) -> str:
        site.signal(part, signal.SIGKILL)
        return "SIGKILL; started again after 1 s"
    return strike


def pause(part: str):
    def strike(site: Site, lasts: float, _chance: random.Random) -> str:
        site.signal(part, signal.SIGSTOP)
        time.sleep(lasts)
        site.signal(part, signal.SIGCONT)
        return f"SIGSTOP for {lasts:g} s"
    return strike


def restart(part: str):
    def strike(site: Site, _lasts: float, _chance: random.Random) -> str:
        pid = site.pid(part)
        site.signal(part, signal.SIGTERM)
        deadline = time.monotonic() + 60
        while alive(pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not alive(pid), f"{part} did not stop within 60 s of SIGTERM"
        return "SIGTERM; started again after 1 s"
    return strike


def disk(part: str, full: bool):
    def strike(site: Site, lasts: float, _chance: random.Random) -> str:
        control = site.controls[part]
        before = control.calls_struck()
        control.fill_disk() if full else control.slow_disk(50)
        time.sleep(lasts)
        control.heal()
        struck = control.calls_struck() - before
        assert struck > 0, "the fault met no call: nothing was tested"
        return f"{'ENOSPC' if full else '50 ms a call'} for {lasts:g} s, {struck} calls"
    return strike


def cut(part: str):
    def strike(site: Site, lasts: float, _chance: random.Random) -> str:
        wire = site.wires[WIRE_OF[part]]
        wire.cut()
        time.sleep(lasts)
        wire.heal()
        return f"{'cable pulled' if site.network.name == 'netns' else 'connections refused'} for {lasts:g} s"
    return strike


def silence(part: str):
    """Half-open connections: nothing comes through and nobody is told."""
    def strike(site: Site, lasts: float, _chance: random.Random) -> str:
        wire = site.wires[WIRE_OF[part]]
        wire.freeze()
        time.sleep(lasts)
        wire.heal()
        return f"nothing comes through for {lasts:g} s{what_was_dropped(site, wire)}"
    return strike


def what_was_dropped(site: Site, wire) -> str:
    if site.network.name != "netns":
        return ""
    assert wire.dropped > 0, "no packet was dropped: nothing was tested"
    return f", {wire.dropped} packets dropped"


def slow(part: str):
    """A wire that carries less than the series needs."""
    def strike(site: Site, lasts: float, _chance: random.Random) -> str:
        wire = site.wires[WIRE_OF[part]]
        wire.slow(SLOW_BITS_PER_S)
        time.sleep(lasts)
        wire.heal()
        return f"{SLOW_BITS_PER_S / 1e6:g} Mbit/s for {lasts:g} s{what_was_dropped(site, wire)}"
    return strike


def corrupt_on_the_wire(part: str, towards: str, every_bytes: int):
    def strike(site: Site, lasts: float, _chance: random.Random) -> str:
        proxy = site.wires[WIRE_OF[part]]
        proxy.corrupt(every_bytes, towards)
        time.sleep(lasts)
        proxy.heal()
        assert proxy.bits_flipped > 0, "no bit was flipped: nothing was tested"
        return f"{proxy.bits_flipped} bits flipped on the wire"
    return strike


def flip_bit_in(path: Path, chance: random.Random, beyond: int) -> bool:
    size = path.stat().st_size
    if size <= beyond + 4096:
        return False
    with open(path, "r+b") as file:
        place = chance.randrange(beyond + 1024, size - 1024)
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1 << chance.randrange(8)]))
    return True


def corrupt_spool(site: Site, lasts: float, chance: random.Random) -> str:
    """Bits flip in records that wait in the spool because no collector can be reached."""
    spool = site.folder / "spool"
    site.wires["link"].cut()
    sizes = {path: path.stat().st_size for path in spool.glob("segment-*.ffs")}
    time.sleep(lasts)
    flipped = sum(flip_bit_in(path, chance, sizes.get(path, 0)) for path in sorted(spool.glob("segment-*.ffs")))
    site.wires["link"].heal()
    assert flipped > 0, "nothing lay in the spool: nothing was tested"
    return f"{flipped} bit flipped in the spool"


def corrupt_broker_log(site: Site, lasts: float, chance: random.Random) -> str:
    """Bits flip in the broker's files under records that the sink has not fetched yet."""
    site.wires["fetch"].cut()
    logs = sorted((site.folder / "kafka" / "data").glob("*.blocks-*/*.log"))
    sizes = {path: path.stat().st_size for path in logs}
    time.sleep(lasts)
    flipped = sum(flip_bit_in(path, chance, sizes[path]) for path in logs[:1])
    site.wires["fetch"].heal()
    assert flipped > 0, "nothing was in the broker's log: nothing was tested"
    return f"{flipped} bit flipped in the broker's log"


def clock(part: str):
    def strike(site: Site, lasts: float, chance: random.Random) -> str:
        seconds = chance.choice((-3600, 3600))
        site.controls[part].jump_clock(seconds)
        time.sleep(lasts)
        site.controls[part].heal()
        return f"{seconds:+d} s, and back after {lasts:g} s"
    return strike


def sink_away(site: Site, lasts: float, _chance: random.Random) -> str:
    site.take_away("sink")
    time.sleep(lasts + 6)  # segments of 1 s, kept for 1 s, looked at every second
    site.bring_back("sink")
    return f"sink away for {lasts + 6:g} s, the log keeps 1 s"


SHORT_RETENTION = ("log.retention.ms=1000", "log.roll.ms=1000", "log.retention.check.interval.ms=1000",
                   "log.segment.delete.delay.ms=100")


def all_cells() -> list[Cell]:
    cells = []
    own_sleep = {"agent": {"series.idle_timeout": "4 s"}}  # an agent must not take its own pause for the detector's silence
    for part in PARTS:
        lost = {"receive": SOCKET_QUEUE} if part == "agent" else {}
        own_disk = {"log": "log"} if part == "collector" else {}  # over Kafka a collector writes nothing
        cells += [Cell(part, "kill", kill(part), may_lose=lost), Cell(part, "pause", pause(part), settings=own_sleep if part == "agent" else {}),
                  Cell(part, "restart", restart(part), may_lose=lost),
                  Cell(part, "full disk", disk(part, full=True), **own_disk),
                  Cell(part, "slow disk", disk(part, full=False), **own_disk), Cell(part, "cut link", cut(part), may_lose=lost),
                  Cell(part, "silent link", silence(part), may_lose=lost), Cell(part, "slow link", slow(part), may_lose=lost),
                  Cell(part, "clock jump", clock(part))]
    cells += [Cell("agent", "corrupt bytes", corrupt_spool, may_lose={"spool": 64, "log": 64}),
              Cell("collector", "corrupt bytes", corrupt_on_the_wire("collector", "target", 150_000), network="proxy"),
              Cell("sink", "corrupt bytes", corrupt_on_the_wire("sink", "client", 150_000), network="proxy"),
              Cell("broker", "corrupt bytes", corrupt_broker_log),
              Cell("sink", "away longer than retention", sink_away, broker_settings=SHORT_RETENTION)]
    for sink in ("sink", "sink-2"):  # one of them seals the series
        cells += [Cell(sink, "kill", kill(sink), sinks=2), Cell(sink, "pause", pause(sink), sinks=2),
                  Cell(sink, "cut link", cut(sink), sinks=2)]
    return cells
