# SPDX-License-Identifier: Apache-2.0
"""Random jobs by seed: what each is, whether every way to run it gives what plain Python says.

    python -m tests.simulation.campaign 17            one seed, with the job that it makes
    python -m tests.simulation.campaign 0 5000        seeds 0 to 4999; prints those that fail
    python -m tests.simulation.campaign 0 5000 --crashes      ... through crashes, rescales and storage that fails
"""

from __future__ import annotations

import random
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flinkcore.runtime import local, simulation
from flinkcore.runtime.job import JobRun
from tests.simulation.data import random_records
from tests.simulation.end import End, Found
from tests.simulation.ends import random_end
from tests.simulation.late import LateJob, random_late_job
from tests.simulation.outcome import Keep, check_run, watched
from tests.simulation.physical import Physical
from tests.simulation.sources import KINDS, Input
from tests.simulation.steps import Step, random_steps, to_object, to_row

SIMULATED_RUNS = 3
RUN_TIMEOUT_S = 30


@dataclass
class Job:
    """ordered : one source, and nothing before the key that changes the order of records"""

    input: Input
    steps: list[Step]
    end: End
    ordered: bool
    batch_mode: bool

    def build(self, physical: Physical, make_sink: Callable[[str], Any] = lambda name: Keep()) -> dict[str, Any]:
        stream = self.input.stream(physical)
        for step in self.steps:
            if not step.name.startswith("broadcast"):
                stream = physical.route(stream)
            stream = step.build(stream, physical)
            if not step.name.startswith(("broadcast", "diamond", "divert")):
                stream = physical.place(stream)
        sinks = {}
        for name, output in self.end.build(stream, physical).items():
            sinks[name] = make_sink(name)
            parallelism = output._transformation.parallelism
            sink = output.sink_to(sinks[name]).name(f"Keep {name}")
            # As many writers as there are subtasks before, or one: the records of a key stay in order.
            if parallelism is not None and physical.rng.random() < 0.5:
                sink.set_parallelism(parallelism)
            else:
                sink.set_parallelism(1)
        return sinks

    def check(self, found: Found) -> None:
        records = self.input.records
        for step in self.steps:
            records = step.naive(records)
        self.end.check(found, records, self.ordered, self.batch_mode)

    def __str__(self) -> str:
        sources = ", ".join(
            f"{kind} of {len(records)}" for kind, records in zip(self.input.kinds, self.input.sources)
        )
        steps = "".join(f"\n  {step.name}" for step in self.steps)
        order = "in order" if self.ordered else "in any order"
        mode = ", batch mode" if self.batch_mode else ""
        return f"{sources}, {self.input.form}s, {order}{mode}{steps}\n  {self.end}"


def random_job(seed: int) -> Job | LateJob:
    rng = random.Random(f"job {seed}")
    if rng.random() < 0.2:
        return random_late_job(rng)
    ordered = rng.random() < 0.4
    wild = rng.random() < 0.25
    source_count = 1 if ordered else rng.randint(1, 3)
    base_ms = rng.choice([0, -5000, 1_600_000_000_000])
    disorder_ms = rng.choice([0, 10, 120])
    sources = []
    for i in range(source_count):
        some, more, most = rng.randint(0, 30), rng.randint(10, 150), rng.randint(100, 400)
        count = rng.choice([0, 1, 3, some, more, more, most])
        sources.append(tuple(random_records(rng, count, i * 1000, base_ms, disorder_ms, wild)))
    form = rng.choice(["row", "object"])
    end = random_end(rng, ordered, wild)
    steps = random_steps(rng, ordered, form)
    if wild:  # steps on rows compute with Python's numbers
        steps = [step for step in steps if step.name not in ("map",)]
    now = form
    for step in steps:
        now = step.form_out or now
    if end.form == "row" and now == "object":
        steps.append(to_row())
    elif end.form == "object" and now == "row":
        steps.append(to_object())
    kinds = tuple(rng.choice(KINDS) for _ in sources)
    return Job(Input(tuple(sources), disorder_ms, kinds, form), steps, end, ordered, rng.random() < 0.1)


def run_one(seed: int, job: Job | LateJob, number: int) -> None:
    """One way to run the job of a seed; the last one in threads."""
    physical = Physical(f"run {seed} {number}", job.ordered, job.batch_mode)
    sinks = job.build(physical)
    graph = physical.env.job_graph()
    physical.env.close()
    with watched() as watch:
        run: JobRun
        if number < SIMULATED_RUNS:
            run = simulation.simulate(graph, seed * 10 + number)
        else:
            run = local.execute(graph)
            if not run.wait(RUN_TIMEOUT_S):
                run.cancel()
                raise AssertionError(f"the threads were not done after {RUN_TIMEOUT_S} s")
    check_run(run, watch, job.end.clocked)
    job.check({name: sink.results() for name, sink in sinks.items()})


def check_seed(seed: int) -> None:
    """Every way to run the job of a seed. AssertionError says what differs, and how to see it again."""
    job = random_job(seed)
    for number in range(SIMULATED_RUNS + 1):
        try:
            run_one(seed, job, number)
        except Exception as error:
            how = f"simulated run {number}" if number < SIMULATED_RUNS else "run in threads"
            raise AssertionError(
                f"seed {seed}, {how}: {type(error).__name__}: {error}\n"
                f"replay: python -m tests.simulation.campaign {seed}\n{job}"
            ) from error


def main(arguments: list[str]) -> int:
    from tests.simulation.crashes import check_crashes, crashing_job

    crashes = "--crashes" in arguments
    check, job = (check_crashes, crashing_job) if crashes else (check_seed, random_job)
    first, *rest = [int(argument) for argument in arguments if argument != "--crashes"]
    last = rest[0] if rest else first + 1
    failed = []
    for seed in range(first, last):
        try:
            check(seed)
        except AssertionError as error:
            failed.append(seed)
            if last - first == 1:
                traceback.print_exception(error)
            print(error, flush=True)
            print("-" * 100)
        if (seed + 1 - first) % 1000 == 0:
            print(f"{seed + 1 - first} seeds, {len(failed)} failed", flush=True)
    print(f"{last - first} seeds, {len(failed)} failed: {failed}")
    if last - first == 1:
        print(job(first))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
