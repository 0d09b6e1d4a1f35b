# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint holds is read as tables, for every kind of state, without the program that wrote it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from flinkcore._native.column import Column
from flinkcore._native.hash import hash_columns
from flinkcore.checkpoint import list_states, read_state
from flinkcore.checkpoint.layout import open_checkpoint
from flinkcore.checkpoint.stored import StoredSubtask
from flinkcore.columnar import typeinfo as ti
from flinkcore.columnar.schema import Schema
from flinkcore.errors import CheckpointStorageError, ConfigurationError, StateFormatError
from flinkcore.expr.aggregate import aggregate_call
from flinkcore.operators.count_window import CountWindows
from flinkcore.operators.fold_session import FoldSession
from flinkcore.operators.fold_window import FoldWindow
from flinkcore.operators.functions import AggregateFunction, KeyedProcessFunction, ProcessWindowFunction
from flinkcore.operators.group_aggregate import GroupAggregate
from flinkcore.operators.pairs import CalledPairs
from flinkcore.operators.pane_window import PaneWindow
from flinkcore.operators.process import KeyedProcessRows
from flinkcore.operators.row_aggregate import expression_windows
from flinkcore.operators.row_window import RowWindow
from flinkcore.operators.session_window import SessionWindow
from flinkcore.operators.window_join import WindowJoin
from flinkcore.state.batch_state import ColumnValues
from flinkcore.state.descriptors import ListStateDescriptor, MapStateDescriptor, ValueStateDescriptor
from flinkcore.state.keyed import KeyedState
from flinkcore.state.keys import KeyIndex
from flinkcore.state.manager import StateManager
from flinkcore.state.operator import OperatorStates
from flinkcore.state.part import RestoredState
from flinkcore.state.parts import KEYS, shown_of
from flinkcore.state.ttl import StateTtlConfig
from flinkcore.table.expression import to_node
from flinkcore.table.expressions import col, lit
from flinkcore.testing.harness import Harness, harness
from flinkcore.time.assigners import (
    EventTimeSessionWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
)
from flinkcore.time.clock import ManualClock
from flinkcore.time.triggers import CountTrigger
from tests.checkpoint.stored_state import Saved
from tests.operators.columnar import AGGREGATES, KEY, SCHEMA, Runner
from tests.operators.joins import LEFT, OBJECTS
from tests.runtime.test_stopping import Started

LONG, STRING = ti.BasicTypeInfo.LONG_TYPE_INFO(), ti.BasicTypeInfo.STRING_TYPE_INFO()
CALLS = (SCHEMA, KEY, AGGREGATES.calls, AGGREGATES.names)


class Ms:
    def __init__(self, ms: int) -> None:
        self.ms = ms

    def to_milliseconds(self) -> int:
        return self.ms


def at(ms: int) -> datetime:
    return datetime(1970, 1, 1) + timedelta(milliseconds=ms)


def rows_of(table: pa.Table) -> list[tuple[Any, ...]]:
    return sorted(tuple(row.values()) for row in table.to_pylist())


def in_two_snapshots(folder: Path, runner: Runner, *inputs: list[tuple[int, int, int]]) -> str:
    """Sends each input and takes a snapshot behind it: the first is full, those that follow are increments."""
    saved = Saved(folder, runner.context.state)
    for rows in inputs:
        runner.send(rows)
        saved.snapshot()
    assert [ref.since for ref in saved.chains[0]] == list(range(len(inputs)))
    return saved.complete()


FIRST = [(1, 10, 5), (2, 20, 15), (1, 1, 17)]
SECOND = [(1, 100, 8), (3, 7, 12)]


def test_records_that_wait_for_a_join_are_read_with_the_bounds_of_their_windows(tmp_path):
    pairs = CalledPairs((LEFT, OBJECTS), lambda left, right: left, OBJECTS)
    op = Harness(WindowJoin(pairs, (LEFT.select([0]), OBJECTS), ((0,), None), 10), key="k")
    op.batch([("a", 1), ("b", 2)], timestamps_ms=[12, 25]).batch([{"x"}], timestamps_ms=[3], keys=[()], input=1)
    path = Saved(tmp_path, op.state).snapshot().complete()
    assert rows_of(read_state(path, "op", "left")) == [
        (at(10), at(20), 0, "a", 1),
        (at(20), at(30), 0, "b", 2),
    ]
    assert read_state(path, "op", "left").column_names == ["window_start", "window_end", "row_kind", "k", "v"]
    (row,) = read_state(path, "op", "right").to_pylist()
    assert row["value"].startswith(b"\x80\x05")
    (row,) = read_state(path, "op", "right", allow_pickle=True).to_pylist()
    assert "x" in str(row["value"])


