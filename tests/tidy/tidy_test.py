#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The house rules that a machine can check, over every file that git knows or would add.

    tests/tidy/tidy_test.py [--only NAME]

Checks: include directions, unique file names, licence lines, left-over notes, machine paths, formatting, and that
the include check itself finds what it should. Standard library and clang-format only; a few seconds.
"""
from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import include_table

ROOT = Path(__file__).resolve().parents[2]
CPP = (".hpp", ".cpp", ".inl", ".h", ".cu", ".cuh")
SOURCES = CPP + (".py", ".sh", ".proto", ".sv", ".v")
SAME_NAME_IS_FINE = {"README.md", "CMakeLists.txt", "__init__.py", "conftest.py", ".gitignore", "Makefile"}
# Written in two halves, so that this file passes its own check.
LEFT_OVERS = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)\b")
MACHINE_PATH = re.compile(r"(?<![\w./~-])/(?:work|root|home|Users|mnt)/\w|(?<![\w./~-])/tmp/\w+/")
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.MULTILINE)


def project_files() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=ROOT,
                            capture_output=True, check=True)
    return sorted(name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file())


def text_of(name: str) -> str | None:
    """The file's text; None for binary files."""
    data = (ROOT / name).read_bytes()
    return None if b"\0" in data[:4096] else data.decode("utf-8", errors="replace")


def is_script(name: str, text: str) -> bool:
    return text.startswith("#!") and not name.endswith(CPP)


def include_problems(name: str, text: str) -> list[str]:
    problems = []
    module = include_table.module_of(name)
    for kind, included in INCLUDE.findall(text):
        if kind == '"':
            if "/" not in included:
                problems.append(f"{name}: \"{included}\" is not written from the repository root")
            elif module and include_table.module_of(included) and not include_table.is_allowed(module, included):
                problems.append(f"{name}: {module} must not include {included} (tests/tidy/include_table.py)")
        elif name.endswith(".hpp"):
            if any(included.startswith(heavy) for heavy in include_table.ONLY_IN_SOURCES):
                problems.append(f"{name}: <{included}> belongs into a .cpp file")
            if name.startswith("kernels/") and any(included.startswith(p) for p in include_table.NEVER_IN_KERNEL_HEADERS):
                problems.append(f"{name}: <{included}> must not reach the codec's public headers")
    return problems


def check_includes(files: list[str]) -> list[str]:
    return [problem for name in files if name.endswith(CPP) for problem in include_problems(name, text_of(name) or "")]


def check_include_check(_: list[str]) -> list[str]:
    """The check above must refuse these, or it proves nothing."""
    must_fail = {
        "common/base/x.cpp": '#include "common/wire/envelope.hpp"',
        "common/wire/x.cpp": '#include "kernels/codec.hpp"',
        "collector/receive/x.cpp": '#include "kernels/codec.hpp"',
        "kernels/cpu/x.cpp": '#include "kernels/reference/planner.hpp"',
        "kernels/format/x.cpp": '#include "kernels/cpu/encode.hpp"',
        "agent/policy/x.cpp": '#include "agent/window/window.hpp"',
        "hpc_sink/store/x.cpp": '#include "agent/window/window.hpp"',
        "agent/x.cpp": '#include "window.hpp"',
        "common/service/x.hpp": "#include <spdlog/spdlog.h>",
    }
    may_pass = {
        "kernels/codec.cpp": '#include "kernels/cpu/encode.hpp"',
        "kernels/cpu/x.cpp": '#include "kernels/codec.hpp"',
        "agent/agent_pipeline.cpp": '#include "agent/policy/rules.hpp"',
        "common/service/x.cpp": "#include <spdlog/spdlog.h>",
        "tests/unit/sink/x.cpp": '#include "hpc_sink/store/nexus.hpp"',
    }
    return ([f"the include check lets {name} pass with {line}" for name, line in must_fail.items()
             if not include_problems(name, line)] +
            [f"the include check refuses {name} with {line}" for name, line in may_pass.items()
             if include_problems(name, line)])


def check_names(files: list[str]) -> list[str]:
    places = defaultdict(list)
    for name in files:
        # Files of released versions are named by the programs that wrote them.
        if Path(name).name not in SAME_NAME_IS_FINE and not name.startswith("tests/golden/compat/"):
            places[Path(name).name].append(name)
    return [f"one name, several files: {', '.join(names)}" for names in places.values() if len(names) > 1]


def check_licence(files: list[str]) -> list[str]:
    problems = []
    for name in files:
        text = text_of(name)
        if text is None or not (name.endswith(SOURCES) or is_script(name, text)):
            continue
        lines = text.splitlines() + ["", "", "", ""]
        first = lines[1] if lines[0].startswith("#!") else lines[0]
        if first not in ("// SPDX-License-Identifier: Apache-2.0", "# SPDX-License-Identifier: Apache-2.0"):
            problems.append(f"{name}: does not open with the SPDX line")
        elif name.endswith(".hpp") and not (lines[1] == "//" and lines[2].startswith("// ")):
            problems.append(f"{name}: does not say after the SPDX line what it is")
    return problems


def matching_lines(files: list[str], pattern: re.Pattern, what: str) -> list[str]:
    return [f"{name}:{number}: {what}: {line.strip()[:100]}"
            for name in files if (text := text_of(name)) is not None
            for number, line in enumerate(text.splitlines(), 1) if pattern.search(line)]


def check_left_overs(files: list[str]) -> list[str]:
    return matching_lines([name for name in files if name != "LICENSE"], LEFT_OVERS, "left-over note")


def check_machine_paths(files: list[str]) -> list[str]:
    sources = [name for name in files if not name.startswith("tests/golden/")]
    return matching_lines(sources, MACHINE_PATH, "path of one machine")


def check_format(files: list[str]) -> list[str]:
    if shutil.which("clang-format") is None:
        return ["clang-format is not installed; tools/setup installs it"]
    cpp = [name for name in files if name.endswith(CPP)]
    done = subprocess.run(["clang-format", "--dry-run", "-Werror", *cpp], cwd=ROOT, capture_output=True, text=True,
                          check=False)
    unformatted = sorted({line.split(":")[0] for line in done.stderr.splitlines() if ": error:" in line})
    return [f"{name}: not formatted; run clang-format -i {name}" for name in unformatted]


CHECKS = {
    "includes": check_includes,
    "include-check": check_include_check,
    "names": check_names,
    "licence": check_licence,
    "left-overs": check_left_overs,
    "machine-paths": check_machine_paths,
    "format": check_format,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=sorted(CHECKS))
    only = parser.parse_args().only
    files = project_files()
    failed = 0
    for name, check in CHECKS.items():
        if only not in (None, name):
            continue
        problems = check(files)
        failed += bool(problems)
        print(f"{'FAILED' if problems else 'ok':>6}  {name}" + (f" ({len(problems)})" if problems else ""))
        for problem in problems:
            print(f"        {problem}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
