# SPDX-License-Identifier: Apache-2.0
"""A job through simulated processes: each crashes where the seed says, and the next goes on from what was stored."""

from __future__ import annotations

import math
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from flinkcore import faultpoint, options
from flinkcore.errors import ConfigurationError, FlinkcoreError, JobExecutionError
from flinkcore.graph.job_graph import JobGraph
from flinkcore.runtime.job import JobRun
from flinkcore.runtime.recovery import NEWEST
from flinkcore.runtime.simulation import STEPS_MAX, Process
from flinkcore.testing.storage import Calls, Crash, Disk, SimulatedStore
from flinkcore.time.clock import ManualClock

CHECKPOINT_INTERVAL_MS = 20
# So many calls of the storage fail in one run; a disk that never heals lets no job end.
FAULTS_MAX = 20
# A job whose program names no restart strategy gives up after so many restarts of one process more.
RESTARTS_MAX = 3
# Some processes live long, others do not.
DANGERS = (0.005, 0.02, 0.05)
# Many calls are made at the start alone.
CALLS_WEIGHT = 0.3


@dataclass(frozen=True)
class Disturbance:
    """What happens to a job, beside the order of its steps.

    crashes : how often its process stops, anywhere;  parallelism : one of these for each process
    storage_faults : share of storage calls, 0 to 1, that fail or are slow
    checkpoint_interval_ms : where the program sets none; None: a default, when there is something to recover from
    clock_skew_ms : by how much at most the clock of a process is ahead of or behind that of the one before it
    """

    crashes: int = 0
    parallelism: tuple[int, ...] = (1,)
    storage_faults: float = 0.0
    checkpoint_interval_ms: int | None = None
    clock_skew_ms: int = 0

    @property
    def drift(self) -> tuple[float, int]:
        """How the clock advances: with checkpoints, so that several come in a short job."""
        return (0.02, 300) if self.interval_ms is None else (0.2, 30)

    def __post_init__(self) -> None:
        """ConfigurationError: a number that is none of its kind"""
        if self.crashes < 0:
            raise ConfigurationError(f"crashes is {self.crashes}; expected how many there are to be, 0 or more")
        if not self.parallelism or min(self.parallelism) < 1:
            raise ConfigurationError(f"parallelism is {self.parallelism}; expected numbers, each at least 1")
        if not 0 <= self.storage_faults <= 1:
            raise ConfigurationError(f"storage_faults is {self.storage_faults}; expected a share, 0 to 1")
        if self.clock_skew_ms < 0:
            raise ConfigurationError(f"clock_skew_ms is {self.clock_skew_ms}; expected milliseconds, 0 or more")

    @property
    def interval_ms(self) -> int | None:
        if self.checkpoint_interval_ms is None and (self.crashes or self.storage_faults):
            return CHECKPOINT_INTERVAL_MS
        return self.checkpoint_interval_ms


class Danger:
    """Says at each event of a process, which is a step, a fault point or a storage call, whether it stops there.

    Each time that an event of one name comes again it does so less likely, by the root of how often it came: so that
    what happens seldom is hit as well as what happens often, and what comes late as well as what comes early.

    share : the likelihood of the first
    """

    def __init__(self, rng: random.Random, share: float) -> None:
        self._rng = rng
        self._share = share
        self._seen: Counter[str] = Counter()

    def strikes(self, name: str, weight: float = 1.0) -> bool:
        if not self._share:
            return False
        self._seen[name] += 1
        return self._rng.random() < weight * self._share / math.sqrt(self._seen[name])


def run(
    graph_of: Callable[[int], JobGraph],
    seed: int,
    disturbance: Disturbance,
    clock: ManualClock | None = None,
    trace: list[str] | None = None,
) -> JobRun:
    """Runs a bounded job to its end through crashes. -> its last process's run

    graph_of : builds the job anew, for a process of the given parallelism
    trace : takes down every step, fault and crash
    JobExecutionError : the job failed or can never end
    """
    return _Run(graph_of, seed, disturbance, clock or ManualClock(now_ms=1_000_000), trace).to_end()


