# SPDX-License-Identifier: Apache-2.0
"""A job goes on from a savepoint that was made of tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from flinkcore.checkpoint import SavepointWriter, read_state, write_savepoint
from flinkcore.common import Types
from flinkcore.datastream import StreamExecutionEnvironment
from flinkcore.datastream.functions import KeyedProcessFunction
from flinkcore.datastream.state import (
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)
from flinkcore.errors import (
    CheckpointStorageError,
    ConfigurationError,
    JobExecutionError,
    SchemaError,
    StateMigrationError,
)

COUNT = ValueStateDescriptor("count", Types.LONG())
WORDS = ListStateDescriptor("words", Types.STRING())
SEEN = MapStateDescriptor("seen", Types.STRING(), Types.LONG())
TOTAL = ReducingStateDescriptor("total", lambda a, b: a + b, Types.LONG())
PROFILE = ValueStateDescriptor("profile", Types.ROW_NAMED(["name", "age"], [Types.STRING(), Types.INT()]))
COUNTS = pa.table({"user": ["ann", "bob", "cy"], "n": [10, 20, None]})


class Tell(KeyedProcessFunction):
    """What the states of a key hold."""

    def open(self, runtime_context: Any) -> None:
        self.count = runtime_context.get_state(COUNT)
        self.words = runtime_context.get_list_state(WORDS)
        self.seen = runtime_context.get_map_state(SEEN)
        self.total = runtime_context.get_reducing_state(TOTAL)
        self.profile = runtime_context.get_state(PROFILE)

    def process_element(self, value: Any, ctx: Any) -> Any:
        self.total.add(1)
        profile = self.profile.value()
        yield (ctx.get_current_key(), self.count.value(), list(self.words), sorted(self.seen.items()),
               self.total.get(), profile and (profile.name, profile.age))  # fmt: skip


def run(path: str, parallelism: int, **how: Any) -> list[Any]:
    """What Tell says of some users."""
    env = StreamExecutionEnvironment.get_execution_environment().set_parallelism(parallelism)
    env.get_configuration().set_string("execution.state-recovery.path", path)
    users = env.from_collection([("ann",), ("bob",), ("cy",), ("dee",)], Types.ROW_NAMED(["user"], [Types.STRING()]))
    keyed = users.key_by("user") if not how else users.key_by(lambda row: row.user, **how)
    told = keyed.process(Tell()).uid("tell")
    return sorted(told.execute_and_collect())


@pytest.mark.parametrize("parallelism", [1, 3])
def test_states_of_all_kinds_are_there_at_any_parallelism(tmp_path: Path, parallelism: int) -> None:
    writer = SavepointWriter.new_savepoint()
    words = pa.table({"user": ["ann", "bob", "ann"], "w": ["x", "y", "z"]})
    seen = pa.table({"user": ["bob"], "value": pa.array([[("p", 1), ("q", 2)]], pa.map_(pa.string(), pa.int64()))})
    people = pa.table({"user": ["ann"], "name": ["Ann"], "age": [7]})
    for descriptor, table in ((COUNT, COUNTS), (WORDS, words), (SEEN, seen), (PROFILE, people),
                              (TOTAL, pa.table({"user": ["ann", "ann"], "n": [5, 6]}))):  # fmt: skip
        writer.with_keyed_state("tell", descriptor, table, key="user")
    path = writer.write(tmp_path / "first")
    assert run(path, parallelism) == [
        ("ann", 10, ["x", "z"], [], 12, ("Ann", 7)),
        ("bob", 20, ["y"], [("p", 1), ("q", 2)], 1, None),
        ("cy", None, [], [], 1, None),
        ("dee", None, [], [], 1, None),
    ]
    assert read_state(path, "tell", "count").to_pylist() == [{"user": "ann", "value": 10}, {"user": "bob", "value": 20}]


@pytest.mark.parametrize("how, key_type", [({"key_type": Types.STRING()}, Types.STRING()),
                                           ({"key_type": None}, Types.PICKLED_BYTE_ARRAY())])  # fmt: skip
def test_keys_are_those_of_key_by_with_a_function(tmp_path: Path, how: Any, key_type: Any) -> None:
    path = write_savepoint(
        tmp_path / "first",
        [{"uid": "tell", "descriptor": COUNT, "table": COUNTS, "key": "user", "key_type": key_type}],
        max_parallelism=64,
    )
    assert [told[:2] for told in run(path, 2, **how)] == [("ann", 10), ("bob", 20), ("cy", None), ("dee", None)]


def test_keys_of_another_type_are_refused(tmp_path: Path) -> None:
    anything = Types.PICKLED_BYTE_ARRAY()
    writer = SavepointWriter.new_savepoint().with_keyed_state("tell", COUNT, COUNTS, "user", anything)
    with pytest.raises(JobExecutionError) as failure:
        run(writer.write(tmp_path / "first"), 1)
    assert isinstance(failure.value.__cause__, StateMigrationError)
    assert "the keys are Python objects, the program's are string" in str(failure.value)


def test_what_was_read_can_be_written(tmp_path: Path) -> None:
    words = pa.table({"user": ["ann", "ann", "bob"], "w": ["x", "z", "y"]})
    first = SavepointWriter.new_savepoint().with_keyed_state("tell", WORDS, words, "user").write(tmp_path / "first")
    found = read_state(first, "tell", "words")
    again = SavepointWriter.new_savepoint().with_keyed_state("tell", WORDS, found, "user").write(tmp_path / "again")
    assert read_state(again, "tell", "words") == found


def test_what_does_not_fit_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    writer = SavepointWriter.new_savepoint()
    for table, key, message in (
        (COUNTS, "name", "has no column"),
        (COUNTS.append_column("m", COUNTS["n"]), "user", "which of the columns"),
        (pa.table({"user": [None], "n": [1]}), "user", "has a null"),
        (pa.table({"user": ["a"], "n": ["text"]}), "user", "count"),
    ):
        with pytest.raises(SchemaError, match=message):
            SavepointWriter.new_savepoint().with_keyed_state("tell", COUNT, table, key)
    with pytest.raises(ConfigurationError, match="without a state"):
        writer.write(tmp_path / "none")
    writer.with_keyed_state("tell", COUNT, COUNTS, "user")
    with pytest.raises(ConfigurationError, match="given twice"):
        writer.with_keyed_state("tell", COUNT, COUNTS, "user")
    with pytest.raises(SchemaError, match="the operator's other states"):
        writer.with_keyed_state("tell", WORDS, pa.table({"user": [1], "w": ["x"]}), "user")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("kept")
    with pytest.raises(CheckpointStorageError, match="is not empty"):
        writer.write(tmp_path / "mine")
    assert (tmp_path / "mine" / "file").read_text() == "kept"


@pytest.mark.parametrize("make", [dict, pl.DataFrame, pa.table, pa.record_batch, lambda it: pa.table(it).to_reader()])
def test_tables_of_any_library_are_taken(tmp_path: Path, make: Any) -> None:
    table = make({"user": ["ann"], "n": [10]})
    path = SavepointWriter.new_savepoint().with_keyed_state("tell", COUNT, table, "user").write(tmp_path / "first")
    assert read_state(path, "tell", "count").to_pylist() == [{"user": "ann", "value": 10}]


@pytest.mark.parametrize("table", [[("ann", 10)], None, pa.array([1]), {"user": ["ann"], "n": [1, 2]}])
def test_what_is_no_table_is_refused(table: Any) -> None:
    with pytest.raises(SchemaError, match=r"state 'count' of operator 'tell': .*table"):
        SavepointWriter.new_savepoint().with_keyed_state("tell", COUNT, table, "user")


def test_a_key_has_one_value() -> None:
    message = r"user='ann' has one in row 0 of the table, 1, and another in row 3, 4; leave one"
    with pytest.raises(SchemaError, match=message):
        table = {"user": ["ann", "bob", "bob", "ann"], "n": [1, None, 3, 4]}
        SavepointWriter.new_savepoint().with_keyed_state("tell", COUNT, table, "user")


def test_a_row_has_a_column_for_each_field() -> None:
    for table, message in (({"user": ["ann"], "name": ["Ann"]}, "no column 'age'; .* it has 'name'"),
                           ({"user": ["ann"], "age": [7], "n": [7]}, "no column 'name'; .* it has 'age', 'n'"),
                           ({"user": ["ann"]}, "no column but those of the key")):  # fmt: skip
        with pytest.raises(SchemaError, match=message):
            SavepointWriter.new_savepoint().with_keyed_state("tell", PROFILE, table, "user")
