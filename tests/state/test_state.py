# SPDX-License-Identifier: Apache-2.0
"""Keyed state as a user sees it: values, lists, maps, reductions, their types and their time to live."""

from __future__ import annotations

import numpy as np
import pytest

from flinkcore._native.column import Column
from flinkcore.columnar.objects import hash_keys
from flinkcore.columnar.row import Row
from flinkcore.columnar.typeinfo import (
    BasicTypeInfo,
    ListTypeInfo,
    MapTypeInfo,
    PickledBytesTypeInfo,
    RowTypeInfo,
    TupleTypeInfo,
)
from flinkcore.errors import ConfigurationError, SchemaError, UnsupportedOperationError
from flinkcore.state.descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)
from flinkcore.state.functions import AggregateFunction
from flinkcore.state.keyed import KeyedState
from flinkcore.state.manager import StateManager
from flinkcore.state.ttl import StateTtlConfig
from flinkcore.time.clock import ManualClock

LONG, FLOAT, STRING = (
    BasicTypeInfo.LONG_TYPE_INFO(),
    BasicTypeInfo.FLOAT_TYPE_INFO(),
    BasicTypeInfo.STRING_TYPE_INFO(),
)


def manager(keys=2, clock=None):
    """A manager with int64 keys 0, 1, ..., the first of them current."""
    state = KeyedState(StateManager("op"), clock or ManualClock())
    columns = [Column.from_numpy(np.arange(keys))]
    ids = state.intern(columns, hash_keys(columns))
    state.current = ids[0]
    state.ids = ids
    return state


def test_a_value_belongs_to_its_key():
    state = manager()
    value = state.get_state(ValueStateDescriptor("v", LONG))
    assert value.value() is None
    value.update(5)
    state.current = state.ids[1]
    assert value.value() is None
    state.current = state.ids[0]
    assert value.value() == 5
    value.update(None)
    assert value.value() is None and len(state.tables["v"]) == 0


def test_a_list_is_iterated_added_to_and_replaced():
    state = manager()
    values = state.get_list_state(ListStateDescriptor("l", LONG))
    assert list(values) == list(values.get()) == []
    values.add(1)
    values.add_all([2, 3])
    assert [*values] == [1, 2, 3]
    snapshot = values.get()
    values.update([9])
    assert list(values) == [9] and list(snapshot) == [1, 2, 3]
    values.update([])
    assert list(values) == [] and len(state.tables["l"]) == 0
    with pytest.raises(SchemaError, match="cannot add None"):
        values.add(None)


def test_a_map_has_all_of_a_dicts_ways():
    state = manager()
    entries = state.get_map_state(MapStateDescriptor("m", STRING, LONG))
    assert entries.is_empty() and "a" not in entries and entries["a"] is None
    entries.put("a", 1)
    entries["b"] = 2
    entries.put_all({"c": 3})
    assert entries.contains("a") and "b" in entries and entries.get("c") == 3
    assert list(entries) == list(entries.keys()) == ["a", "b", "c"]
    assert list(entries.values()) == [1, 2, 3] and list(entries.items()) == [("a", 1), ("b", 2), ("c", 3)]
    for key in entries.keys():  # noqa: SIM118  changed while it is iterated
        entries.remove(key)
    assert entries.is_empty() and len(state.tables["m"]) == 0
    entries["x"] = 1
    del entries["x"]
    entries.clear()
    assert entries.is_empty()


def test_reducing_and_aggregating_states_are_none_before_the_first_value():
    class Average(AggregateFunction):
        def create_accumulator(self):
            return 0, 0

        def add(self, value, accumulator):
            return accumulator[0] + value, accumulator[1] + 1

        def get_result(self, accumulator):
            return accumulator[0] / accumulator[1]

        def merge(self, acc_a, acc_b):
            return acc_a[0] + acc_b[0], acc_a[1] + acc_b[1]

    state = manager()
    total = state.get_reducing_state(ReducingStateDescriptor("r", lambda a, b: a + b, LONG))
    mean = state.get_aggregating_state(AggregatingStateDescriptor("a", Average(), PickledBytesTypeInfo()))
    assert total.get() is None and mean.get() is None
    for value in (1, 2, 6):
        total.add(value)
        mean.add(value)
    assert total.get() == 9 and mean.get() == 3.0
    total.clear()
    assert total.get() is None


