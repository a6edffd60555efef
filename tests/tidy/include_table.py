# SPDX-License-Identifier: Apache-2.0
"""Who may include whom: the include table of docs/architecture.md, as data.

A file belongs to the longest module name that its path starts with. A module may include itself, what its row
names, and nothing else of the project. `name` allows the whole folder, `name/*` only the files directly in it.
"""

BASE, WIRE, SERVICE, TRANSPORT = "common/base", "common/wire", "common/service", "common/transport"

MAY_INCLUDE: dict[str, list[str]] = {
    BASE: [],
    WIRE: [BASE],
    SERVICE: [BASE],
    TRANSPORT: [WIRE, SERVICE, BASE],
    # Arrays in, bytes out. Only the files directly in kernels/ (the dispatch) see the devices; the devices do not
    # see each other.
    "kernels": [BASE],
    "kernels/format": ["kernels/*", "kernels/interop", BASE],
    "kernels/interop": [BASE],
    "kernels/reference": ["kernels/*", "kernels/format", "kernels/interop", BASE],
    "kernels/cpu": ["kernels/*", "kernels/format", "kernels/interop", BASE],
    "kernels/cuda": ["kernels/*", "kernels/format", "kernels/interop", BASE],
    "fpga": ["kernels/*", BASE],
    # Pure functions: facts and rules in, a decision out.
    "agent/policy": [BASE],
    "agent/place": ["agent/policy", BASE],
    "agent": ["fpga/host", "kernels", TRANSPORT, WIRE, SERVICE, BASE],
    # New codecs need no new collector: it never sees a kernel.
    "collector": [TRANSPORT, WIRE, SERVICE, BASE],
    "hpc_sink": ["kernels", TRANSPORT, WIRE, SERVICE, BASE],
    "tools": ["agent", "collector", "hpc_sink", "fpga", "kernels", "common"],
    "tests": ["tools", "agent", "collector", "hpc_sink", "fpga", "kernels", "common"],
}

# Headers that are slow to compile, or that would tie our interfaces to a library: in .cpp files only.
ONLY_IN_SOURCES = ["toml++/", "spdlog/", "fmt/", "CLI/", "httplib.h", "prometheus/", "nlohmann/json.hpp", "zmq.hpp",
                   "hwy/"]
# Public headers of the codec are plain C++ on every machine.
NEVER_IN_KERNEL_HEADERS = ["cuda", "cub/", "thrust/"]


def module_of(path: str) -> str | None:
    matches = [module for module in MAY_INCLUDE if path.startswith(module + "/")]
    return max(matches, key=len) if matches else None


def is_allowed(module: str, included: str) -> bool:
    """Whether a file of `module` may include the file `included` (both from the repository root)."""
    if included.startswith(module + "/"):
        # A folder with rows of its own inside (kernels/cpu) is another module, except for the one that joins them.
        return module in ("kernels", "agent", "tests", "tools") or module_of(included) == module
    for allowed in MAY_INCLUDE[module]:
        if allowed.endswith("/*"):
            if included.rpartition("/")[0] == allowed[:-2]:
                return True
        elif included.startswith(allowed + "/"):
            return True
    return False
