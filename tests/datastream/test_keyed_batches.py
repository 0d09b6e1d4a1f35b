# SPDX-License-Identifier: Apache-2.0
"""map_batches on a keyed stream: functions of record batches with states of many keys at a time."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from flinkcore.columnar.schema import Schema
from flinkcore.common import Configuration, Types
from flinkcore.datastream import KeyedBatchFunction, StreamExecutionEnvironment
from flinkcore.datastream.state import ValueStateDescriptor
from flinkcore.errors import ConfigurationError, JobExecutionError, SchemaError
from flinkcore.operators.keyed_batches import KeyedMapBatches
from flinkcore.testing.harness import Harness
from tests.datastream.jobs import environment, table_of


class Deltas(KeyedBatchFunction):
    """Of each value, how much it is above the one before it of its key."""

    def open(self, runtime_context):
        self.last = runtime_context.get_batch_state(ValueStateDescriptor("last", Types.LONG()))

    def map_batch(self, batch, context):
        order = np.argsort(context.ids, kind="stable")
        ids, values = context.ids[order], batch["v"].to_numpy()[order]
        first = np.append(True, ids[1:] != ids[:-1])
        before = np.append(0, values[:-1])
        before[first] = self.last.get_many(ids[first]).fill_null(0).to_numpy()
        deltas = np.empty(len(order), np.int64)
        deltas[order] = values - before
        self.last.put_many(context.ids, batch["v"])
        return batch.set_column(1, "v", pa.array(deltas))


@pytest.mark.parametrize("parallelism", [1, 3])
@pytest.mark.parametrize("batch_rows", [1, 7, 10_000])
def test_the_answer_depends_neither_on_batches_nor_on_parallelism(parallelism, batch_rows):
    rng = np.random.default_rng(1)
    data = pa.table({"k": rng.integers(0, 20, 500), "v": rng.integers(0, 100, 500)})
    last, expected = {}, []
    for key, value in zip(data["k"].to_pylist(), data["v"].to_pylist()):
        expected.append((key, value - last.get(key, 0)))
        last[key] = value
    env = StreamExecutionEnvironment.get_execution_environment(
        Configuration().set_integer("flinkcore.batch-rows", batch_rows)
    ).set_parallelism(1)
    deltas = env.from_arrow(data).key_by("k").map_batches(Deltas()).set_parallelism(parallelism)
    found = table_of(deltas)
    assert sorted(zip(found["k"], found["v"])) == sorted(expected)


def test_a_plain_function_on_a_keyed_stream_has_no_keys():
    stream = environment().from_arrow({"k": [1, 2], "v": [3, 4]}).key_by("k")
    found = table_of(stream.map_batches(lambda batch: batch.select(["v"])))
    assert sorted(found["v"]) == [3, 4]


def test_what_it_returns_may_be_declared():
    class Names(KeyedBatchFunction):
        def map_batch(self, batch, context):
            return {"name": pc.cast(batch["k"], pa.string())}

    stream = environment().from_arrow({"k": [1, 2]}).key_by("k")
    found = table_of(stream.map_batches(Names(), pa.schema([("name", pa.string())])))
    assert sorted(found["name"]) == ["1", "2"]
    with pytest.raises(JobExecutionError, match="returned columns name, expected k"):
        table_of(stream.map_batches(Names()))


def test_rows_and_states_of_one_key_are_refused():
    class Single(Deltas):
        def open(self, runtime_context):
            runtime_context.get_state(ValueStateDescriptor("last", Types.LONG()))

    stream = environment().from_arrow({"k": [1], "v": [1]}).key_by("k")
    with pytest.raises(JobExecutionError, match="has no current key; use get_batch_state"):
        table_of(stream.map_batches(Single()))
    with pytest.raises(SchemaError, match="Python objects"):
        environment().from_collection([1, 2]).key_by(lambda n: n).map_batches(Deltas())
    with pytest.raises(ConfigurationError, match="output_schema"):
        stream.map_batches(Deltas(), "v")


def test_what_it_raises_names_the_function():
    class Wrong(Deltas):
        def map_batch(self, batch, context):
            return 1 // (len(context.ids) - len(batch))

    with pytest.raises(JobExecutionError, match="Wrong raised ZeroDivisionError"):
        table_of(environment().from_arrow({"k": [1], "v": [1]}).key_by("k").map_batches(Wrong()))


class LateDeltas(Deltas):
    """Asks for its state once there is a value of 0 or more."""

    def open(self, runtime_context):
        self.context = runtime_context

    def map_batch(self, batch, context):
        if batch["v"][0].as_py() < 0:
            return batch
        Deltas.open(self, self.context)
        return Deltas.map_batch(self, batch, context)


def test_keys_of_a_restored_state_are_given_to_no_others_before_it_is_asked_for():
    schema = Schema(("k", "v"), (pa.string(), pa.int64()))

    def subtask(restore=None):
        operator = KeyedMapBatches(schema, LateDeltas(), schema, Schema(("k",), (pa.string(),)))
        return Harness(operator, schema, "k", restore=restore)

    before = subtask().batch([("a", 1), ("b", 2)])
    after = subtask(before.snapshot()).batch([("x", -1)]).batch([("y", 8), ("z", 9), ("a", 3), ("b", 4)])
    assert after.output() == [("x", -1), ("y", 8), ("z", 9), ("a", 2), ("b", 2)]
