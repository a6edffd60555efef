# SPDX-License-Identifier: Apache-2.0
"""Runs the whole path on this host: agent, collector and sink as separate processes on free loopback ports.

Used by tools/demo and tests/e2e. Standard library only.

    with PathRunner(bin_dir, folder, log_url=f"log://{folder}/log") as path:
        path.replay(recording, "--rate", "100")
        path.wait_until_closed(frames_timeout_s=60)
        ledger = path.ledger()
"""
from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path


def free_port() -> int:
    """A TCP port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class PathError(RuntimeError):
    """Something on the path did not do what it should; the message holds the end of its log."""


class Place:
    """Where a daemon runs: on this host. Tests have other places."""

    def command(self, arguments: list[str]) -> list[str]:
        """The command line that runs `arguments` there."""
        return arguments

    def connect(self, port: int, timeout_s: float) -> socket.socket:
        """A connection to its loopback."""
        return socket.create_connection(("127.0.0.1", port), timeout_s)


class Daemon:
    """One foreframe daemon as a child process; its stderr goes to `<folder>/<name>.log`."""

    def __init__(self, program: Path, name: str, folder: Path, settings: dict[str, object],
                 environment: dict[str, str] | None = None, place: Place = Place()):
        self.name, self.log_path, self.status_port, self.place = name, folder / f"{name}.log", free_port(), place
        settings = {"status.listen": f"127.0.0.1:{self.status_port}", **settings}
        arguments = [str(program), "--no-config"]
        for key, value in settings.items():
            arguments += ["--set", f"{key}={value}"]
        self.arguments = arguments
        self.log = open(self.log_path, "ab")
        self.process = subprocess.Popen(place.command(arguments), stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL,
                                        env={**os.environ, **(environment or {})})

    def log_tail(self, lines: int = 30) -> str:
        self.log.flush()
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    def get(self, page: str) -> tuple[int, str]:
        """Status and body; status 0 when there is no answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.status_port)
        try:
            connection.sock = self.place.connect(self.status_port, timeout_s=5)
            connection.request("GET", page)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()

    def metric(self, name: str, **labels: str) -> float:
        """Sum over all series of the metric that carry these labels; 0 when there is none."""
        total = 0.0
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith("#") or not line.startswith(name):
                continue
            head, value = line.rsplit(" ", 1)
            if head.split("{")[0] == name and all(f'{k}="{v}"' in head for k, v in labels.items()):
                total += float(value)
        return total

    def processor_seconds(self) -> float:
        """User and system time since it started."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_bytes(self) -> int:
        """What it holds for itself: neither files nor shared memory; 0 when it does not run."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
            return int(status.split("RssAnon:")[1].split()[0]) * 1024
        except (OSError, IndexError):
            return 0

    def open_files(self) -> int:
        """0 when it does not run."""
        try:
            return len(os.listdir(f"/proc/{self.process.pid}/fd"))
        except OSError:
            return 0

    def wait_ready(self, timeout_s: float = 30) -> None:
        deadline = time.monotonic() + timeout_s
        answer = (0, "")
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise PathError(f"{self.name} ended with {self.process.returncode}:\n{self.log_tail()}")
            answer = self.get("/readyz")
            if answer[0] == 200:
                return
            time.sleep(0.05)
        raise PathError(f"{self.name} not ready after {timeout_s} s ({answer[1].strip()}):\n{self.log_tail()}")

    def stop(self, timeout_s: float = 30, sign: int = signal.SIGTERM) -> int:
        """Asks it to stop and waits; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(sign)
            try:
                self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise PathError(f"{self.name} did not stop within {timeout_s} s:\n{self.log_tail()}") from None
        self.log.close()
        return self.process.returncode


def kind_of(name: str) -> str:
    """"sink" for "sink-2": which program it is."""
    return name.partition("-")[0]


class PathRunner:
    """agent + collector + sinks, which share one store and one consumer group: "sink", "sink-2" and so on.

    `settings` maps "agent" | "collector" | "sink" to further `--set` keys.
    """

    def __init__(self, bin_dir: Path, folder: Path, log_url: str, settings: dict[str, dict[str, object]] | None = None,
                 topic_prefix: str = "test.path", source: str = "stream_v2", sinks: int = 1):
        self.bin_dir, self.folder, self.log_url = Path(bin_dir), Path(folder), log_url
        self.folder.mkdir(parents=True, exist_ok=True)
        self.store = self.folder / "store"
        self.detector_port, self.link_port = free_port(), free_port()
        self.topic_prefix, self.source = topic_prefix, source
        self.pool = Path(f"/dev/shm/foreframe-{os.getpid()}-{self.detector_port}")
        self.extra = settings or {}
        self.sinks = ("sink", *(f"sink-{number}" for number in range(2, sinks + 1)))
        self.names = ("collector", *self.sinks, "agent")  # in the order in which they start
        self.environment: dict[str, dict[str, str]] = {}  # further variables by daemon
        self.places: dict[str, Place] = {}                # by daemon; this host for those that are not named
        self.daemons: dict[str, Daemon] = {}

    def settings_of(self, name: str) -> dict[str, object]:
        link = f"tcp://127.0.0.1:{self.link_port}"
        group = f"{self.topic_prefix}.sink"  # paths that share a broker must not share a consumer group
        base = {
            "agent": {
                "agent.name": "test-agent", "agent.state": self.folder / "agent-state",
                "source.format": self.source, "source.address": f"tcp://127.0.0.1:{self.detector_port}",
                "pool.path": self.pool,
                "spool.path": self.folder / "spool", "link.collectors": f'["{link}"]', "spool.destinations": f'["{group}"]',
            },
            "collector": {"link.listen": link, "log.url": self.log_url, "log.topic_prefix": self.topic_prefix},
            "sink": {"sink.name": name, "log.url": self.log_url, "log.topic_prefix": self.topic_prefix, "log.group": group,
                     "store.path": self.store},
        }[kind_of(name)]
        return {**base, **self.extra.get(kind_of(name), {})}

    def start(self, name: str) -> Daemon:
        daemon = Daemon(self.bin_dir / f"foreframe-{kind_of(name)}", name, self.folder, self.settings_of(name),
                        self.environment.get(name), self.places.get(name, Place()))
        self.daemons[name] = daemon
        return daemon

    def __enter__(self) -> "PathRunner":
        try:
            for name in self.names:
                self.start(name).wait_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            shutil.rmtree(self.pool, ignore_errors=True)  # memory, not disk

    def stop(self) -> dict[str, int]:
        """Stops what runs, the agent first, so that each drains into the next. Exit codes by name."""
        return {name: self.daemons[name].stop() for name in ("agent", "collector", *self.sinks) if name in self.daemons}

    def replay(self, source: str, *options: str, timeout_s: float = 300) -> dict:
        """Streams a recording as a detector would; returns the replay's JSON summary."""
        command = [str(self.bin_dir / "foreframe"), "replay", str(source), "--bind",
                   f"tcp://127.0.0.1:{self.detector_port}", "--json", *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
        if done.returncode != 0:
            raise PathError(f"replay ended with {done.returncode}: {done.stderr[-2000:]}")
        return json.loads(done.stdout)

    def foreframe_json(self, *arguments: str):
        """What `foreframe ARGUMENTS --json` prints; None when the command fails."""
        done = subprocess.run([str(self.bin_dir / "foreframe"), *arguments, "--json"], capture_output=True, text=True,
                              timeout=60, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def ledger(self) -> list[dict]:
        """The full account of every series in the store; [] while there is none."""
        store = ("--store", str(self.store))
        listed = self.foreframe_json("ledger", "list", *store) or []
        return [self.foreframe_json("ledger", "show", series["series_uid"], *store) for series in listed]

    def wait_until_closed(self, series_count: int = 1, timeout_s: float = 120) -> list[dict]:
        """Waits until so many series are closed in the store's ledger; returns the ledger."""
        deadline = time.monotonic() + timeout_s
        ledger: list[dict] = []
        while time.monotonic() < deadline:
            for daemon in self.daemons.values():
                if daemon.process.poll() is not None:
                    raise PathError(f"{daemon.name} ended with {daemon.process.returncode}:\n{daemon.log_tail()}")
            ledger = self.ledger()
            if sum(1 for series in ledger if series["closed"]) >= series_count:
                return ledger
            time.sleep(0.1)
        tails = "\n".join(f"--- {d.name}\n{d.log_tail()}" for d in self.daemons.values())
        raise PathError(f"no closed series after {timeout_s} s; ledger {ledger}\n{tails}")
