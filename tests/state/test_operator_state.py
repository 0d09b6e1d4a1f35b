# SPDX-License-Identifier: Apache-2.0
"""Operator state: lists and broadcast maps, what a snapshot writes of them, where they go when a job is rescaled."""

from __future__ import annotations

import numpy as np
import pytest

from flinkcore._native.column import Column
from flinkcore.columnar.objects import hash_keys
from flinkcore.columnar.typeinfo import BasicTypeInfo, PickledBytesTypeInfo, TupleTypeInfo
from flinkcore.errors import ConfigurationError, SchemaError, StateFormatError, StateMigrationError
from flinkcore.state.blocks import read
from flinkcore.state.descriptors import ListStateDescriptor, MapStateDescriptor, ValueStateDescriptor
from flinkcore.state.keyed import KeyedState
from flinkcore.state.manager import StateManager
from flinkcore.state.operator import OperatorStates
from flinkcore.state.part import PartState
from flinkcore.state.ttl import StateTtlConfig
from flinkcore.time.clock import ManualClock
from tests.state.stored_states import Saved, managers, restored, snapshot

INT, LONG, STRING = (
    BasicTypeInfo.INT_TYPE_INFO(),
    BasicTypeInfo.LONG_TYPE_INFO(),
    BasicTypeInfo.STRING_TYPE_INFO(),
)
ANY = PickledBytesTypeInfo()
RULES = MapStateDescriptor("rules", STRING, LONG)
ITEMS = ListStateDescriptor("items", LONG)
EVERY = [(p, q) for p in range(1, 5) for q in range(1, 5)]


def store(manager=None):
    return OperatorStates(manager or StateManager("op"))


def test_a_broadcast_state_has_all_of_a_maps_ways():
    rules = store().get_broadcast_state(RULES)
    assert rules.is_empty() and rules.get("a") is None and "a" not in rules
    rules.put("a", 1)
    rules.put_all({"b": 2, "c": None})
    rules["d"] = 4
    assert list(rules) == list(rules.keys()) == ["a", "b", "c", "d"]
    assert list(rules.items()) == [("a", 1), ("b", 2), ("c", None), ("d", 4)]
    assert list(rules.values()) == [1, 2, None, 4] and rules["b"] == 2 and rules.contains("c")
    rules.remove("b")
    del rules["no such key"]
    rules["e"] = 5
    assert dict(rules.items()) == {"a": 1, "c": None, "d": 4, "e": 5}
    rules.clear()
    assert rules.is_empty() and list(rules.items()) == []
    rules["f"] = 6
    assert dict(rules.items()) == {"f": 6}


def test_the_other_side_sees_every_change_and_can_make_none():
    rules = store().get_broadcast_state(RULES)
    seen = rules.read_only
    rules["a"] = 1
    assert seen["a"] == 1 and list(seen.items()) == [("a", 1)] and not seen.is_empty()
    rules.clear()
    assert seen.is_empty() and "a" not in seen
    assert not any(hasattr(seen, name) for name in ("put", "put_all", "remove"))
    with pytest.raises(TypeError):
        seen["a"] = 2
    with pytest.raises(TypeError, match="process_broadcast_element"):
        seen.clear()


def test_a_list_is_added_to_replaced_and_kept_in_order():
    items = store().get_list_state(ITEMS)
    assert list(items) == []
    items.add(1)
    items.add_all([2, 3])
    assert items.get() == [1, 2, 3]
    items.update(items.get()[::-1])
    assert [*items] == [3, 2, 1]
    items.clear()
    assert items.get() == []
    with pytest.raises(SchemaError, match="cannot add None"):
        items.add(None)


def test_what_does_not_fit_its_type_is_refused():
    states = store()
    with pytest.raises(SchemaError, match="state 'items'"):
        states.get_list_state(ITEMS).add("text")
    with pytest.raises(SchemaError, match="key of state 'rules'"):
        states.get_broadcast_state(RULES).put(5, 5)
    with pytest.raises(SchemaError, match="state 'rules'"):
        states.get_broadcast_state(RULES).put("a", 1.5)


def test_one_name_is_one_state():
    states = store()
    assert states.get_list_state(ITEMS) is states.get_list_state(ITEMS)
    with pytest.raises(ConfigurationError, match="'items' is a split state, it cannot be a union state"):
        states.get_union_list_state(ITEMS)
    with pytest.raises(TypeError, match="expected a MapStateDescriptor"):
        states.get_broadcast_state(ITEMS)
    expiring = MapStateDescriptor("expiring", STRING, LONG)
    expiring.enable_time_to_live(StateTtlConfig.new_builder(1000).build())
    with pytest.raises(ConfigurationError, match="only keyed state expires"):
        states.get_broadcast_state(expiring)