def test_float_state_is_not_rounded_as_it_is_not_in_pyflinks_cache():
    state = manager()
    total = state.get_reducing_state(ReducingStateDescriptor("sum", lambda a, b: a + b, FLOAT))
    for _ in range(3):
        total.add(0.1)
    assert total.get() == 0.1 + 0.1 + 0.1


@pytest.mark.parametrize(
    ("type_info", "given", "stored"),
    [
        (BasicTypeInfo.DOUBLE_TYPE_INFO(), 3, 3.0),
        (LONG, np.int64(7), 7),
        (TupleTypeInfo([STRING, FLOAT]), ["a", 0.1], ("a", 0.1)),
        (RowTypeInfo([STRING, LONG], ["name", "n"]), ("a", 1), Row(name="a", n=1)),
        (RowTypeInfo([STRING, LONG], ["name", "n"]), Row(n=1, name="a"), Row(name="a", n=1)),
        (RowTypeInfo([STRING, LONG]), Row("a", None), Row(f0="a", f1=None)),
        (ListTypeInfo(FLOAT), (0.1, None), [0.1, None]),
        (MapTypeInfo(STRING, LONG), {"a": 1}, {"a": 1}),
        (PickledBytesTypeInfo(), {"any": object}, {"any": object}),
        (None, (1, "a"), (1, "a")),
    ],
)
def test_values_are_stored_as_their_type_holds_them(type_info, given, stored):
    value = manager().get_state(ValueStateDescriptor("v", type_info))
    value.update(given)
    assert value.value() == stored and type(value.value()) is type(stored)


@pytest.mark.parametrize(
    ("type_info", "given", "message"),
    [
        (LONG, 1.5, "state 'v': expected Long, got 1.5"),
        (LONG, 2**63, "out of range for LONG"),
        (BasicTypeInfo.BYTE_TYPE_INFO(), 128, "out of range for BYTE"),
        (FLOAT, "x", "expected Float"),
        (STRING, 5, "expected String, got 5"),
        (TupleTypeInfo([LONG]), (None,), "expected TupleTypeInfo"),
        (RowTypeInfo([LONG]), (1, 2), "expected RowTypeInfo"),
        (FLOAT, 1e39, "out of range for FLOAT"),
    ],
)
def test_a_value_that_does_not_fit_its_type_is_refused(type_info, given, message):
    value = manager().get_state(ValueStateDescriptor("v", type_info))
    with pytest.raises(SchemaError, match=message):
        value.update(given)


def test_a_name_is_one_state_and_one_kind():
    state = manager()
    descriptor = ValueStateDescriptor("x", LONG)
    assert state.get_state(descriptor) is state.get_state(ValueStateDescriptor("x", LONG))
    with pytest.raises(ConfigurationError, match="'x' is already a value state, it cannot be a list state"):
        state.get_list_state(ListStateDescriptor("x", LONG))
    with pytest.raises(TypeError, match="expected a MapStateDescriptor"):
        state.get_map_state(descriptor)


def test_windows_have_states_of_their_own_and_merge_them():
    state = manager()
    values = state.state(ListStateDescriptor("l", None), "trigger/")
    for window in ("w1", "w2", "w3"):
        values.set_current_namespace(window)
        values.add(window)
    values.merge_namespaces("w2", ["w1", "w3"])
    values.set_current_namespace("w2")
    assert list(values) == ["w2", "w1", "w3"]
    assert list(state.tables["trigger/l"].rows) == ["w2"]


def test_there_is_no_key_between_records():
    state = manager()
    assert state.current_key() == 0
    state.release_unused()
    with pytest.raises(UnsupportedOperationError, match="no current key"):
        state.current_key()


# -- time to live -------------------------------------------------------------------------------------------


class Ms:
    def __init__(self, count):
        self.count = count

    def to_milliseconds(self):
        return self.count


def expiring(descriptor, configure=lambda builder: builder):
    clock = ManualClock()
    state = manager(clock=clock)
    descriptor.enable_time_to_live(configure(StateTtlConfig.new_builder(Ms(10))).build())
    return clock, state, state.state(descriptor)


