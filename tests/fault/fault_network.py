# SPDX-License-Identifier: Apache-2.0
"""The wires between the parts of a site, and how they are broken: network namespaces where the machine allows, else proxies.

    detector ─[detector]─▶ agent ─[link]─▶ collector ─[publish]─▶ Kafka ─[fetch]─▶ sink

Both kinds have the same face: `listens` and `connects` are the server's and the client's address by wire, `places` says
where a part runs, `wires` are broken by cut(), freeze() and slow() and mended by heal(). Only a proxy can corrupt(): on a real wire
TCP's checksum turns a damaged packet into a lost one, which slow() has.
"""
from __future__ import annotations

import os
import sys

import net_namespace
from net_namespace import Namespace, VethWire
from path_runner import free_port
from tcp_proxy import TcpProxy

FIRST_PORT = 7000  # in a namespace every port is free


def fetch_wire(sink: str) -> str:
    """"fetch-2" for "sink-2"."""
    return "fetch" + sink.removeprefix("sink")


def wires_of(sinks: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """Client and server by wire."""
    return {"detector": ("agent", "detector"), "link": ("agent", "collector"), "publish": ("collector", "broker"),
            **{fetch_wire(sink): (sink, "broker") for sink in sinks}}


class ProxyNetwork:
    """All parts on this host, every connection through a proxy."""

    name = "proxy"

    def __init__(self, sinks: tuple[str, ...], seed: int):
        ports = {wire: free_port() for wire in wires_of(sinks)}
        self.wires = {wire: TcpProxy(port, seed + index) for index, (wire, port) in enumerate(ports.items())}
        self.listens = {wire: f"127.0.0.1:{port}" for wire, port in ports.items()}
        self.connects = {wire: f"127.0.0.1:{proxy.port}" for wire, proxy in self.wires.items()}
        self.places: dict[str, Namespace] = {}

    def close(self) -> None:
        for wire in self.wires.values():
            wire.close()


class NamespaceNetwork:
    """Every part on a host of its own."""

    name = "netns"

    def __init__(self, sinks: tuple[str, ...], _seed: int):
        wires = wires_of(sinks)
        self.places = {host: Namespace() for host in sorted({host for pair in wires.values() for host in pair})}
        self.wires = {wire: VethWire(self.places[client], self.places[server], wire, subnet)
                      for subnet, (wire, (client, server)) in enumerate(wires.items())}
        self.listens = {wire: f"{veth.server_address}:{FIRST_PORT + index}" for index, (wire, veth) in enumerate(self.wires.items())}
        self.connects = self.listens

    def close(self) -> None:
        for place in self.places.values():
            place.close()


NETWORKS = {network.name: network for network in (ProxyNetwork, NamespaceNetwork)}


def choose_network(wanted: str) -> str:
    """`wanted` is auto, netns or proxy. A user who is not root gets namespaces by starting this program again as one who is."""
    if wanted == "proxy":
        return wanted
    if net_namespace.allowed_to_a_user():
        os.execvp(net_namespace.AS_ROOT[0], [*net_namespace.AS_ROOT, sys.executable, *sys.argv])
    if os.geteuid() == 0 and net_namespace.allowed():
        return "netns"
    if wanted == "netns":
        raise SystemExit("no network namespaces with tc here: they need root or user namespaces, iproute2, veth, cls_bpf and sch_tbf")
    return "proxy"