def test_tumbling_windows_are_read_as_their_results_so_far(tmp_path: Path) -> None:
    path = in_two_snapshots(tmp_path / "s", Runner(PaneWindow(*CALLS, 10)), FIRST, SECOND)
    table = read_state(path, "op", "panes")
    assert table.schema == pa.schema([("k", pa.int64()), ("window_start", pa.timestamp("ms")),
                                      ("window_end", pa.timestamp("ms")), ("n", pa.int64()), ("total", pa.int64()),
                                      ("top", pa.int64())])  # fmt: skip
    assert rows_of(table) == [(1, at(0), at(10), 2, 110, 100), (1, at(10), at(20), 1, 1, 1),
                              (2, at(10), at(20), 1, 20, 20), (3, at(10), at(20), 1, 7, 7)]  # fmt: skip
    assert rows_of(read_state(path, "op", "keys")) == [(1,), (2,), (3,)]
    assert read_state(path, "op", "time_ms").to_pylist() == [{"subtask": 0, "value": str(-(2**63))}]


def test_a_window_that_fired_between_snapshots_is_gone(tmp_path: Path) -> None:
    runner = Runner(PaneWindow(*CALLS, 10))
    saved = Saved(tmp_path / "s", runner.context.state)
    runner.send(FIRST)
    saved.snapshot()
    runner.until(9)
    path = saved.snapshot().complete()
    assert rows_of(read_state(path, "op", "panes")) == [(1, at(10), at(20), 1, 1, 1), (2, at(10), at(20), 1, 20, 20)]


def test_overlapping_windows_are_read_by_their_panes(tmp_path: Path) -> None:
    path = in_two_snapshots(tmp_path / "s", Runner(PaneWindow(*CALLS, 20, 10)), FIRST, SECOND)
    table = read_state(path, "op", "panes")
    assert table.column_names == ["k", "pane_start", "pane_end", "n", "total", "top"]
    assert rows_of(table)[0] == (1, at(0), at(10), 2, 110, 100)


def test_sessions_are_read_with_their_bounds(tmp_path: Path) -> None:
    path = in_two_snapshots(tmp_path / "s", Runner(SessionWindow(*CALLS, 5)), FIRST, SECOND)
    assert rows_of(read_state(path, "op", "values")) == [
        (1, at(5), at(13), 2, 110, 100), (1, at(17), at(22), 1, 1, 1),
        (2, at(15), at(20), 1, 20, 20), (3, at(12), at(17), 1, 7, 7)]  # fmt: skip
    assert rows_of(read_state(path, "op", "sessions"))[0] == (1, at(5), at(13), False)


class Sums(AggregateFunction):
    def create_accumulator(self):
        return {"n": 0, "total": 0}

    def add(self, value, accumulator):
        return {"n": accumulator["n"] + 1, "total": accumulator["total"] + value[1]}

    def get_result(self, accumulator):
        return accumulator

    def merge(self, acc_a, acc_b):
        return {"n": acc_a["n"] + acc_b["n"], "total": acc_a["total"] + acc_b["total"]}


