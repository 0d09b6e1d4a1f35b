# SPDX-License-Identifier: Apache-2.0
"""At least once: barriers wait for nobody, so that a restored job may count records again, and loses none."""

from __future__ import annotations

from collections import Counter

import pytest

from flinkcore.common import Types
from flinkcore.datastream import CheckpointingMode, DataStream, StreamExecutionEnvironment
from flinkcore.testing import simulate

RECORDS = [(f"k{i % 5}", i) for i in range(120)]
SEEDS = range(24)


def joined(mode: CheckpointingMode, counted: bool):
    """Two sources whose records meet behind an exchange; counted: each with the number of its key so far."""

    def build(env: StreamExecutionEnvironment) -> DataStream:
        env.enable_checkpointing(10, mode)
        env.get_configuration().set_string("flinkcore.batch-rows", "4")
        pair = Types.TUPLE([Types.STRING(), Types.LONG()])
        halves = [env.from_collection(RECORDS[i::2], pair).rebalance() for i in range(2)]
        keyed = halves[0].union(halves[1]).key_by(lambda record: record[0], Types.STRING())
        if not counted:
            return keyed.map(lambda record: record, pair)
        ones = keyed.map(lambda record: (record[0], 1), pair).key_by(lambda record: record[0], Types.STRING())
        return ones.reduce(lambda a, b: (a[0], a[1] + b[1]))

    return build


def found(mode: CheckpointingMode, counted: bool, seed: int) -> Counter:
    return Counter(
        simulate(joined(mode, counted), seed, crashes=4, parallelism=(1, 2, 3), storage_faults=0.02)
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_no_record_is_lost(seed):
    assert not Counter(RECORDS) - found(CheckpointingMode.AT_LEAST_ONCE, False, seed)


def test_some_records_are_counted_again_as_no_barrier_is_waited_for():
    totals = {key: sum(1 for other, _ in RECORDS if other == key) for key, _ in RECORDS}
    more = 0
    for seed in SEEDS:
        highest = Counter()
        for key, total in found(CheckpointingMode.AT_LEAST_ONCE, True, seed):
            highest[key] = max(highest[key], total)
        assert all(highest[key] >= total for key, total in totals.items())
        more += any(highest[key] > total for key, total in totals.items())
        exact = found(CheckpointingMode.EXACTLY_ONCE, True, seed)
        assert exact == Counter((key, i) for key, total in totals.items() for i in range(1, total + 1))
    assert more > 0
