# SPDX-License-Identifier: Apache-2.0
"""From a job graph to tasks that go on from a checkpoint."""

from __future__ import annotations

import pytest

from flinkcore.checkpoint.assignment import Restoration
from flinkcore.common import Types, WatermarkStrategy
from flinkcore.datastream import StreamExecutionEnvironment
from flinkcore.runtime.deploy import RunFacts, deploy
from flinkcore.runtime.task import Progress
from flinkcore.time.clock import ManualClock
from tests.recovery.pipelines import Numbers


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ([], []),
        ([("map", 0)], []),  # the source, of another parallelism now, sends records to it again
        ([("source", 0), ("map", 0)], [("source", 0), ("map", 0)]),
        ([("source", 0), ("map", 0), ("map", 1)], [("source", 0), ("map", 0), ("map", 1)]),
    ],
)
def test_a_subtask_is_over_when_all_that_is_before_it_is(over, expected):
    env = StreamExecutionEnvironment.get_execution_environment()
    source = env.from_source(Numbers(2), WatermarkStrategy.no_watermarks(), "source").set_parallelism(1)
    source.map(str, Types.STRING()).name("map").set_parallelism(2).print().name("sink").set_parallelism(1)
    graph = env.job_graph()
    nodes = {node.name: node for node in graph.nodes}
    restoration = Restoration(over=frozenset((nodes[name].operator_id, index) for name, index in over))
    tasks = deploy(graph, ManualClock(0), run=RunFacts(restoration))
    assert [(task.name, task.subtask_index) for task in tasks if task.was_over] == expected


def test_a_task_that_is_held_back_waits_for_room_and_for_no_timer():
    env = StreamExecutionEnvironment.get_execution_environment().set_parallelism(1)
    env.get_config().set_auto_watermark_interval(10)
    strategy = WatermarkStrategy.for_monotonous_timestamps()
    env.disable_operator_chaining().from_source(Numbers(pause_s=0), strategy, "source").print()
    clock = ManualClock(0)
    source, sink = deploy(env.job_graph(), clock)
    for task in (sink, source):
        task.open()
    while source.step() is Progress.WORKED:
        pass
    clock.advance(10)
    assert source.step() is Progress.BLOCKED
    assert source.next_wake_ms() is None
    while not source.channels_out[0].has_room:
        source.channels_out[0].take()
    assert source.next_wake_ms() == 10