def test_functions_on_columns_are_read_by_windows_panes_and_sessions(tmp_path: Path) -> None:
    schema = Schema(["k", "v"], [pa.int64(), pa.int64()], "tuple")
    settings = {"aggregate": Sums(), "key_schema": Schema(["k"], [pa.int64()], "value")}
    sliding = FoldWindow(schema, SlidingEventTimeWindows.of(20, 10), Schema.of_objects(), **settings)
    sessions = FoldSession(schema, EventTimeSessionWindows.with_gap(5), Schema.of_objects(), **settings)
    found = []
    for name, operator, state in (("a", sliding, "folded-panes"), ("b", sessions, "folded")):
        op = harness(operator, key="k")
        op.batch([row[:2] for row in FIRST], [row[2] for row in FIRST])
        found.append(read_state(Saved(tmp_path / name, op.state).snapshot().complete(), "op", state))
    assert found[0].column_names == ["k", "pane_start", "pane_end", "value"]
    assert rows_of(found[0]) == [
        (1, at(0), at(10), {"n": 1, "total": 10}), (1, at(10), at(20), {"n": 1, "total": 1}),
        (2, at(10), at(20), {"n": 1, "total": 20})]  # fmt: skip
    assert rows_of(found[1]) == [
        (1, at(5), at(10), {"n": 1, "total": 10}), (1, at(17), at(22), {"n": 1, "total": 1}),
        (2, at(15), at(20), {"n": 1, "total": 20})]  # fmt: skip


def test_count_windows_are_read_with_what_they_hold(tmp_path: Path) -> None:
    path = in_two_snapshots(tmp_path / "s", Runner(CountWindows(*CALLS, 3)), FIRST, SECOND)
    assert rows_of(read_state(path, "op", "values")) == [(2, 1, 20, 20), (3, 1, 7, 7)]
    assert read_state(path, "op", "counts").column_names == ["k", "records"]


def test_running_aggregates_are_read_under_their_aliases(tmp_path: Path) -> None:
    rows, key = Schema(("k", "v"), (pa.string(), pa.decimal128(10, 2)), "row"), Schema(("k",), (pa.string(),), "value")
    exprs = [lit(1).count.alias("n"), col("v").avg.alias("mean"), col("v").min.alias("least"),
             col("v").count.distinct.alias("different")]  # fmt: skip
    calls = [aggregate_call(to_node(expr), rows) for expr in exprs]
    run = harness(GroupAggregate(rows, key, calls), key="k")
    saved = Saved(tmp_path / "s", run.state)
    run.batch(k=["a", "b", "a"], v=[1, 2, 2])
    saved.snapshot()
    run.batch(k=["a", "c"], v=[2, 3])
    path = saved.snapshot().complete()
    table = read_state(path, "op", "aggregates")
    assert table.schema.types[2:4] == [pa.decimal128(38, 6), pa.decimal128(10, 2)]
    assert [tuple(map(str, row)) for row in rows_of(table)] == [
        ("a", "3", "1.666667", "1.00", "2"), ("b", "1", "2.000000", "2.00", "1"),
        ("c", "1", "3.000000", "3.00", "1")]  # fmt: skip
    assert read_state(path, "op", "distinct 0/counts").column_names == ["k", "argument", "records"]


class Counter(KeyedProcessFunction):
    def open(self, runtime_context: Any) -> None:
        self.count = runtime_context.get_state(ValueStateDescriptor("count", LONG))
        self.words = runtime_context.get_list_state(ListStateDescriptor("words", STRING))
        self.seen = runtime_context.get_map_state(MapStateDescriptor("seen", STRING, LONG))
        self.last = runtime_context.get_state(ValueStateDescriptor("last", ti.RowTypeInfo([LONG], ["ts"])))
        self.any = runtime_context.get_state(ValueStateDescriptor("any", None))
        fleeting = ValueStateDescriptor("fleeting", LONG)
        fleeting.enable_time_to_live(StateTtlConfig.new_builder(Ms(1000)).build())
        self.fleeting = runtime_context.get_state(fleeting)

    def process_element(self, value: Any, ctx: Any) -> Any:
        _, word = value
        if word == "forget":
            self.count.clear()
            self.words.clear()
            return
        self.count.update((self.count.value() or 0) + 1)
        self.words.add(word)
        self.seen.put(word, ctx.timestamp())
        self.last.update((ctx.timestamp(),))
        self.any.update({"word": word})
        self.fleeting.update(1)
        ctx.timer_service().register_event_time_timer(ctx.timestamp() + 10)


WORDS = Schema(("f0", "f1"), (pa.int64(), pa.string()), "tuple")