class _Run:
    def __init__(
        self,
        graph_of: Callable[[int], JobGraph],
        seed: int,
        disturbance: Disturbance,
        clock: ManualClock,
        trace: list[str] | None,
    ) -> None:
        self.graph_of = graph_of
        self.seed = seed
        self.disturbance = disturbance
        self.clock = clock
        self.trace = trace
        self.rng = random.Random(seed)
        self.disk = Disk()
        self.crashes_left = disturbance.crashes
        self.faults_left = FAULTS_MAX

    def to_end(self) -> JobRun:
        job: JobRun | None = None
        while True:
            over = job is not None  # once it has ended it is resumed once more, when a crash is left
            job = self._process(self.rng.choice(DANGERS) if self.crashes_left and not over else 0.0)
            if job is None:
                continue
            job.wait()
            if over or not self.crashes_left:
                return job
            self._note("crash behind the end")
            self._lose_power()

    def _process(self, danger_share: float) -> JobRun | None:
        """One process. -> its run when it came to an end, None when it crashed"""
        graph = self._graph()
        danger = Danger(self.rng, danger_share)
        calls = Calls(
            self.rng,
            self.clock,
            self.disturbance.storage_faults,
            self.faults_left,
            lambda what: danger.strikes(what, CALLS_WEIGHT),
            self._note,
        )
        process: Process | None = None
        try:
            with _at_fault_points(danger, self._note):
                store = SimulatedStore(self.disk, calls)
                process = Process(
                    graph, self.clock, self.rng, f"seed {self.seed}", store, self.trace, self.disturbance.drift
                )
                while not process.run(1):
                    if danger.strikes("step"):
                        self._note("crash between steps")
                        raise Crash
                    if process.steps > STEPS_MAX:
                        raise JobExecutionError(f"job '{graph.name}' has not ended after {STEPS_MAX} steps")
            return process.job
        except Crash:
            pass
        except FlinkcoreError:
            if process is not None or not calls.faults:
                raise
            self._note("the process could not start")
            return None  # whoever runs it starts another one
        finally:
            calls.crashed = True
            self.faults_left -= calls.faults
        self._lose_power()
        return None

    def _graph(self) -> JobGraph:
        graph = self.graph_of(self.rng.choice(self.disturbance.parallelism))
        config = graph.config
        interval_ms = self.disturbance.interval_ms
        if interval_ms is not None and config.get(options.CHECKPOINT_INTERVAL) is None:
            config.set(options.CHECKPOINT_INTERVAL, interval_ms)
        if config.get(options.CHECKPOINT_INTERVAL) is not None:
            config.set(options.RECOVERY_PATH, NEWEST)
            if config.get(options.RESTART_STRATEGY) is None:
                config.set(options.RESTART_STRATEGY, "fixed-delay")
                config.set(options.RESTART_ATTEMPTS, self.faults_left + RESTARTS_MAX)
        return graph

    def _lose_power(self) -> None:
        self.crashes_left = max(0, self.crashes_left - 1)
        self.disk.lose_power(self.rng)
        skew_ms = self.disturbance.clock_skew_ms
        if skew_ms:
            self.clock = ManualClock(max(0, self.clock.now_ms() + self.rng.randint(-skew_ms, skew_ms)))

    def _note(self, what: str) -> None:
        if self.trace is not None:
            self.trace.append(f"{self.clock.now_ms()} {what}")


@contextmanager
def _at_fault_points(danger: Danger, note: Callable[[str], None]) -> Iterator[None]:
    """Raises Crash at a fault point that this thread reaches, when danger strikes."""
    outer, thread = faultpoint.hook, threading.get_ident()

    def reached(name: str) -> None:
        if threading.get_ident() == thread and danger.strikes(name):
            note(f"crash at {name}")
            raise Crash

    faultpoint.hook = reached
    try:
        yield
    finally:
        faultpoint.hook = outer


def as_choices(parallelism: int | Sequence[int]) -> tuple[int, ...]:
    """The parallelism of each process is one of these."""
    return (parallelism,) if isinstance(parallelism, int) else tuple(parallelism)


__all__ = ["Disturbance", "as_choices", "run"]
