# SPDX-License-Identifier: Apache-2.0
"""Jobs under `flinkcore run`: what is said about them, how they fail, how they are stopped, why they wait."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Shell

START = """\
import numpy as np
from pyflink.common import Duration, Row, Time, Types, WatermarkStrategy
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.datastream.window import TumblingEventTimeWindows
from pyflink.table.expressions import lit

env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(1)
"""

#: A source that gives three records of two splits and then waits for ever, having told the test that it does.
NEVER_ENDING = START + """
from flinkcore.columnar.schema import Schema
from flinkcore.connectors.base import Boundedness, Source, SourceReader, SourceSplit, SplitQueue
import pyarrow as pa

class Reader(SourceReader):
    def __init__(self, split):
        self.split = split
        self.rows = {"fast": [(1, 60_000)], "slow": [(2, 4_000)]}[split.split_id]
        self.reads = 0

    def read(self, max_rows, timeout_ms):
        self.reads += 1
        if self.reads == 20 and self.split.split_id == "slow":
            open("waiting", "w").close()
        rows, self.rows = self.rows, []
        return [Row(*row) for row in rows]

    def position(self):
        return self.split

class Endless(Source):
    boundedness = Boundedness.CONTINUOUS_UNBOUNDED
    schema = Schema(["key", "time"], [pa.int64(), pa.int64()])

    def create_enumerator(self, parallelism):
        return SplitQueue([SourceSplit("fast"), SourceSplit("slow")])

    def create_reader(self, split, context):
        return Reader(split)

strategy = (WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(1))
    .with_timestamp_column("time"))
(env.from_source(Endless(), strategy, "events")
    .key_by("key").window(TumblingEventTimeWindows.of(Time.seconds(10)))
    .aggregate(lit(1).count.alias("n")).print())
env.execute("endless")
"""

THREE = START + """
env.from_collection([1, 2, 3], Types.INT()).filter(lambda n: n > 1).print()
env.execute("three")
"""

FAILING = START + """
def half(n):
    return 1 // n

env.from_collection([1, 0], Types.INT()).map(half, Types.INT()).name("halves").print()
env.execute("failing")
"""

COUNT_WINDOWS = START + """
pairs = env.from_arrow({"key": np.array([1, 1, 2])})
pairs.key_by("key").count_window(2).aggregate(lit(1).count.alias("n")).print()
env.execute("pairs")
"""

WITHOUT_WATERMARKS = START + """
(env.from_arrow({"key": np.arange(3)})
    .key_by("key").window(TumblingEventTimeWindows.of(Time.seconds(1)))
    .aggregate(lit(1).count.alias("n")).print())