@pytest.fixture
def counted(tmp_path: Path) -> str:
    """Counter's states of two subtasks."""
    runs = [harness(KeyedProcessRows(WORDS, Counter(), Schema.of_objects(), Schema(("user",), (pa.int64(),), "value")),
                    key="f0", parallelism=2, subtask_index=i) for i in range(2)]  # fmt: skip
    saved = Saved(tmp_path / "counted", *(run.state for run in runs))
    for run in runs:  # each takes the records of its own keys
        run.batch([(1, "a"), (2, "b"), (1, "c"), (7, "x")], timestamps_ms=[1, 2, 3, 4])
    saved.snapshot()
    for run in runs:
        run.batch([(2, "forget"), (1, "d"), (4, "e")], timestamps_ms=[5, 6, 7])
        run.watermark(11)
    assert all(run.state.find("keys").row_count for run in runs)
    return saved.snapshot().complete()


def test_states_of_functions_are_read_by_key(counted: str) -> None:
    assert rows_of(read_state(counted, "op", "table/count")) == [(1, 3), (4, 1), (7, 1)]
    assert read_state(counted, "Operator", "count").schema == pa.schema([("user", pa.int64()), ("value", pa.int64())])
    assert rows_of(read_state(counted, "op", "words")) == [(1, ["a", "c", "d"]), (4, ["e"]), (7, ["x"])]
    assert rows_of(read_state(counted, "op", "seen"))[0] == (1, [("a", 1), ("c", 3), ("d", 6)])
    assert read_state(counted, "op", "last").column("value")[0].as_py()["ts"] in (2, 4, 6, 7)
    assert read_state(counted, "op", "fleeting").column_names == ["user", "value", "touched_ms"]
    assert rows_of(read_state(counted, "op", "timers/event")) == [(1, at(13)), (1, at(16)), (2, at(12)), (4, at(17)),
                                                                  (7, at(14))]  # fmt: skip
    assert read_state(counted, "op", "timers/processing").schema.names == ["user", "timestamp"]


def test_pickles_stay_bytes_until_they_are_trusted(counted: str) -> None:
    assert read_state(counted, "op", "any").schema.field("value").type == pa.binary()
    trusted = read_state(counted, "op", "any", allow_pickle=True)
    assert {"user": 7, "value": {"word": "x"}} in trusted.to_pylist()


def test_keys_that_are_python_objects_have_columns_where_they_are_of_one_type(tmp_path: Path) -> None:
    objects = Schema(("value",), (None,), "object")
    for name, keys, expected in (
        ("text", ["a", "b"], pa.string()),
        ("pair", [("a", 1), ("b", 2)], pa.struct([("f0", pa.string()), ("f1", pa.int64())])),
        ("mixed", [1, "b"], pa.string()),
        ("pickled", [frozenset({1}), Ms], pa.binary()),
    ):
        run = harness(KeyedProcessRows(WORDS, Counter(), Schema.of_objects(), objects), schema=WORDS)
        run.batch([(1, "a"), (2, "b")], [1, 2], keys=keys)
        path = Saved(tmp_path / name, run.state).snapshot().complete()
        table = read_state(path, "op", "count")
        assert table.column_names == ["value", "value_1"]
        assert table.schema.field("value").type == expected, name


class Latest(ProcessWindowFunction):
    def process(self, key: Any, context: Any, elements: Any) -> Any:
        yield list(elements)


def test_states_of_windows_have_their_bounds(tmp_path: Path) -> None:
    key = Schema(("k",), (pa.int64(),), "value")
    operator = RowWindow(SCHEMA, TumblingEventTimeWindows.of(Ms(10)), Schema.of_objects(), trigger=CountTrigger.of(9),
                         window_function=Latest(), key_schema=key)  # fmt: skip
    run = harness(operator, key="k")
    run.batch(k=[1, 1, 2], v=[5, 6, 7], timestamps_ms=[1, 2, 12])
    path = Saved(tmp_path / "w", run.state).snapshot().complete()
    states = list_states(path)["state"].to_pylist()
    (name,) = (state for state in states if state.startswith("table/window-contents"))
    table = read_state(path, "op", name)
    assert table.column_names == ["k", "window_start", "window_end", "value"]
    assert [row[:3] for row in rows_of(table.select([0, 1, 2]))] == [(1, at(0), at(10)), (2, at(10), at(20))]


