# SPDX-License-Identifier: Apache-2.0
"""A site under test: detector, agent, collector, Kafka and sink as processes, with every connection through a proxy.

    detector ─[proxy]─▶ agent ─[proxy]─▶ collector ─[proxy]─▶ Kafka ─[proxy]─▶ sink

A supervisor starts again what dies, a second later, as systemd does.
"""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from fault_control import FaultControl
from path_runner import Daemon, PathRunner, free_port
from tcp_proxy import TcpProxy

ROOT = Path(__file__).resolve().parents[2]
BROKER = [sys.executable, str(ROOT / "tools" / "kafka" / "broker")]
DAEMONS = ("collector", "sink", "agent")
SETTINGS = {
    "agent": {"series.idle_timeout": "20 s", "receipt.timeout": "5 s"},
    "sink": {"file.max_time": "500 ms", "store.window_timeout": "5 s", "store.grace": "10 s", "store.grace_max": "30 s",
             "replay.timeout": "5 s", "replay.pause": "2 s", "store.retry_max": "1 s"},
    "collector": {"log.delivery_timeout": "10 s"},
}


class Site(PathRunner):
    """`log` is "kafka" or "log". Faults are made by cells through `controls`, `proxies` and the signals here."""

    def __init__(self, bin_dir: Path, shim: Path, folder: Path, log: str, seed: int, broker_settings=()):
        super().__init__(bin_dir, folder, f"log://{folder}/log", settings={n: dict(s) for n, s in SETTINGS.items()})
        self.log, self.broker_settings = log, list(broker_settings)
        self.proxies = {name: TcpProxy(0, seed + index)
                        for index, name in enumerate(("detector", "link", "publish", "fetch"))}
        self.proxies["detector"].target, self.proxies["link"].target = self.detector_port, self.link_port
        disks = {"agent": folder / "spool", "collector": folder / "log", "sink": self.store, "broker": folder / "kafka"}
        self.controls = {name: FaultControl(folder / f"{name}.fault", shim, disk) for name, disk in disks.items()}
        self.environment = {name: control.environment for name, control in self.controls.items()}
        self.broker_port, self.restarts, self.away = free_port(), 0, set()
        self.supervisor: threading.Thread | None = None
        self.over = threading.Event()

    def settings_of(self, name: str) -> dict[str, object]:
        settings = super().settings_of(name)
        if name == "agent":
            settings["source.address"] = f"tcp://127.0.0.1:{self.proxies['detector'].port}"
            settings["link.collectors"] = f'["tcp://127.0.0.1:{self.proxies["link"].port}"]'
        elif self.log == "kafka":
            settings["log.url"] = f"kafka://127.0.0.1:{self.proxies['publish' if name == 'collector' else 'fetch'].port}"
        known = self.known_keys(name)
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
            super().__enter__()
        except BaseException:
            self.stop_broker()
            raise
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
        for proxy in self.proxies.values():
            proxy.close()

    def start_broker(self) -> None:
        via = [option for name in ("publish", "fetch") for option in ("--via", str(self.proxies[name].port))]
        folder = self.folder / "kafka"
        folder.mkdir(exist_ok=True)
        done = subprocess.run([*BROKER, "start", str(folder), "--port", str(self.broker_port), *via,
                               *(f"--set={line}" for line in self.broker_settings)], check=False, text=True,
                              capture_output=True, timeout=180, env={**os.environ, **self.environment["broker"]})
        if done.returncode != 0:
            raise RuntimeError(f"the broker does not start: {done.stderr}")
        leads_to = json.loads((folder / "broker.json").read_text())["via"]
        for name in ("publish", "fetch"):
            self.proxies[name].target = leads_to[str(self.proxies[name].port)]

    def stop_broker(self) -> None:
        if self.log == "kafka":
            subprocess.run([*BROKER, "stop", str(self.folder / "kafka")], check=False, capture_output=True, timeout=60)

    def supervise(self) -> None:
        while not self.over.wait(0.2):
            for name in DAEMONS:
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

    def wait_well(self, timeout_s: float) -> None:
        """Until every daemon says it is ready."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if all(self.daemons[name].get("/readyz")[0] == 200 for name in DAEMONS):
                return
            time.sleep(0.1)
        states = {name: self.daemons[name].get("/readyz")[1].strip() for name in DAEMONS}
        raise TimeoutError(f"not ready {timeout_s} s after the fault: {states}")

    # ------------------------------------------------------------ what is measured

    def waiting_records(self) -> float:
        """Records in the agent's spool that are not done."""
        return self.daemons["agent"].metric("foreframe_agent_spool_records")

    def detector(self, source: str, rate: float, report: Path) -> subprocess.Popen:
        """A detector that holds images while nobody takes them, for as long as the fault lasts."""
        command = [str(self.bin_dir / "foreframe"), "replay", source, "--bind", f"tcp://127.0.0.1:{self.detector_port}",
                   "--rate", str(rate), "--stall", "300 s", "--linger", "120 s", "--report", str(report), "--quiet"]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=open(self.folder / "replay.log", "ab"))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return False


__all__ = ["Site", "Daemon", "DAEMONS", "alive", "signal"]
