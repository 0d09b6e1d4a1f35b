# SPDX-License-Identifier: Apache-2.0
"""python -m bench start: how long the whole process of `flinkcore run` takes for a job that is over at once, a word
count of 1 KB; beside it Python alone, and Python with `import flinkcore`."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from bench.results import ROOT, Line, Section

TEXT = ("to be or not to be that is the question whether tis nobler in the mind to suffer " * 13)[:1024]
PROGRAM = f"""
from pyflink.common import Types
from pyflink.datastream import StreamExecutionEnvironment

TEXT = {TEXT!r}

env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(1)
words = env.from_collection([TEXT], Types.STRING()).flat_map(lambda line: line.split(), Types.STRING())
pairs = words.map(lambda word: (word, 1), Types.TUPLE([Types.STRING(), Types.INT()]))
pairs.key_by(lambda pair: pair[0]).reduce(lambda a, b: (a[0], a[1] + b[1])).print()
env.execute("word count")
"""


def check(printed: str) -> None:
    """The last count of each word is right. ValueError: it is not."""
    last = dict(line.strip("()").split(",") for line in printed.splitlines() if line.startswith("("))
    found = {word: int(count) for word, count in last.items()}
    if found != Counter(TEXT.split()):
        raise ValueError(f"the word count printed {printed[:200]!r}")


def seconds_of(command: list[str]) -> tuple[float, str]:
    start_ns = time.perf_counter_ns()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    elapsed_ns = time.perf_counter_ns() - start_ns
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr.strip().splitlines()[-1:]}")
    return elapsed_ns / 1e9, done.stdout


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repetitions", type=int, default=10)


def run(options: argparse.Namespace) -> list[Section]:
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "word_count.py"
        program.write_text(PROGRAM)
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "import flinkcore": [sys.executable, "-c", "import flinkcore"],
            "flinkcore run, a word count of 1 KB": [sys.executable, "-m", "flinkcore", "run", str(program)],
        }
        lines = []
        for name, command in commands.items():
            seconds_of(command)  # brings files into the cache
            values = []
            for _ in range(options.repetitions):
                elapsed, printed = seconds_of(command)
                values.append(elapsed)
            lines.append(Line(name, "s", values, more_is_better=False))
        check(printed)
    return [Section("start of a process", "start", lines)]
