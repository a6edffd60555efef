# SPDX-License-Identifier: Apache-2.0
"""A report of `foreframe bench codec` as Python sees it, and how its numbers are written."""
from __future__ import annotations

import math
from typing import Any, Iterable

DASH = "–"
PROFILES = ("fast", "small", "max", "auto", "raw")
DEPTHS = {"uint8": 8, "int8": 8, "uint16": 16, "int16": 16, "uint32": 32, "int32": 32}


def measured(result: dict[str, Any] | None) -> bool:
    return result is not None and result["state"] == "measured"


class Recording:
    """One recording of a report, its results by codec."""

    def __init__(self, data: dict[str, Any]):
        self.data = data
        self.name: str = data["name"]
        self.results = {result["codec"]: result for result in data["results"]}
        self.lossy = [(bound, {result["codec"]: result for result in bound["results"]}) for bound in data.get("lossy", [])]
        self.depth = DEPTHS[data["dtype"]]
        self.entropy: float = data.get("entropy_bits_per_pixel", 0.0)

    @property
    def shape(self) -> str:
        return f"{self.data['frames']} of {self.data['rows']} × {self.data['cols']}, {self.depth} bits"

    @property
    def pixels(self) -> int:
        return self.data["rows"] * self.data["cols"]

    def bits(self, codec: str) -> float:
        """Bits a pixel; 0 where not measured."""
        result = self.results.get(codec)
        return result["bits_per_pixel"] if measured(result) else 0.0

    def ratio(self, codec: str) -> float:
        result = self.results.get(codec)
        return result["ratio"] if measured(result) else 0.0


def profiles_of(report: dict[str, Any]) -> list[str]:
    """Our profiles in this report, in order."""
    first = (report["recordings"] or report["sweep"] or report["cores"])[:1]
    return [result["codec"] for one in first for result in one["results"] if result["codec"] in PROFILES]


def geometric_mean(values: Iterable[float]) -> float:
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs)) if logs else 0.0


def bits(value: float) -> str:
    return f"{value:.4f}" if value < 1 else f"{value:.3f}"


def number(value: float) -> str:
    """Three digits or so; a dash for 0."""
    if value == 0:
        return DASH
    if value < 0.1:
        return f"{value:.2g}"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def speed(spread: dict[str, Any] | None) -> str:
    """Median (slowest … fastest)."""
    if not spread:
        return DASH
    if spread["repeats"] == 1:
        return number(spread["median"])
    return f"{number(spread['median'])} ({number(spread['min'])} … {number(spread['max'])})"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"