def rows_written(saved: Saved) -> dict[str, int]:
    """How many rows the last snapshot wrote, by what it says of them."""
    counts: dict[str, int] = {}
    for _, payload in saved.chain[-1][1]:
        rows, batch = read(payload)
        counts[rows] = counts.get(rows, 0) + batch.num_rows
    return counts


def test_a_snapshot_writes_the_entries_that_changed():
    manager = StateManager("op")
    rules = store(manager).get_broadcast_state(RULES)
    rules.put_all({str(i): i for i in range(10_000)})
    first = snapshot(manager)
    assert rows_written(first) == {"present": 10_000}
    rules["7"] = 70
    rules.remove("8")
    rules.remove("9")
    rules["new"] = 1
    second = snapshot(manager, first)
    assert rows_written(second) == {"present": 2, "removed": 1}, "'new' has the row that '9' or '8' had"
    (again,) = restored([second], 1)
    found = dict(store(again).get_broadcast_state(RULES).items())
    assert found == {**{str(i): i for i in range(10_000) if i not in (8, 9)}, "7": 70, "new": 1}


def test_reading_changes_nothing():
    manager = StateManager("op")
    states = store(manager)
    rules = states.get_broadcast_state(MapStateDescriptor("rules", STRING, ANY))
    rules["a"] = [1]
    first = snapshot(manager)
    assert rules.read_only["a"] == [1] and list(rules.read_only.items()) == [("a", [1])]
    assert rows_written(snapshot(manager, first)) == {}


def test_a_snapshot_holds_what_was_when_it_began():
    manager = StateManager("op")
    states = store(manager)
    rules = states.get_broadcast_state(MapStateDescriptor("rules", STRING, ANY))
    items = states.get_list_state(ListStateDescriptor("items", ANY))
    rules["a"], rules["b"] = [1], [2]
    items.add([5])
    frozen = manager.freeze(0)
    rules["a"].append(9)
    rules["b"] = "other"
    rules["c"] = [3]
    items.get()[0].append(6)
    items.add([7])
    saved = Saved([(frozen, [(number, bytes(payload)) for number, payload in frozen.blocks()])])
    frozen.release()
    (again,) = restored([saved], 1)
    assert dict(store(again).get_broadcast_state(MapStateDescriptor("rules", STRING, ANY)).items()) == {
        "a": [1], "b": [2]}  # fmt: skip
    assert store(again).get_list_state(ListStateDescriptor("items", ANY)).get() == [[5]]
    assert rules["a"] == [1, 9] and items.get() == [[5, 6], [7]]


def saved_subtasks(count: int) -> list[Saved]:
    """Each subtask has lists of its own and the broadcast map of all, in an increment and what was before."""
    found = []
    for i, manager in enumerate(managers(count)):
        states = store(manager)
        rules, items = states.get_broadcast_state(RULES), states.get_list_state(ITEMS)
        union = states.get_union_list_state(ListStateDescriptor("union", LONG))
        rules.put_all({"a": 1, "gone": 0, "b": 2})
        items.update([99] * 5)
        union.add_all([i * 10, i * 10 + 1])
        before = snapshot(manager)
        items.update([i * 10 + n for n in range(i + 2)])
        rules.remove("gone")
        rules["c"] = 3
        union.add(i * 10 + 2)
        found.append(snapshot(manager, before))
    return found


def held(manager: StateManager) -> tuple[list[int], list[int], dict[str, int]]:
    states = store(manager)
    union = states.get_union_list_state(ListStateDescriptor("union", LONG))
    return states.get_list_state(ITEMS).get(), union.get(), dict(states.get_broadcast_state(RULES).items())


@pytest.mark.parametrize("p, q", EVERY)
def test_rescaling_deals_lists_out_and_gives_maps_to_all(p, q):
    split = [i * 10 + n for i in range(p) for n in range(i + 2)]
    union = [i * 10 + n for i in range(p) for n in range(3)]
    found = [held(manager) for manager in restored(saved_subtasks(p), q)]
    assert [item for items, _, _ in found for item in items] == split, "each item once"
    if p != q:
        lengths = [len(items) for items, _, _ in found]
        assert max(lengths) - min(lengths) <= 1
    assert [all_items for _, all_items, _ in found] == [union] * q
    assert [rules for _, _, rules in found] == [{"a": 1, "b": 2, "c": 3}] * q