def test_operator_state_is_read_by_subtask_and_broadcast_state_once(tmp_path: Path) -> None:
    managers = [StateManager("op", range(64 * i, 64 * i + 64)) for i in range(2)]
    for i, manager in enumerate(managers):
        states = OperatorStates(manager)
        states.get_list_state(ListStateDescriptor("offsets", LONG)).add_all([10 * i, 10 * i + 1])
        states.get_broadcast_state(MapStateDescriptor("rules", STRING, LONG)).put("limit", 5)
        manager.items("splits", "split", lambda i=i: [{"file": i}])
    path = Saved(tmp_path / "o", *managers).snapshot().complete()
    assert rows_of(read_state(path, "op", "offsets")) == [(0, 0), (0, 1), (1, 10), (1, 11)]
    assert rows_of(read_state(path, "op", "operator/rules")) == [(0, {"key": "limit", "value": 5})]
    assert rows_of(read_state(path, "op", "splits")) == [(0, '{"file": 0}'), (1, '{"file": 1}')]


def test_values_that_are_kept_to_be_taken_back_are_read_one_by_one(tmp_path: Path) -> None:
    rows, key = Schema(("k", "v"), (pa.string(), pa.int64()), "row"), Schema(("k",), (pa.string(),), "value")
    calls = [aggregate_call(to_node(expr), rows) for expr in (col("v").max.alias("top"), col("v").sum.alias("sum"))]
    run = harness(GroupAggregate(rows, key, calls, retracts=True), key="k")
    run.batch(k=["a", "a", "b"], v=[3, 1, 2])
    path = Saved(tmp_path / "s", run.state).snapshot().complete()
    assert rows_of(read_state(path, "op", "aggregates")) == [("a", 4), ("b", 2)]
    assert rows_of(read_state(path, "op", "records")) == [("a", 2), ("b", 1)]
    assert rows_of(read_state(path, "op", "values 0")) == [("a", [1, 3]), ("b", [2])]


def test_the_savepoint_of_a_running_job_is_read(tmp_path: Path) -> None:
    job = Started(tmp_path, parallelism=2)
    job.let_through(9)
    path = job.client.stop_with_savepoint(False).result()
    assert rows_of(read_state(path, "sums", "reduce", allow_pickle=True)) == [(0, 9), (1, 12), (2, 15)]
    assert read_state(path, "numbers", "splits").num_rows == 1


def test_aggregates_of_windows_with_a_trigger_of_their_own_are_read_as_results(tmp_path: Path) -> None:
    rows, key = Schema(("k", "v"), (pa.int64(), pa.int64()), "row"), Schema(("k",), (pa.int64(),), "value")
    exprs = (col("v").avg.alias("mean"), col("v").last_value.alias("last"))
    calls = [aggregate_call(to_node(expr), rows) for expr in exprs]
    functions, schema = expression_windows(rows, key, calls, ["mean", "last"], True)
    tumbling = TumblingEventTimeWindows.of(Ms(10))
    run = harness(RowWindow(rows, tumbling, schema, trigger=CountTrigger.of(9), key_schema=key, **functions), key="k")
    saved = Saved(tmp_path / "w", run.state).snapshot()
    run.batch(k=[1, 1, 2], v=[5, 7, 9], timestamps_ms=[1, 2, 12])
    table = read_state(saved.snapshot().complete(), "op", "window-contents")
    assert table.column_names == ["k", "window_start", "window_end", "mean", "last"]
    assert rows_of(table) == [(1, at(0), at(10), 6, 7), (2, at(10), at(20), 9, 9)]


def test_states_are_listed_with_their_sizes(counted: str) -> None:
    listed = list_states(counted).to_pylist()
    count = next(row for row in listed if row["state"] == "table/count")
    assert (count["operator"], count["uid"], count["kind"], count["subtasks"]) == ("Operator", "op", "table", 2)
    assert count["rows"] == 3
    assert {"state": "watermark_ms", "kind": "field"}.items() <= next(
        row for row in listed if row["state"] == "watermark_ms"
    ).items()
    for row in listed:
        read_state(counted, row["operator_id"][:6], row["state"])


