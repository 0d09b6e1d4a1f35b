# SPDX-License-Identifier: Apache-2.0
"""`flinkcore info`: how this flinkcore was built and what it runs on, without importing what it describes."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata

from flinkcore import __version__
from flinkcore._native import build

REQUIRED = ("numpy", "pyarrow", "numba", "xxhash")
EXTRA = ("pandas", "polars", "duckdb")


def info() -> str:
    """The lines that `flinkcore info` prints."""
    facts = [
        ("flinkcore", f"{__version__} in {os.path.dirname(os.path.dirname(os.path.abspath(__file__)))}"),
        ("compiler", build.compiler()),
        ("build flags", build.flags()),
        ("vector unit", f"{build.simd()} (of this processor)"),
        ("python", f"{platform.python_version()} ({platform.python_implementation()}) at {sys.executable}"),
        ("system", f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"),
        *((name, _version(name) or "missing; flinkcore needs it") for name in REQUIRED),
        *((name, f"{version} (optional)") for name in EXTRA if (version := _version(name))),
    ]
    width = max(len(name) for name, _ in facts)
    return "".join(f"{name:<{width}}  {value}\n" for name, value in facts)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
