# SPDX-License-Identifier: Apache-2.0
"""A site under test: detector, agent, collector, Kafka and sink as processes, joined by wires that can be broken.

    detector ─▶ agent ─▶ collector ─▶ Kafka ─▶ sink

A supervisor starts again what dies, a second later, as systemd does.
"""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

from fault_control import FaultControl
from fault_network import NETWORKS, fetch_wire
from path_runner import PathRunner, Place, free_port, kind_of

ROOT = Path(__file__).resolve().parents[2]
BROKER = [sys.executable, str(ROOT / "tools" / "kafka" / "broker")]
SETTINGS = {
    "agent": {"receipt.timeout": "5 s"},
    "sink": {"file.max_time": "500 ms", "store.window_timeout": "5 s", "store.grace": "10 s", "store.grace_max": "30 s",
             "replay.timeout": "5 s", "replay.pause": "2 s", "store.retry_max": "1 s"},
    "collector": {"log.delivery_timeout": "10 s"},
}


def settings_for(lasts: float, more: dict[str, dict[str, str]]) -> dict[str, dict[str, object]]:
    """Quick time-outs. How long a detector may be silent and may be made to wait is the site's choice: here longer than the
    fault, and twice as long, because TCP tries again after as long a pause as the outage lasted."""
    settings = {name: {**keys, **more.get(name, {})} for name, keys in SETTINGS.items()}
    for key in ("series.idle_timeout", "pool.max_wait"):
        settings["agent"].setdefault(key, f"{2 * lasts + 20:g} s")
    return settings


