# SPDX-License-Identifier: Apache-2.0
"""Writes the results of a runner that is no test framework as JUnit XML, which tools/test counts (count_results.py).

    write(path, "faults", [Case("sink × kill", 41.2), Case("agent × kill", 63.0, failure="not closed", details=trace)])

Standard library only.
"""
from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Case:
    name: str
    seconds: float
    failure: str = ""   # in one line; "" for a case that passed
    details: str = ""   # what a person reads next: a trace, the end of a log


def clean(text: str) -> str:
    """Logs may hold bytes that XML cannot carry at all."""
    return NOT_IN_XML.sub("?", text)


def suite_of(name: str, cases: list[Case]) -> ElementTree.Element:
    failed = sum(bool(case.failure) for case in cases)
    suite = ElementTree.Element("testsuite", name=name, tests=str(len(cases)), failures=str(failed))
    for case in cases:
        element = ElementTree.SubElement(suite, "testcase", classname=name, name=clean(case.name), time=f"{case.seconds:.1f}")
        if case.failure:
            ElementTree.SubElement(element, "failure", message=clean(case.failure)).text = clean(case.details)
    return suite


def write(path: Path, name: str, cases: list[Case]) -> None:
    ElementTree.ElementTree(suite_of(name, cases)).write(path, encoding="utf-8", xml_declaration=True)
