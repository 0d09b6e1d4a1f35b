# SPDX-License-Identifier: Apache-2.0
"""C of the benchmarks, compiled for this very processor when it is first needed, and kept in the data folder."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shlex
import subprocess
from pathlib import Path

from bench import data

FLAGS = ["-O3", "-march=native", "-shared", "-fPIC"]


def library(source: Path) -> ctypes.CDLL:
    """A C file as a library. RuntimeError when there is no C compiler (CC, else cc) or it refuses."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    built_of = source.read_bytes() + repr((compiler, FLAGS, platform.node(), platform.machine())).encode()
    path = data.folder() / f"{source.stem}-{hashlib.sha256(built_of).hexdigest()[:16]}.so"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")
        command = [*compiler, *FLAGS, str(source), "-o", str(partial)]
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except FileNotFoundError as error:
            raise RuntimeError(
                f"no C compiler '{compiler[0]}' to build {source.name} with; set CC"
            ) from error
        if done.returncode != 0:
            raise RuntimeError(f"{shlex.join(command)} failed:\n{done.stderr}")
        partial.rename(path)
    return ctypes.CDLL(str(path))
