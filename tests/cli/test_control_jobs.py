# SPDX-License-Identifier: Apache-2.0
"""A job under `flinkcore run` that is listed, saved, stopped, cancelled and ended from outside, and goes on."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Shell

#: Prints the running sum of 0, 1, 2, ...: one number for each byte that the test appends to the file `records`.
SUMS = """\
import os
from dataclasses import dataclass, replace
import pyarrow as pa
from flinkcore.columnar.schema import Schema
from flinkcore.common import WatermarkStrategy
from flinkcore.connectors.base import Boundedness, Source, SourceReader, SourceSplit, SplitQueue
from flinkcore.datastream import StreamExecutionEnvironment

@dataclass(frozen=True)
class Position(SourceSplit):
    number: int = 0

class Reader(SourceReader):
    def __init__(self, split):
        self.split = split

    def read(self, max_rows, timeout_ms):
        start, stop = self.split.number, os.path.getsize("records")
        self.split = replace(self.split, number=stop)
        return list(range(start, stop))

    def position(self):
        return self.split

class Numbers(Source):
    boundedness = Boundedness.CONTINUOUS_UNBOUNDED
    schema = Schema(["n"], [pa.int64()], "value")

    def create_enumerator(self, parallelism):
        return SplitQueue([Position("all")])

    def create_reader(self, split, context):
        return Reader(split)

env = StreamExecutionEnvironment.get_execution_environment().set_parallelism(1)
numbers = env.from_source(Numbers(), WatermarkStrategy.no_watermarks(), "numbers")
sums = numbers.key_by(lambda n: "all").reduce(lambda a, b: a + b).uid("sums")
sums.print()
env.execute("sums")
"""

Run = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def run(shell: Shell) -> Iterator[Run]:
    """Starts the job with options of `flinkcore run`; whatever the test makes of it, it ends with the test."""
    shell.write(SUMS)
    shell.write("", "records")
    started: list[subprocess.Popen[bytes]] = []

    def start(*options: str) -> subprocess.Popen[bytes]:
        started.append(shell.start("run", *options, "job.py", stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def append(shell: Shell, count: int) -> None:
    with open(shell.folder / "records", "a") as records:
        records.write("x" * count)


def sums(process: subprocess.Popen[bytes], count: int) -> list[int]:
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(count)]
    assert all(lines), ended(process)
    return [int(line) for line in lines]


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """-> the exit code, and what was said on stderr"""
    _, stderr = process.communicate()
    return process.returncode, stderr.decode()


@pytest.mark.timeout(120)
def test_a_job_is_listed_saved_stopped_and_goes_on_from_either_savepoint(shell: Shell, run: Run) -> None:
    process = run()
    append(shell, 3)
    assert sums(process, 3) == [0, 1, 3]
    listed = shell.flinkcore("list").stdout.splitlines()[1]
    assert "sums" in listed and "RUNNING" in listed and listed.endswith("none")
    first = shell.flinkcore("savepoint", "sums", "saved")
    assert first.returncode == 0, first.stderr
    assert os.path.dirname(first.stdout.strip()) == os.fspath(shell.folder / "saved")
    append(shell, 1)
    assert sums(process, 1) == [6]
    second = shell.flinkcore("stop", "--savepoint-path", "saved", "sums")
    assert second.returncode == 0, second.stderr
    code, said = ended(process)
    assert code == 0, said
    assert "job 'sums' finished" in said
    assert "2 checkpoints completed, the last in" in said
    assert shell.flinkcore("list").stdout.startswith("no job runs")
    append(shell, 1)
    resumed = run("-s", second.stdout.strip())
    assert sums(resumed, 1) == [10]
    cancelled = shell.flinkcore("cancel", "sums")
    assert cancelled.returncode == 0 and "has ended: canceled" in cancelled.stderr
    code, said = ended(resumed)
    assert (code, "Traceback" in said) == (1, False), said
    assert f"  it went on from savepoint 2 of '{second.stdout.strip()}'" in said
    assert sums(run("-s", first.stdout.strip()), 2) == [6, 10]


def test_a_savepoint_without_a_folder_is_refused_and_the_job_runs_on(shell: Shell, run: Run) -> None:
    process = run()
    append(shell, 1)
    assert sums(process, 1) == [0]
    refused = shell.flinkcore("stop", "sums")
    assert refused.returncode == 1
    assert "execution.checkpointing.savepoint-dir" in refused.stderr
    append(shell, 1)
    assert sums(process, 1) == [1]


@pytest.mark.timeout(120)
def test_sigterm_keeps_the_checkpoints_for_a_resume_and_ctrl_c_does_not(shell: Shell, run: Run) -> None:
    options = ("-D", "execution.checkpointing.interval=10 ms", "-D", "execution.checkpointing.dir=checkpoints")
    process = run(*options)
    append(shell, 3)
    assert sums(process, 3) == [0, 1, 3]
    wait_for_checkpoints(shell, process, 2)
    process.send_signal(signal.SIGTERM)
    code, said = ended(process)
    assert code == 143, said
    assert "flinkcore run --resume goes on from " in said
    assert checkpoints(shell)
    append(shell, 1)
    resumed = run("--resume", *options)
    assert sums(resumed, 1)[-1] == 6
    resumed.send_signal(signal.SIGINT)
    code, said = ended(resumed)
    assert code == 130, said
    assert "  it went on from checkpoint " in said
    assert "--resume" not in said
    assert not checkpoints(shell)


def checkpoints(shell: Shell) -> list[int]:
    return [int(path.parent.name.removeprefix("chk-")) for path in shell.folder.glob("checkpoints/*/chk-*/_metadata")]


def wait_for_checkpoints(shell: Shell, process: subprocess.Popen[bytes], count: int) -> None:
    """Until so many more have been written that the newest has seen all that came before the call."""
    enough = max(checkpoints(shell), default=0) + count
    while max(checkpoints(shell), default=0) < enough:
        assert process.poll() is None, ended(process)