def test_what_is_not_there_is_said(counted: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="has no operator 'other'; it has 'op'"):
        read_state(counted, "other", "count")
    with pytest.raises(ConfigurationError, match="has no state 'none'; it has 'table/count'"):
        read_state(counted, "op", "none")
    with pytest.raises(CheckpointStorageError, match="there is no checkpoint"):
        read_state(tmp_path / "nowhere", "op", "count")


def test_a_damaged_checkpoint_is_not_read(counted: str) -> None:
    path = Path(counted) / "s0-0.seg"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    with pytest.raises(StateFormatError, match=r"checksum|damaged"):
        read_state(counted, "op", "count")
    path.write_bytes(data[:-1])
    with pytest.raises(StateFormatError, match="bytes"):
        list_states(counted)


@pytest.mark.parametrize("shown", [
    {"calls": 5}, {"calls": [["sum", [0], "a", False]], "schema": "AAAA"}, {"names": 3}, {"names": ["n"]},
    {"bounds": [1]}, {"bounds": ["a", "b", 2**63]}, {"bounds": ["a", "b", "c"]},
])  # fmt: skip
def test_what_is_written_for_readers_is_not_trusted(tmp_path: Path, shown: dict[str, Any]) -> None:
    runner = Runner(PaneWindow(*CALLS, 10))
    runner.send(FIRST)
    saved = Saved(tmp_path / "s", runner.context.state).snapshot()
    (frozen,) = saved.last
    frozen.entries = [replace(entry, description={**entry.description, "shown": shown}) for entry in frozen.entries]
    with pytest.raises(StateFormatError, match="state 'panes' cannot be read"):
        read_state(saved.complete(), "op", "panes")


def test_what_is_written_for_readers_is_not_compared(tmp_path: Path) -> None:
    before = StateManager()
    before.part(KEYS, lambda: KeyIndex(KEY), shown={"names": ["written"]})
    saved = Saved(tmp_path / "s", before).snapshot()
    saved.complete()
    found = open_checkpoint(saved.folder)
    (subtask,) = found.complete().operators[0].subtasks
    after = StateManager()
    after.restore(RestoredState([StoredSubtask(found.home, subtask)], [], {}, False, "there"))
    assert shown_of(after.entries()[0]) == {"names": ["written"]}
    after.part(KEYS, lambda: KeyIndex(KEY), shown={"names": ["now"]})
    assert [shown_of(entry) for entry in after.entries()] == [{"names": ["now"]}]


@pytest.mark.parametrize("type, value", [
    (pa.int64(), 7), (pa.string(), "x"), (pa.date32(), date(2020, 1, 2)), (pa.float32(), 1.5),
    (pa.timestamp("us", "UTC"), datetime(2020, 1, 2, tzinfo=timezone.utc)),
])  # fmt: skip
def test_values_of_functions_of_batches_are_read_as_values(tmp_path: Path, type: pa.DataType, value: Any) -> None:
    manager = StateManager()
    keyed = KeyedState(manager, ManualClock(0), KEY)
    ids = keyed.intern(columns := (Column.from_arrow(pa.array([5])),), hash_columns(columns))
    ColumnValues(keyed, "last", type).put_many(np.asarray(ids, np.int32), pa.array([value], type))
    path = Saved(tmp_path / "s", manager).snapshot().complete()
    assert read_state(path, "op", "last").select(["value"]) == pa.table({"value": pa.array([value], type)})


def test_a_state_that_subtasks_hold_in_types_that_evolved_is_read_in_one(tmp_path: Path) -> None:
    """One of them has been asked for the state by a program with a wider type, the other has not been asked yet."""
    managers = []
    for key, type in ((1, ti.BasicTypeInfo.INT_TYPE_INFO()), (2, LONG)):
        manager = StateManager("op")
        state = KeyedState(manager, ManualClock(), Schema(["k"], [pa.int64()], "value"))
        keys = (Column.from_numpy(np.array([key])),)
        (state.current,) = state.intern(keys, hash_columns(keys))
        state.get_state(ValueStateDescriptor("n", type)).update(key * 10)
        managers.append(manager)
    found = read_state(Saved(tmp_path, *managers).snapshot().complete(), "op", "n")
    assert found.schema.field("value").type == pa.int64()
    assert rows_of(found) == [(1, 10), (2, 20)]