class Site(PathRunner):
    """Where `cell` is tried, with a fault of `lasts` seconds. Faults are made by cells through `controls`, `wires` and the signals here."""

    def __init__(self, bin_dir: Path, shim: Path, folder: Path, cell, network: str, lasts: float, seed: int):
        super().__init__(bin_dir, folder, f"log://{folder}/log", settings=settings_for(lasts, cell.settings), sinks=cell.sinks)
        self.log, self.broker_settings = cell.log, list(cell.broker_settings)
        self.network = NETWORKS[network](self.sinks, seed)
        self.wires, self.places = self.network.wires, self.network.places
        disks = {"agent": folder / "spool", "collector": folder / "log", "broker": folder / "kafka",
                 **{sink: self.store for sink in self.sinks}}
        self.controls = {name: FaultControl(folder / f"{name}.fault", shim, disk) for name, disk in disks.items()}
        self.environment = {name: control.environment for name, control in self.controls.items()}
        self.broker_port, self.restarts, self.away = free_port(), 0, set()
        self.supervisor: threading.Thread | None = None
        self.over = threading.Event()

    def settings_of(self, name: str) -> dict[str, object]:
        settings = super().settings_of(name)
        connects = self.network.connects
        if name == "agent":
            settings["source.address"] = f"tcp://{connects['detector']}"
            settings["link.collectors"] = f'["tcp://{connects["link"]}"]'
        elif self.log == "kafka":
            settings["log.url"] = f"kafka://{connects['publish' if name == 'collector' else fetch_wire(name)]}"
        if name == "collector":
            settings["link.listen"] = f"tcp://{self.network.listens['link']}"
        known = self.known_keys(kind_of(name))
        return {key: value for key, value in settings.items() if key in known}

    def known_keys(self, name: str) -> set[str]:
        """The daemon's own list, so that one matrix serves versions with and without a key."""
        text = subprocess.run([self.bin_dir / f"foreframe-{name}", "--print-config"], capture_output=True, text=True,
                              check=True).stdout
        section, keys = "", set()
        for line in text.splitlines():
            if line.startswith("["):
                section = line.strip("[]")
            elif "=" in line and not line.startswith("#"):
                keys.add(f"{section}.{line.split('=')[0].strip()}")
        return keys

    # ------------------------------------------------------------ life

    def __enter__(self) -> "Site":
        try:
            if self.log == "kafka":
                self.start_broker()
        except BaseException:
            self.__exit__()
            raise
        super().__enter__()
        self.supervisor = threading.Thread(target=self.supervise, daemon=True)
        self.supervisor.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        if self.supervisor:
            self.supervisor.join()
        for control in self.controls.values():
            control.heal()
        for daemon in self.daemons.values():
            if daemon.process.poll() is None:
                daemon.process.kill()
                daemon.process.wait()
        self.stop_broker()
        self.network.close()
        shutil.rmtree(self.pool, ignore_errors=True)  # memory, not disk

    def start_broker(self) -> None:
        via = [f"--via={self.network.connects[wire]}={self.network.listens[wire]}" for wire in ("publish", *map(fetch_wire, self.sinks))]
        folder = self.folder / "kafka"
        folder.mkdir(exist_ok=True)
        start = [*BROKER, "start", str(folder), "--port", str(self.broker_port), *via, *(f"--set={line}" for line in self.broker_settings)]
        done = subprocess.run(self.place("broker").command(start), check=False, text=True, capture_output=True, timeout=180,
                              env={**os.environ, **self.environment["broker"]})
        if done.returncode != 0:
            raise RuntimeError(f"the broker does not start: {done.stderr}")

    def stop_broker(self) -> None:
        if self.log == "kafka":
            subprocess.run([*BROKER, "stop", str(self.folder / "kafka")], check=False, capture_output=True, timeout=60)

    def supervise(self) -> None:
        while not self.over.wait(0.2):
            for name in self.names:
                if name not in self.away and self.daemons[name].process.poll() is not None:
                    self.over.wait(1.0)
                    self.restarts += 1
                    self.start(name)
            if self.log == "kafka" and "broker" not in self.away and not alive(self.broker_pid()):
                self.over.wait(1.0)
                self.restarts += 1
                self.try_to_start_broker()

    def try_to_start_broker(self) -> None:
        try:
            self.start_broker()
        except RuntimeError as problem:  # a full disk lets none start: the next look tries again
            with open(self.folder / "supervisor.log", "a", encoding="utf-8") as log:
                log.write(f"{problem}\n")

    # ------------------------------------------------------------ processes by name, the broker included

    def data_files(self) -> set[Path]:
        return {path for path in self.store.rglob("*.h5") if not path.name.endswith("_master.h5")}

    def place(self, name: str) -> Place:
        return self.places.get(name, Place())

    def broker_pid(self) -> int:
        """0 while none is known: no process of ours."""
        try:
            return json.loads((self.folder / "kafka" / "broker.json").read_text())["pid"]
        except (OSError, ValueError):
            return 0

    def pid(self, name: str) -> int:
        return self.broker_pid() if name == "broker" else self.daemons[name].process.pid

    def signal(self, name: str, sign: int) -> None:
        os.kill(self.pid(name), sign)

    def take_away(self, name: str) -> None:
        """Stops a daemon gracefully and keeps it away until bring_back()."""
        self.away.add(name)
        self.daemons[name].stop()

    def bring_back(self, name: str) -> None:
        self.start(name)
        self.away.discard(name)

    def wait_until_all_store(self, timeout_s: float) -> None:
        """A sink that stores nothing before the fault would show nothing after it."""
        idle, deadline = set(self.sinks), time.monotonic() + timeout_s
        while idle:
            idle = {sink for sink in idle if self.daemons[sink].metric("foreframe_sink_frames_stored_total") == 0}
            if time.monotonic() > deadline:
                raise TimeoutError(f"{', '.join(sorted(idle))} stored nothing")
            time.sleep(0.1)

    def wait_well(self, timeout_s: float) -> None:
        """Until every daemon says it is ready and frames reach the store again."""
        stored, flows = self.data_files(), False
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            flows = flows or self.data_files() != stored
            if flows and all(self.daemons[name].get("/readyz")[0] == 200 for name in self.names):
                return
            time.sleep(0.1)
        if not flows:
            raise TimeoutError(f"no frame was stored in {timeout_s} s after the fault")
        states = {name: self.daemons[name].get("/readyz")[1].strip() for name in self.names}
        raise TimeoutError(f"not ready {timeout_s} s after the fault: {states}")

    # ------------------------------------------------------------ what is measured

    def waiting_records(self) -> float:
        """Records in the agent's spool that are not done."""
        return self.daemons["agent"].metric("foreframe_agent_spool_records")

    def detector(self, source: str, rate: float, report: Path) -> subprocess.Popen:
        """A detector that holds images while nobody takes them, for as long as the fault lasts."""
        command = [str(self.bin_dir / "foreframe"), "replay", source, "--bind", f"tcp://{self.network.listens['detector']}",
                   "--rate", str(rate), "--stall", "300 s", "--linger", "120 s", "--report", str(report), "--quiet"]
        return subprocess.Popen(self.place("detector").command(command), stdout=subprocess.DEVNULL, stderr=open(self.folder / "replay.log", "ab"))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return False
