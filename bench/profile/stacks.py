# SPDX-License-Identifier: Apache-2.0
"""Stacks of a running process, Python's and native frames, by py-spy, which is pinned and has its own environment."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

from bench.peers.engines import Engine, python_of

PY_SPY = Engine("py_spy", ("py-spy==0.4.3",))
RATE_HZ = 200


def record(pid: int, seconds: float, path: Path, form: str) -> None:
    """Samples a process for so long. form : "raw" (a line per stack, which speedscope reads) or "flamegraph" (SVG)

    RuntimeError : py-spy cannot be installed or may not look, in its own words
    """
    spy = python_of(PY_SPY, is_here=False).with_name("py-spy")
    command = [str(spy), "record", "--native", "--threads", "--rate", str(RATE_HZ)]
    command += [
        "--duration",
        str(max(1, round(seconds))),
        "--format",
        form,
        "--output",
        str(path),
        "--pid",
        str(pid),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0 or not path.exists():
        raise RuntimeError(f"py-spy gave nothing: {(done.stderr or done.stdout).strip()[-500:]}")


def stacks_of(pid: int, seconds: float) -> Counter[tuple[str, ...]]:
    """How many samples each stack has, outermost frame first."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stacks.txt"
        record(pid, seconds, path, "raw")
        return parse(path.read_text())


def parse(text: str) -> Counter[tuple[str, ...]]:
    """Stacks of lines "frame;frame;frame count"."""
    found: Counter[tuple[str, ...]] = Counter()
    for line in text.splitlines():
        frames, _, count = line.rpartition(" ")
        if frames and count.isdigit():
            found[tuple(frames.split(";"))] += int(count)
    return found


def innermost(stacks: Counter[tuple[str, ...]]) -> Counter[str]:
    """Samples by the function that ran: "name (file)", without its line; of libraries without symbols, the library."""
    found: Counter[str] = Counter()
    for frames, count in stacks.items():
        name = re.sub(r":\d+\)$", ")", frames[-1])
        found[re.sub(r"^0x[0-9a-f]+ ", "a function without a name ", name)] += count
    return found
