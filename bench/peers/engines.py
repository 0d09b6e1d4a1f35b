# SPDX-License-Identifier: Apache-2.0
"""The engines that jobs are run on, pinned, each in a virtual environment of its own that is made when first needed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from bench import data
from bench.workloads import base

ARROW = ("pyarrow==26.0.1", "numpy==2.4.6")  # what bench itself needs, for engines that pin neither


@dataclass(frozen=True)
class Engine:
    """One engine.

    package : the module that it is imported by
    requirements : exact versions, installed together; none for flinkcore, which runs in this Python
    jobs : those that it has; None: all
    rows_max, rows_max_of : how many rows a run gets at most, in general and for some jobs. The event time of fewer rows
        spans as much.
    is_batch : it sees all rows at once, keeps no event time, and no state that outlives the query
    """

    package: str
    requirements: tuple[str, ...] = ()
    jobs: frozenset[str] | None = None
    rows_max: int = 1 << 62
    rows_max_of: dict[str, int] = field(default_factory=dict)
    one_thread_only: bool = False
    is_batch: bool = False
    needs_java: bool = False

    def has(self, job: str) -> bool:
        return self.jobs is None or base(job) in self.jobs

    def rows(self, job: str, rows: int) -> int:
        return min(rows, self.rows_max_of.get(base(job), self.rows_max))

    @property
    def is_installed(self) -> bool:
        """Whether this Python has it. Asked by distribution: flinkcore can stand in for the module pyflink."""
        if not self.requirements:
            return True
        try:
            distribution(self.requirements[0].partition("==")[0])
        except PackageNotFoundError:
            return False
        return True

    @property
    def folder(self) -> Path:
        """Its virtual environment; another one for other versions or another Python."""
        what = repr((self.requirements, sys.version_info[:2])).encode()
        return data.folder() / "environments" / f"{self.package}-{hashlib.sha256(what).hexdigest()[:12]}"


_POLARS = ("polars==2.1.0", *ARROW)
_DUCKDB = ("duckdb==2.0.1", *ARROW)
_PYTHON_FOLD = {"WA": 2_000_000}  # a Python function for each group
ENGINES = {
    "flinkcore": Engine("flinkcore"),
    "polars": Engine("polars", _POLARS, is_batch=True, rows_max_of=_PYTHON_FOLD),
    "polars_streaming": Engine("polars", _POLARS, is_batch=True, rows_max_of=_PYTHON_FOLD),
    "duckdb": Engine("duckdb", _DUCKDB, is_batch=True, rows_max_of=_PYTHON_FOLD),
    "duckdb_arrow": Engine("duckdb", _DUCKDB, is_batch=True, rows_max_of=_PYTHON_FOLD),
    "bytewax": Engine("bytewax", ("bytewax==0.21.1", *ARROW), rows_max=100_000, one_thread_only=True),
    "pathway": Engine(
        "pathway",
        ("pathway==0.33.0", "pyarrow==25.0.1", "numpy==2.4.6"),
        frozenset({"W1", "W3", "W6", "W9"}),
        rows_max=200_000,
        one_thread_only=True,
    ),
    "pyspark": Engine(
        "pyspark",
        ("pyspark==4.3.0", "pandas==2.3.3", *ARROW),
        frozenset({"W1", "W3", "W6", "W9"}),
        rows_max=2_000_000,
        needs_java=True,
    ),
    "pyflink": Engine(
        "pyflink",
        ("apache-flink==2.3.0",),  # pins pyarrow and numpy itself
        frozenset({"W1", "W3", "W6", "W9", "WA"}),
        rows_max=2_000_000,
        rows_max_of={"W3": 500_000, "W9": 200_000, "WA": 5_000},
        needs_java=True,
    ),
}


def python_of(engine: Engine, is_here: bool) -> Path:
    """The interpreter that runs an engine; its environment is made when there is none yet.

    is_here : only what this Python has installed
    RuntimeError : the engine cannot run on this machine, and why
    """
    if engine.needs_java and java() is None:
        raise RuntimeError("needs Java 11 or later: neither JAVA_HOME nor a `java` is there")
    if is_here or not engine.requirements:
        if not engine.is_installed:
            raise RuntimeError(f"{engine.package} is not installed in this Python")
        return Path(sys.executable)
    python = engine.folder / "bin" / "python"
    ready = engine.folder / "ready"
    if not ready.exists():
        print(f"installing {', '.join(engine.requirements)} into {engine.folder}", flush=True)
        shutil.rmtree(engine.folder, ignore_errors=True)
        install(engine.folder, engine.requirements)
        ready.write_text("\n".join(engine.requirements) + "\n")
    return python


def install(folder: Path, requirements: tuple[str, ...]) -> None:
    """A new virtual environment with these packages. RuntimeError: pip's own last words."""
    for command in (
        [sys.executable, "-m", "venv", str(folder)],
        [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *requirements],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise RuntimeError(
                f"{' '.join(requirements)} cannot be installed: {said[-1] if said else command}"
            )


def java() -> Path | None:
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
    return Path(found) if found else None
