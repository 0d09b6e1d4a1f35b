# SPDX-License-Identifier: Apache-2.0
"""Jobs in child processes that are killed (SIGKILL) at fault points, resumed, killed again, and run to their end.

Whatever a reader of the output folder then sees must be what a run without kills gives: nothing lost, nothing twice.
One scenario, or many:

    python -m tests.recovery.kills SCENARIO         replays one, e.g. "tumbling 2:manifest.linked*3 3:upload.done*1 2"
    python -m tests.recovery.kills --campaign 5000  seeded ones until so many processes were killed
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path
from types import ModuleType

from flinkcore import faultpoint, options
from flinkcore.state.memory import BUDGET_BYTES_MIN
from tests.recovery.pipelines import PIPELINES, committed, environment

RUN_S_MAX = 60
SEGMENT_FILES = ("tumbling", "session", "running", "broadcast")
SPILLING = "spilling"  # the one that has a memory budget


@dataclass(frozen=True)
class Kill:
    """A run with a parallelism, whose process is killed when it reaches a fault point for the count-th time."""

    parallelism: int
    point: str
    count: int

    def __str__(self) -> str:
        return f"{self.parallelism}:{self.point}*{self.count}"

    @staticmethod
    def parse(text: str) -> Kill:
        parallelism, _, rest = text.partition(":")
        point, _, count = rest.partition("*")
        return Kill(int(parallelism), point, int(count or 1))


@dataclass(frozen=True)
class Scenario:
    """Runs one after the other, each resuming where the one before was killed; the last one to its end."""

    pipeline: str
    kills: tuple[Kill, ...]
    parallelism: int  # of the last run

    def __str__(self) -> str:
        return " ".join([self.pipeline, *map(str, self.kills), str(self.parallelism)])

    @staticmethod
    def parse(text: str) -> Scenario:
        pipeline, *kills, parallelism = text.split()
        return Scenario(pipeline, tuple(map(Kill.parse, kills)), int(parallelism))

    @staticmethod
    def of_seed(seed: int) -> Scenario:
        """Any pipeline, one to four kills anywhere, a parallelism of one to three, often another after each kill."""
        rng = random.Random(seed)
        pipeline = rng.choice(sorted(PIPELINES))
        kills = [
            Kill(rng.randrange(1, 4), rng.choice(points_of(pipeline)), min(30, 1 + int(rng.expovariate(0.2))))
            for _ in range(rng.randrange(1, 5))
        ]
        return Scenario(pipeline, tuple(kills), rng.randrange(1, 4))


def points_of(pipeline: str) -> list[str]:
    """The fault points that a pipeline comes by."""
    return [name for name in faultpoint.NAMES if pipeline == SPILLING or not name.startswith("spill")]


def scenarios(pipeline: str, seed: int) -> Iterator[Scenario]:
    """A pipeline killed at each fault point, and resumed with another parallelism."""
    rng = random.Random(f"{pipeline} {seed}")
    for point in points_of(pipeline):
        before = []
        if point.startswith(("restore", "rescale")):  # then there must be something to restore
            before = [Kill(2, "manifest.linked", rng.randrange(2, 5))]
        kills = [*before, Kill(3, point, rng.choice([1, 1, 2, 3]))]
        yield Scenario(pipeline, tuple(kills), rng.choice([1, 2, 3]))


def run_child(pipeline: str, folder: str, parallelism: int, resume: bool, kill: Kill | None) -> None:
    """The whole life of a child process."""
    reached: Counter[str] = Counter()

    def stop(name: str) -> None:
        reached[name] += 1
        if kill is not None and name == kill.point and reached[name] == kill.count:
            os.kill(os.getpid(), signal.SIGKILL)

    faultpoint.hook = stop
    base = Path(folder)
    env = environment(base / "checkpoints", parallelism)
    env.set_max_parallelism(16)
    env.get_configuration().set(options.THREADS, "SLOT" if parallelism > 1 else "TASK")  # resumed with either
    if pipeline == SPILLING:
        env.get_configuration().set(options.MANAGED_MEMORY_SIZE, BUDGET_BYTES_MIN)
    if pipeline in SEGMENT_FILES:  # however small; elsewhere they lie in the manifest
        env.get_configuration().set(options.DATA_INLINE_THRESHOLD, 0)
    if resume:
        env.get_configuration().set(options.RECOVERY_PATH, "newest")
    PIPELINES[pipeline](env, base / "output")
    with open(base / "errors.txt", "a") as errors:
        os.dup2(errors.fileno(), 2)
        env.execute(pipeline)


@contextmanager
def _no_program() -> Iterator[None]:
    """A child would run what stands as __main__ here, e.g. a program that an earlier test has run in this process."""
    program = sys.modules["__main__"]
    if run_child.__module__ != "__main__":
        sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = program


class Children:
    """Child processes forked from one that has imported everything already."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["tests.recovery.kills"])
        self._lock = threading.Lock()

    def run(self, pipeline: str, folder: Path, parallelism: int, resume: bool, kill: Kill | None) -> int:
        """-> the exit code; -9 when it was killed"""
        process = self._context.Process(target=run_child, args=(pipeline, str(folder), parallelism, resume, kill))
        with self._lock, _no_program():
            process.start()
        ended = connection.wait([process.sentinel], RUN_S_MAX)
        with self._lock:  # starting a process asks all others whether they have ended, and an answer is given once
            if not ended:
                process.kill()
            process.join()
            return (process.exitcode or 0) if ended else 124