def test_a_value_expires_a_ttl_after_it_was_written():
    clock, state, value = expiring(ValueStateDescriptor("v", None))
    value.update("x")
    clock.advance(9)
    assert value.value() == "x"
    clock.advance(1)
    assert value.value() is None
    assert len(state.tables["v"]) == 0


def test_reads_prolong_life_only_when_asked():
    clock, _, value = expiring(ValueStateDescriptor("v", None), lambda b: b.update_ttl_on_read_and_write())
    value.update("x")
    for _ in range(5):
        clock.advance(9)
        assert value.value() == "x"


def test_an_expired_value_may_be_shown_once():
    clock, _, value = expiring(
        ValueStateDescriptor("v", None), lambda b: b.return_expired_if_not_cleaned_up()
    )
    value.update("x")
    clock.advance(50)
    assert value.value() == "x"
    assert value.value() is None


def test_list_elements_and_map_entries_expire_one_by_one():
    clock, _, values = expiring(ListStateDescriptor("l", None))
    values.add(1)
    clock.advance(6)
    values.add(2)
    clock.advance(5)
    assert list(values) == [2]
    clock, state, entries = expiring(MapStateDescriptor("m", None, None))
    entries["a"] = 1
    clock.advance(6)
    entries["b"] = 2
    clock.advance(5)
    assert "a" not in entries and entries["a"] is None and list(entries.items()) == [("b", 2)]
    clock.advance(5)
    assert entries.is_empty() and len(state.tables["m"]) == 0


def test_a_reduction_begins_anew_after_it_expired():
    clock, _, total = expiring(ReducingStateDescriptor("r", lambda a, b: a + b, None))
    total.add(1)
    clock.advance(9)
    total.add(2)
    clock.advance(9)
    assert total.get() == 3
    clock.advance(1)
    total.add(5)
    assert total.get() == 5


def test_keys_that_nobody_reads_again_are_cleaned_up_at_the_accesses_of_others():
    clock = ManualClock()
    state = manager(keys=100, clock=clock)
    descriptor = ValueStateDescriptor("v", None)
    descriptor.enable_time_to_live(StateTtlConfig.new_builder(Ms(10)).build())
    value = state.get_state(descriptor)
    for group_id in state.ids:
        state.current = group_id
        value.update("x")
    clock.advance(20)
    for _ in range(100):
        value.value()
    assert len(state.tables["v"]) == 0


def test_a_disabled_time_to_live_is_none_and_a_zero_one_is_refused():
    clock, _, value = expiring(
        ValueStateDescriptor("v", None), lambda b: b.set_update_type(StateTtlConfig.UpdateType.Disabled)
    )
    value.update("x")
    clock.advance(1000)
    assert value.value() == "x"
    with pytest.raises(ConfigurationError, match="must be positive"):
        expiring(ValueStateDescriptor("v", None), lambda b: b.set_ttl(Ms(0)))


def test_the_ttl_configuration_has_pyflinks_defaults():
    config = (
        StateTtlConfig.new_builder(Ms(1))
        .cleanup_full_snapshot()
        .cleanup_incrementally(10, True)
        .cleanup_in_rocksdb_compact_filter(1000)
        .build()
    )
    strategies = config.get_cleanup_strategies()
    assert strategies.in_full_snapshot() and strategies.is_cleanup_in_background()
    assert strategies.get_incremental_cleanup_strategy().get_cleanup_size() == 10
    assert strategies.get_incremental_cleanup_strategy().run_cleanup_for_every_record() is True
    assert strategies.get_rocksdb_compact_filter_cleanup_strategy().get_query_time_after_num_entries() == 1000
    assert config.get_update_type() is StateTtlConfig.UpdateType.OnCreateAndWrite
    assert config.get_state_visibility() is StateTtlConfig.StateVisibility.NeverReturnExpired
    assert config.get_ttl_time_characteristic() is StateTtlConfig.TtlTimeCharacteristic.ProcessingTime
    assert (
        StateTtlConfig.new_builder(Ms(1))
        .build()
        .get_cleanup_strategies()
        .get_incremental_cleanup_strategy()
        .get_cleanup_size()
        == 5
    )
    bare = StateTtlConfig.new_builder(Ms(1)).disable_cleanup_in_background().build().get_cleanup_strategies()
    assert bare.get_incremental_cleanup_strategy() is None