@pytest.mark.parametrize("p, q", EVERY)
@pytest.mark.parametrize("claimed", [True, False])
def test_what_was_restored_goes_on_in_further_snapshots(p, q, claimed):
    """Also when the program does not ask for its state before the next one."""
    middle = restored(saved_subtasks(p), q)
    states = [store(manager) for manager in middle]
    if claimed:
        for manager in middle:
            held(manager)
    saved = [snapshot(manager) for manager in middle]
    for known in states:
        known.get_broadcast_state(RULES)["d"] = 4
        known.get_list_state(ITEMS).add(500)
    saved = [snapshot(manager, before) for manager, before in zip(middle, saved)]
    found = [held(manager) for manager in restored(saved, p)]
    expected = sorted([i * 10 + n for i in range(p) for n in range(i + 2)] + [500] * q)
    assert sorted(item for items, _, _ in found for item in items) == expected
    assert [rules for _, _, rules in found] == [{"a": 1, "b": 2, "c": 3, "d": 4}] * p
    union = [i * 10 + n for i in range(p) for n in range(3)]
    assert [all_items for _, all_items, _ in found] == [union * q] * p


@pytest.mark.parametrize("p", [2, 3])
def test_a_snapshot_after_a_restore_builds_on_those_before_it(p):
    """The union is written anew, as no subtask had all of it; everything else only where it changed."""
    saved = saved_subtasks(p)
    again = restored(saved, p)
    for manager, before in zip(again, saved):
        states = store(manager)
        union = states.get_union_list_state(ListStateDescriptor("union", LONG))
        states.get_broadcast_state(RULES)["e"] = 5
        after = snapshot(manager, before)
        assert rows_written(after) == {"nothing": 0, "present": len(union.get()) + 1}
        assert [entry.name for entry in after.entries] == ["operator/rules", "operator/items", "operator/union"]


def test_only_operator_state_is_read_of_subtasks_that_share_no_keys():
    saved = []
    for i, manager in enumerate(managers(4)):
        keyed, states = KeyedState(manager, ManualClock()), store(manager)
        columns = (Column.from_numpy(np.arange(200)),)
        total = keyed.get_state(ValueStateDescriptor("total", LONG))
        hashes = hash_keys(columns)
        own = np.isin(hashes % 16, np.array(manager.key_groups, np.uint64))
        for group_id in keyed.intern([columns[0].take(np.flatnonzero(own))], hashes[own]):
            keyed.current = group_id
            total.update(i)
        states.get_union_list_state(ITEMS).add(i)
        saved.append(snapshot(manager))
    for manager in restored(saved, 2):
        assert store(manager).get_union_list_state(ITEMS).get() == [0, 1, 2, 3]
    for old in saved:
        names = {entry.number: entry.name for entry in old.entries}
        read = {names[number]: count for number, count in old.times_read.items()}
        assert read == {"keys": 1, "table/total": 1, "operator/items": 2}


def test_a_state_that_changed_its_mode_is_not_taken_over():
    saved = saved_subtasks(2)
    for manager in (restored(saved, 2)[0], restored(saved, 3)[0]):
        with pytest.raises(StateMigrationError, match=r"'operator/items' of checkpoint 1 goes by 'split'.*'union'"):
            store(manager).get_union_list_state(ITEMS)


def test_types_widen_and_others_are_refused():
    manager = StateManager("op")
    store(manager).get_broadcast_state(MapStateDescriptor("rules", INT, INT))[1] = 2
    saved = [snapshot(manager)]
    for parallelism in (1, 2):
        wider = store(restored(saved, parallelism)[-1])
        assert dict(wider.get_broadcast_state(MapStateDescriptor("rules", LONG, LONG)).items()) == {1: 2}
        other = store(restored(saved, parallelism)[-1])
        with pytest.raises(StateMigrationError, match="INT became STRING"):
            other.get_broadcast_state(MapStateDescriptor("rules", STRING, INT))


def test_keys_of_a_broadcast_state_may_be_tuples():
    manager = StateManager("op")
    pairs = MapStateDescriptor("pairs", TupleTypeInfo([STRING, LONG]), ANY)
    store(manager).get_broadcast_state(pairs)[("a", 1)] = {"any": "object"}
    for again in restored([snapshot(manager)], 2):
        assert store(again).get_broadcast_state(pairs).get(("a", 1)) == {"any": "object"}


@pytest.mark.parametrize(
    "entry",
    [
        PartState(0, "x", "sessions", 1, 1, {}, parent="union"),
        PartState(0, "x", "table", 1, 1, {"namespace": {"type": "LONG"}}, parent="union"),
    ],
)
def test_state_that_is_none_of_an_operator_is_refused(entry):
    """A manifest is not trusted: only a table without namespaces can be dealt out."""
    manager = StateManager("op")
    manager.part("x", lambda: _namespaced(), parent="union")
    saved = snapshot(manager)
    saved.entries = [entry]
    with pytest.raises(StateFormatError, match=r"'x'|namespaces"):
        restored([saved], 2)


def _namespaced():
    from flinkcore.state.codec import LONG as CODEC
    from flinkcore.state.content import Content
    from flinkcore.state.table import Table

    table = Table("x", Content("value", CODEC), CODEC)
    table.put(5, 0, 1)
    return table
