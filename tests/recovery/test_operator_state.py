# SPDX-License-Identifier: Apache-2.0
"""Operator state through savepoints of running jobs, at any parallelism before and after."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from flinkcore import options
from flinkcore.common import Types, WatermarkStrategy
from flinkcore.datastream.functions import KeyedBroadcastProcessFunction, RuntimeContext
from flinkcore.datastream.state import ListStateDescriptor
from flinkcore.runtime.job import JobRun
from tests.recovery.pipelines import RULES, EachRecord, Numbers, environment, numbers, rules

RUN_S_MAX = 60
COUNT_RULES = 30
SEEN = ListStateDescriptor("seen", Types.LONG())
OPENED = ListStateDescriptor("opened", Types.TUPLE([Types.LONG(), Types.LONG()]))
#: What subtasks held when they opened, and when they closed: (split items, items of the union, broadcast map).
opened: list[tuple[list[int], list[tuple[int, int]], dict[Any, int]]] = []
closed: list[tuple[list[int], list[tuple[int, int]], dict[Any, int]]] = []
going = threading.Event()  # some records were processed


class Keeps(KeyedBroadcastProcessFunction):
    """Remembers every value in a list, every rule in the broadcast state, and itself in the union."""

    def open(self, runtime_context: RuntimeContext) -> None:
        store = runtime_context.get_operator_state_store()
        self.seen = store.get_list_state(SEEN)
        self.union = store.get_union_list_state(OPENED)
        self.rules = store.get_broadcast_state(RULES)
        opened.append(self.held())
        place = runtime_context.get_index_of_this_subtask(), runtime_context.get_number_of_parallel_subtasks()
        self.union.update([place])

    def process_element(self, value: Any, ctx: KeyedBroadcastProcessFunction.ReadOnlyContext) -> None:
        self.seen.add(value[1])
        if value[1] > 100:
            going.set()

    def process_broadcast_element(self, value: Any, ctx: KeyedBroadcastProcessFunction.Context) -> None:
        ctx.get_broadcast_state(RULES).put((value[0], value[2]), value[1])

    def close(self) -> None:
        closed.append(self.held())

    def held(self) -> tuple[list[int], list[tuple[int, int]], dict[Any, int]]:
        return self.seen.get(), self.union.get(), dict(self.rules.items())


def job(parallelism: int, start: str | None) -> JobRun:
    opened.clear()
    closed.clear()
    going.clear()
    env = environment(None, parallelism)
    env.set_max_parallelism(16)
    if start is not None:
        env.get_configuration().set(options.RECOVERY_PATH, start)
    changes = env.from_source(
        Numbers(1, 0.001, rules, count=COUNT_RULES, rows_per_read=1),
        WatermarkStrategy.for_generator(EachRecord).with_timestamp_column("ts"),
        "rules",
    ).uid("rules")
    stream = numbers(env, splits=2).key_by(lambda row: row[0], Types.LONG()).connect(changes.broadcast(RULES))
    stream.process(Keeps()).uid("keeps").print()
    return env.launch("operator state")


@pytest.mark.parametrize("p, q", [(p, q) for p in range(1, 5) for q in range(1, 5)])
def test_a_savepoint_gives_operator_state_to_any_parallelism(tmp_path: Path, p: int, q: int) -> None:
    first = job(p, None)
    assert going.wait(RUN_S_MAX)
    savepoint = first.savepoint(str(tmp_path), stop=True).result(RUN_S_MAX)
    first.wait()
    before = list(closed)
    second = job(q, savepoint)
    second.wait()
    assert len(opened) == len(closed) == q
    values = sorted(value for seen, _, _ in before for value in seen)
    assert sorted(value for seen, _, _ in opened for value in seen) == values, "each item went to one subtask"
    assert [sorted(union) for _, union, _ in opened] == [[(i, p) for i in range(p)]] * q
    assert [held for _, _, held in opened] == [before[0][2]] * q
    assert sorted(value for seen, _, _ in closed for value in seen) == list(range(4000))
    assert [len(held) for _, _, held in closed] == [COUNT_RULES] * q
