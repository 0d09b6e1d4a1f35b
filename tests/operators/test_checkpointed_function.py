# SPDX-License-Identifier: Apache-2.0
"""Functions that put what they keep in themselves into operator state when a checkpoint is made."""

from __future__ import annotations

import pyarrow as pa
import pytest

from flinkcore.columnar.schema import Schema
from flinkcore.common import Types
from flinkcore.datastream import CheckpointedFunction, FlatMapFunction
from flinkcore.errors import UserFunctionError
from flinkcore.operators.process import FlatMapRows
from flinkcore.state.descriptors import ListStateDescriptor
from flinkcore.testing.harness import harness
from flinkcore.testing.simulation import simulate

LONGS = Schema(("value",), (pa.int64(),), "value")


class Pairs(FlatMapFunction, CheckpointedFunction):
    """Sums of two numbers each; one that waits for another is kept in a field."""

    union = False

    def initialize_state(self, context):
        store = context.get_operator_state_store()
        descriptor = ListStateDescriptor("waiting", Types.LONG())
        self.state = store.get_union_list_state(descriptor) if self.union else store.get_list_state(descriptor)
        self.waiting = list(self.state.get())
        self.restored = context.is_restored()
        self.opened_after = []

    def open(self, runtime_context):
        self.opened_after = list(self.waiting)

    def snapshot_state(self, context):
        assert context.get_checkpoint_id() > 0 and context.get_checkpoint_timestamp() >= 0
        self.state.update(self.waiting)

    def flat_map(self, value):
        self.waiting.append(value)
        while len(self.waiting) >= 2:
            yield self.waiting.pop(0) + self.waiting.pop(0)


class UnionPairs(Pairs):
    union = True


def pairs(function=None, **options):
    return harness(FlatMapRows(LONGS, function or Pairs(), LONGS), **options)


def test_what_waits_goes_through_a_snapshot_and_is_there_before_open():
    op = pairs()
    assert not op.operator._function.restored
    assert op.batch([1, 2, 3]).output() == [3]
    again = pairs(restore=op.snapshot())
    assert again.operator._function.restored and again.operator._function.opened_after == [3]
    assert again.batch([4]).output() == [7]


@pytest.mark.parametrize("function, expected", [(Pairs, 1), (UnionPairs, 2)])
def test_items_of_a_list_are_dealt_out_and_those_of_a_union_go_to_all(function, expected):
    op = pairs(function())
    op.batch([5])
    halves = [pairs(function(), restore=op.snapshot(), parallelism=2, subtask_index=i) for i in range(2)]
    assert sum(half.operator._function.waiting.count(5) for half in halves) == expected


@pytest.mark.parametrize("seed", range(20))
def test_a_crash_loses_and_repeats_nothing_that_was_kept(seed):
    def build(env):
        return env.from_sequence(1, 41).flat_map(Pairs(), Types.LONG())

    found = simulate(build, seed, crashes=3, checkpoint_interval_ms=5)
    assert sum(found) == sum(range(1, 41))  # 41 waits for another at the end


def test_an_error_names_the_method():
    class Broken(Pairs):
        def initialize_state(self, context):
            raise ValueError("no state")

    with pytest.raises(UserFunctionError, match=r"Broken.initialize_state raised ValueError: no state"):
        pairs(Broken())