env.execute("timeless")
"""


def test_the_summary_counts_what_came_in_and_went_out(shell: Shell) -> None:
    job = shell.write(THREE)
    done = shell.flinkcore("run", job)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "2\n3\n"
    assert done.stderr.startswith("job 'three' finished: 3 records in, 2 out, ")
    quiet = shell.flinkcore("run", "--quiet", job)
    assert (quiet.stdout, quiet.stderr) == ("2\n3\n", "")


def test_a_failure_names_the_operator_and_shows_the_user_s_own_lines_only(shell: Shell) -> None:
    job = shell.write(FAILING)
    done = shell.flinkcore("run", "-q", job)
    assert done.returncode == 1
    assert "operator 'halves'" in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert "return 1 // n" in done.stderr
    assert 'env.execute("failing")' in done.stderr
    assert os.path.join("flinkcore", "runtime") not in done.stderr
    assert os.path.join("flinkcore", "runtime") in shell.flinkcore("run", "--traceback", job).stderr


def test_a_program_that_executes_nothing_succeeds_with_a_hint(shell: Shell) -> None:
    done = shell.flinkcore("run", shell.write(START + "env.from_collection([1]).map(str)\n"))
    assert done.returncode == 0
    assert done.stderr.startswith("hint: ") and "executed nothing" in done.stderr
    assert shell.flinkcore("run", shell.write("print(1)\n")).stderr == ""


def test_a_warning_is_one_line(shell: Shell) -> None:
    open(os.path.join(shell.runtime, "flinkcore"), "w").close()     # where the sockets of jobs would lie
    done = shell.flinkcore("run", shell.write(START + "env.from_collection([1]).print()\nenv.execute()\n"))
    assert (done.returncode, done.stdout) == (0, "1\n")
    first, *rest = done.stderr.splitlines()
    assert first.startswith("warning: job 'Flink Streaming Job' cannot be reached by flinkcore list")
    assert not any("Warning" in line for line in rest)


def test_a_job_that_the_program_leaves_running_is_waited_for(shell: Shell) -> None:
    done = shell.flinkcore("run", "-q", shell.write(
        START + "env.from_collection(list(range(1000)), Types.INT()).print()\nenv.execute_async('left')\n"))
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 1000


def test_a_job_that_fails_behind_the_program_s_back_is_a_failure(shell: Shell) -> None:
    done = shell.flinkcore("run", "-q", shell.write(
        START + "env.from_collection([0]).map(lambda n: 1 // n).print()\nenv.execute_async('left')\n"))
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


def test_results_that_nobody_reads_do_not_keep_the_program_alive(shell: Shell) -> None:
    done = shell.flinkcore("run", "-q", shell.write(
        START + "results = env.from_sequence(1, 10**9).execute_and_collect()\nprint(next(results))\n"))
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


def test_count_windows_that_did_not_fill_are_reported(shell: Shell) -> None:
    done = shell.flinkcore("run", shell.write(COUNT_WINDOWS))
    assert done.stdout == "+I[1,2]\n"
    assert "waits: 1 count windows are not full" in done.stderr


def wait_for(shell: Shell, process: subprocess.Popen[bytes]) -> None:
    """Until the never-ending job has read what there is."""
    while not (shell.folder / "waiting").exists():
        assert process.poll() is None, "the job ended"


@pytest.mark.timeout(60)
def test_ctrl_c_cancels_cleanly_and_says_which_split_held_the_windows_back(shell: Shell) -> None:
    process = shell.start("run", shell.write(NEVER_ENDING), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(shell, process)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate()
    text = stderr.decode()
    assert process.returncode == 130
    assert "job 'endless' canceled: 2 records in, 0 out" in text
    assert "Traceback" not in text
    (held,) = [line for line in text.splitlines() if "holds the watermark back" in line]
    assert "split slow" in held
    assert "last timestamp 4000 ms" in held
    assert "56 s behind the furthest" in held


@pytest.mark.timeout(60)
def test_ctrl_backslash_asks_a_running_job_about_its_watermarks(shell: Shell) -> None:
    process = shell.start("run", shell.write(NEVER_ENDING), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(shell, process)
    process.send_signal(signal.SIGQUIT)
    assert process.stderr is not None
    assert process.stderr.readline() == b"watermarks of job 'endless'\n"
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130


@pytest.mark.timeout(60)
def test_a_terminal_shows_a_status_line_and_hears_of_idle_windows(shell: Shell) -> None:
    ours, theirs = pty.openpty()
    process = shell.start("run", shell.write(NEVER_ENDING), stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = b""
    while b"holds the watermark back" not in seen:
        seen += os.read(ours, 4096)
    process.send_signal(signal.SIGINT)
    while True:
        try:
            more = os.read(ours, 4096)
        except OSError:                     # how Linux says that the other side of a terminal was closed
            break
        if not more:
            break
        seen += more
    assert process.wait() == 130
    assert b"endless  in 2  out 0" in seen
    assert b"windows wait" in seen


def test_explain_shows_tasks_and_watermarks_and_runs_nothing(shell: Shell) -> None:
    done = shell.flinkcore("explain", shell.write(NEVER_ENDING))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("job 'endless': ")
    assert "watermarks are made here, for each split" in done.stdout
    assert "waits for the watermark of events" in done.stdout
    assert not (shell.folder / "waiting").exists()


def test_explain_says_which_operators_call_python_and_why(shell: Shell) -> None:
    job = """
env.set_parallelism(1)
numbers = env.from_collection([1, 2, 3], Types.LONG()).map(lambda n: n + 1, Types.LONG()).name("plus")
numbers.map(lambda n: int(str(n)[::-1]), Types.LONG()).name("turned").print()
env.execute("explained")
"""
    done = shell.flinkcore("explain", shell.write(START + job))
    assert "\n  plus\n      native: lambda n: n + 1, as columns\n" in done.stdout
    assert "\n  turned\n      Python for each record: " in done.stdout
    assert "is called for each record: `str(n)[::-1]`" in done.stdout


def test_explain_warns_of_windows_without_watermarks(shell: Shell) -> None:
    done = shell.flinkcore("explain", shell.write(WITHOUT_WATERMARKS))
    assert "waits for a watermark that nobody makes" in done.stdout


def test_explain_of_a_program_that_executes_nothing_says_so(shell: Shell) -> None:
    assert "executed no job" in shell.flinkcore("explain", shell.write(START)).stdout


def test_a_reader_that_stops_reading_ends_the_job_without_noise(shell: Shell) -> None:
    job = shell.write(START + "env.from_sequence(1, 10**7).print()\nenv.execute('long')\n")
    process = shell.start("run", "-q", job, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == b"1\n"
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 1
