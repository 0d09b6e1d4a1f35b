# SPDX-License-Identifier: Apache-2.0
"""The simulation: the same tasks in one thread, in an order that a seed decides, on a clock that stands still.

Same graph, same seed, same run. What the threads of the local executor may do in any order, a seed does in one.
"""

from __future__ import annotations

import random

from flinkcore.errors import JobExecutionError
from flinkcore.graph.job_graph import JobGraph
from flinkcore.runtime.deploy import deploy
from flinkcore.runtime.job import JobRun
from flinkcore.runtime.task import Progress
from flinkcore.time.clock import ManualClock

# A source that has nothing to read now may have something the next time; how often it is asked in a row.
POLLS_IN_VAIN_MAX = 10_000
POLL_AGAIN_MS = 2


def simulate(
    graph: JobGraph, seed: int = 0, clock: ManualClock | None = None, steps_max: int = 10_000_000
) -> JobRun:
    """Runs a bounded job to its end and returns it; raises what JobRun.wait raises.

    The clock advances, to the next time that some task waits for, only when no task can do anything else, and
    now and then by a random while, so that timers also fire among records.
    JobExecutionError : also when no task can ever go on, when sources have nothing to read for POLLS_IN_VAIN_MAX
        rounds, or after `steps_max` steps
    """
    rng = random.Random(seed)
    clock = clock or ManualClock(now_ms=1_000_000)
    job = JobRun(graph, clock)
    job.tasks = deploy(graph, clock, job.cancelled.is_set)
    job.started(lambda: None)
    running = list(job.tasks)
    current = running[0]
    try:
        for current in running:
            current.open()
        steps = polls_in_vain = 0
        while running:
            ready = list(running)
            worked = False
            while ready and not worked:
                current = ready.pop(rng.randrange(len(ready)))
                progress = current.step(choose=rng.choice)
                steps += 1
                worked = progress in (Progress.WORKED, Progress.FINISHED)
                if progress is Progress.FINISHED:
                    running.remove(current)
            if worked:
                polls_in_vain = 0
                if rng.random() < 0.02:
                    clock.advance(rng.randrange(1, 300))
            else:
                wakes = [wake for task in running if (wake := task.next_wake_ms()) is not None]
                if polls_in_vain < POLLS_IN_VAIN_MAX and any(task.source is not None for task in running):
                    polls_in_vain += 1
                    wakes.append(clock.now_ms() + POLL_AGAIN_MS)
                if not wakes:
                    raise JobExecutionError(
                        f"job '{graph.name}': no task can go on after {steps} steps (seed {seed}): "
                        + ", ".join(task.label for task in running)
                    )
                clock.advance(max(1, min(wakes) - clock.now_ms()))
            if steps > steps_max:
                raise JobExecutionError(f"job '{graph.name}': not done after {steps_max} steps (seed {seed})")
    except Exception as error:
        job.failed(current, error)
    for task in job.tasks:
        for failure in task.close():
            job.failed(task, failure)
    job.ended()
    job.wait()
    return job