def play(scenario: Scenario, children: Children, folder: Path, expected: list[str]) -> int:
    """Plays a scenario. -> how many processes were killed; AssertionError with the command that plays it again"""
    again = f'replay with: python -m tests.recovery.kills "{scenario}"'
    killed = 0
    for position, kill in enumerate(scenario.kills):
        code = children.run(scenario.pipeline, folder, kill.parallelism, position > 0, kill)
        assert code in (0, -9), f"exit code {code}\n{_errors(folder)}\n{again}"
        killed += code == -9
        if code == 0:
            break
    code = children.run(scenario.pipeline, folder, scenario.parallelism, True, None)
    assert code == 0, f"the last run ended with {code}\n{_errors(folder)}\n{again}"
    found = committed(folder / "output")
    if found != expected:
        lost, extra = Counter(expected) - Counter(found), Counter(found) - Counter(expected)
        raise AssertionError(
            f"{sum(lost.values())} lines lost, e.g. {list(lost)[:3]}; {sum(extra.values())} too many, "
            f"e.g. {list(extra)[:3]}\n{_errors(folder)}\n{again}"
        )
    hidden = [path.name for path in (folder / "output").rglob(".*") if path.is_file()]
    assert not hidden, f"files left behind: {hidden[:3]}\n{again}"
    return killed


def _errors(folder: Path) -> str:
    path = folder / "errors.txt"
    return path.read_text()[-4000:] if path.exists() else ""


def expected_lines(pipeline: str, folder: Path) -> list[str]:
    """What a run without kills and without checkpoints writes."""
    folder.mkdir(parents=True, exist_ok=True)
    env = environment(None, 1)
    PIPELINES[pipeline](env, folder / "output")
    env.execute(pipeline)
    return committed(folder / "output")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", nargs="?")
    parser.add_argument("--campaign", type=int, default=0, metavar="KILLS")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="flinkcore-kills-"))
    children, killed, played = Children(), 0, 0
    began = time.monotonic()
    expected = functools.cache(lambda name: expected_lines(name, base / "expected" / name))

    def told() -> None:
        spent_s = time.monotonic() - began
        print(f"{played} scenarios, {killed} kills, {failures} failures, {spent_s:.0f} s", flush=True)

    def play_in(scenario: Scenario) -> int:
        folder = base / "scenario"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return play(scenario, children, folder, expected(scenario.pipeline))

    if options.scenario:
        print(f"{play_in(Scenario.parse(options.scenario))} processes killed; nothing lost, nothing twice")
        return 0
    failures = 0
    seed = options.seed
    while killed < options.campaign:
        try:
            killed += play_in(Scenario.of_seed(seed))
        except AssertionError as error:
            failures += 1
            print(f"seed {seed}: {error}", flush=True)
        seed += 1
        played += 1
        if played % 50 == 0:
            told()
    told()
    shutil.rmtree(base)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
