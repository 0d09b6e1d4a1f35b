# SPDX-License-Identifier: Apache-2.0
"""From a job graph to tasks that go on from a checkpoint."""

from __future__ import annotations

import pytest

from flinkcore.checkpoint.assignment import Restoration
from flinkcore.common import Types, WatermarkStrategy
from flinkcore.datastream import StreamExecutionEnvironment
from flinkcore.runtime.deploy import RunFacts, deploy
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
