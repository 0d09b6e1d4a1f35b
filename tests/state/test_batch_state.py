# SPDX-License-Identifier: Apache-2.0
"""States of many keys at a time, against a dict."""

from __future__ import annotations

import datetime
import random

import numpy as np
import pyarrow as pa
import pytest

from flinkcore._native.column import Column
from flinkcore.columnar import typeinfo as ti
from flinkcore.columnar.instant import Instant
from flinkcore.columnar.objects import hash_keys
from flinkcore.columnar.row import Row
from flinkcore.columnar.typeinfo import BasicType, BasicTypeInfo
from flinkcore.errors import SchemaError, UnsupportedOperationError
from flinkcore.state.batch_state import ColumnValues, RowValues, batch_state
from flinkcore.state.descriptors import ListStateDescriptor, ValueStateDescriptor
from flinkcore.state.keyed import KeyedState
from flinkcore.state.manager import StateManager
from flinkcore.state.ttl import StateTtlConfig
from flinkcore.time.clock import ManualClock

LONG = BasicTypeInfo(BasicType.LONG)
TYPES = {
    "LONG": (LONG, lambda rng: rng.randrange(-(2**63), 2**63)),
    "BYTE": (BasicTypeInfo(BasicType.BYTE), lambda rng: rng.randrange(-128, 128)),
    "DOUBLE": (BasicTypeInfo(BasicType.DOUBLE), lambda rng: rng.random()),
    "FLOAT": (BasicTypeInfo(BasicType.FLOAT), lambda rng: rng.randrange(1000) / 8),
    "BOOLEAN": (BasicTypeInfo(BasicType.BOOLEAN), lambda rng: rng.random() < 0.5),
    "STRING": (BasicTypeInfo(BasicType.STRING), lambda rng: "ä" * rng.randrange(40)),
    "BYTES": (
        ti.PrimitiveArrayTypeInfo(BasicTypeInfo(BasicType.BYTE)),
        lambda rng: bytes(rng.randrange(40)),
    ),
    "DATE": (ti.DateTypeInfo(), lambda rng: datetime.date(2020, 1, rng.randrange(1, 30))),
    "TIMESTAMP": (
        ti.TimestampTypeInfo(),
        lambda rng: datetime.datetime(1960, 1, 1, 0, 0, 0, rng.randrange(9)),
    ),
    "LIST": (ti.ListTypeInfo(LONG), lambda rng: [rng.randrange(9)]),
    "ROW": (ti.RowTypeInfo([LONG, LONG], ["a", "b"]), lambda rng: {"a": rng.randrange(9), "b": None}),
}


def keyed_state(keys=8):
    keyed = KeyedState(StateManager("op"), ManualClock())
    columns = [Column.from_numpy(np.arange(keys))]
    return keyed, keyed.intern_array(columns, hash_keys(columns))


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("seed", range(3))
def test_a_state_of_many_keys_is_a_dict(name, seed):
    info, make = TYPES[name]
    rng = random.Random(seed)
    keyed, ids = keyed_state()
    state, expected = batch_state(keyed, ValueStateDescriptor("s", info)), {}
    assert isinstance(state, RowValues if name in ("LIST", "ROW") else ColumnValues)
    for _ in range(60):
        some = np.array([rng.choice(ids.tolist()) for _ in range(rng.randrange(6))], np.int32)
        if rng.random() < 0.7:
            values = [None if rng.random() < 0.2 else make(rng) for _ in some]
            state.put_many(some, pa.array(values, state.type))
            for group_id, value in zip(some.tolist(), values):
                expected[group_id] = value
        else:
            state.clear_many(some)
            for group_id in some.tolist():
                expected.pop(group_id, None)
        found = state.get_many(ids)
        assert found.type == state.type
        assert found.to_pylist() == [expected.get(group_id) for group_id in ids.tolist()]
        held = {group_id for group_id, value in expected.items() if value is not None}
        assert keyed._holds == dict.fromkeys(held, 1)


def test_values_are_cast_to_the_states_type_or_refused():
    keyed, ids = keyed_state(3)
    state = batch_state(keyed, ValueStateDescriptor("s", LONG))
    state.put_many(ids, [1, 2, 3])
    state.put_many(ids[:2], np.array([7, 8], np.int16))
    state.put_many(ids[2:], pa.chunked_array([pa.array([9], pa.int32())]))
    assert state.get_many(ids).to_pylist() == [7, 8, 9]
    with pytest.raises(SchemaError, match="state 's': expected values of int64"):
        state.put_many(ids, ["a", "b", "c"])
    with pytest.raises(SchemaError, match="2 values for 3 keys"):
        state.put_many(ids, [1, 2])
    with pytest.raises(SchemaError, match="expected values of int64"):
        state.put_many(ids, [1.5, 2.5, 3.5])


def test_instants_are_columns_too():
    keyed, ids = keyed_state(1)
    state = batch_state(keyed, ValueStateDescriptor("s", BasicTypeInfo(BasicType.INSTANT)))
    state.put_many(ids, pa.array([Instant(5, 1000).to_datetime()], state.type))
    assert state.get_many(ids).cast(pa.int64()).to_pylist() == [5_000_001]


def test_rows_are_the_rows_of_a_value_state():
    keyed, ids = keyed_state(1)
    info = ti.RowTypeInfo([LONG], ["a"])
    batch_state(keyed, ValueStateDescriptor("s", info)).put_many(ids, [{"a": 1}])
    assert keyed.tables["s"].get(None, ids[0]) == Row(a=1)


def test_what_batches_cannot_have_is_refused():
    keyed, _ = keyed_state(1)
    with pytest.raises(SchemaError, match=r"state 's': .* has no Arrow form"):
        batch_state(keyed, ValueStateDescriptor("s", ti.PickledBytesTypeInfo()))
    with pytest.raises(SchemaError, match="no Arrow form"):
        batch_state(keyed, ValueStateDescriptor("s", None))
    with pytest.raises(TypeError, match="expects a ValueStateDescriptor"):
        batch_state(keyed, ListStateDescriptor("s", LONG))

    class Ms:
        def to_milliseconds(self):
            return 1

    descriptor = ValueStateDescriptor("s", LONG)
    descriptor.enable_time_to_live(StateTtlConfig.new_builder(Ms()).build())
    with pytest.raises(UnsupportedOperationError, match="no time to live"):
        batch_state(keyed, descriptor)
