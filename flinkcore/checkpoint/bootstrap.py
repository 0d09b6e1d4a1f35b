# SPDX-License-Identifier: Apache-2.0
"""Bootstrap: a savepoint made of Arrow tables, for a job that begins with state that it did not make itself.

    path = (
        SavepointWriter.new_savepoint()
        .with_keyed_state("count-words", ValueStateDescriptor("count", Types.LONG()), counts, key="word")
        .write("/data/savepoints/first")
    )

A program whose operator has the uid "count-words" goes on from it with `flinkcore run -s PATH job.py`, at any
parallelism. This is what Flink's State Processor API has SavepointWriter, OperatorTransformation.bootstrapWith and
StateBootstrapFunction for; a table takes the place of the data set and of the function. Names are Flink's where it has
them (newSavepoint, write); with_keyed_state stands for withOperator(forUid(uid), bootstrapWith(...).keyBy(...)
.transform(...)).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from flinkcore._native.column import Column
from flinkcore.checkpoint.assignment import operator_id_of_uid
from flinkcore.checkpoint.home import SavepointHome, Writing
from flinkcore.checkpoint.layout import LOCK, NewSavepoint
from flinkcore.checkpoint.location import open_store
from flinkcore.checkpoint.manifest import OperatorState, SubtaskState
from flinkcore.columnar.arrow_types import schema_of
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.decode import to_pylist
from flinkcore.columnar.rows import from_rows, to_rows
from flinkcore.columnar.schema import Schema
from flinkcore.columnar.tables import tables_of
from flinkcore.columnar.typeinfo import RowTypeInfo, TypeInformation
from flinkcore.errors import CheckpointStorageError, ConfigurationError, SchemaError
from flinkcore.state.descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    StateDescriptor,
    ValueStateDescriptor,
)
from flinkcore.state.keyed import KeyedState
from flinkcore.state.manager import StateManager

_BATCH_ROWS = 8192
_INLINE_BYTES_MAX = 20 << 10  # Flink: state.storage.fs.memory-threshold


def write_savepoint(
    path: str | os.PathLike[str],
    states: Sequence[dict[str, Any]],
    *,
    max_parallelism: int = 128,
    job_name: str = "bootstrap",
) -> str:
    """A savepoint of several states, each given by the arguments of SavepointWriter.with_keyed_state. -> its path"""
    writer = SavepointWriter.new_savepoint(max_parallelism, job_name)
    for state in states:
        writer.with_keyed_state(**state)
    return writer.write(path)


class SavepointWriter:
    """Gathers the states of operators, and writes them as one savepoint. See the module."""

    def __init__(self, max_parallelism: int, job_name: str) -> None:
        if not 1 <= max_parallelism <= 32768:
            raise ConfigurationError(f"max parallelism is 1 to 32,768, not {max_parallelism}")
        self._max_parallelism = max_parallelism
        self._job_name = job_name
        self._operators: dict[str, _Operator] = {}

    @staticmethod
    def new_savepoint(max_parallelism: int = 128, job_name: str = "bootstrap") -> SavepointWriter:
        """max_parallelism : that of the program; 128 where it says nothing and its parallelism is at most 85"""
        return SavepointWriter(max_parallelism, job_name)

    def with_keyed_state(
        self,
        uid: str,
        descriptor: StateDescriptor,
        table: Any,
        key: str | Sequence[str],
        key_type: TypeInformation | None = None,
        value: str | None = None,
    ) -> SavepointWriter:
        """One state of the function of an operator; several of one uid are several calls, with the same key.

        uid : of the operator behind key_by in the program
        descriptor : as the function has it; values are converted to its type as they are there
        table : what read_state gives for such a state: the key's columns, and the values'. A pyarrow Table or
            RecordBatch, a Polars or pandas DataFrame, anything with __arrow_c_stream__ or __arrow_c_array__, or a dict
            of columns. A list may also have its elements in several rows of a key, and a map its entries; a reducing or
            aggregating state adds up the values of all rows of a key; a value state has one row of a key with a value
        key : the key's columns;  key_type : None where the program says key_by("user") of columns of these very types;
            else the key_type of its key_by(function, key_type), and Types.PICKLED_BYTE_ARRAY() where it gives none
        value : the column of values; by default the only other one, or, for a state of ROW, those of its fields
        SchemaError : it is no table, a column is missing, a key is null or has two values, or a value does not fit its
            type
        """
        keys = [key] if isinstance(key, str) else list(key)
        operator = self._operators.get(uid)
        if operator is None:
            operator = self._operators[uid] = _Operator(uid, self._max_parallelism)
        operator.add(descriptor, _table(table, f"state '{descriptor.name}' of operator '{uid}'"), keys, key_type, value)
        return self

    def write(self, path: str | os.PathLike[str]) -> str:
        """Writes the savepoint into a folder, which is made. -> the folder

        CheckpointStorageError : there is something in the folder, or it cannot be written
        """
        if not self._operators:
            raise ConfigurationError("a savepoint without a state: call with_keyed_state first")
        home = open_store(path)
        if home.list():  # what fails is deleted, and nothing else with it
            raise CheckpointStorageError(f"'{home.location}' is not empty; give a folder that is not there yet")
        writing = Writing(self._job_name, os.urandom(16).hex(), _INLINE_BYTES_MAX, "none", None)
        savepoint = SavepointHome(writing, NewSavepoint(home, home.lock(LOCK, f"bootstrap of '{self._job_name}'")))
        try:
            states = [operator.write(savepoint) for operator in self._operators.values()]
            savepoint.complete(1, _Now().now_ms(), states)
        except BaseException:
            savepoint.discard([])
            raise
        return home.location


class _Now:
    """The clock by which values are touched."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


class _Operator:
    """The keyed state of one operator, in one subtask that has all key groups."""

    def __init__(self, uid: str, max_parallelism: int) -> None:
        self.uid = uid
        self.max_parallelism = max_parallelism
        self.manager = StateManager(uid, range(max_parallelism), max_parallelism)
        self.state: KeyedState | None = None
        self._key: Schema | None = None
        self._names: set[str] = set()

    def add(
        self,
        descriptor: StateDescriptor,
        table: pa.Table,
        keys: Sequence[str],
        key_type: TypeInformation | None,
        value: str | None,
    ) -> None:
        what = f"state '{descriptor.name}' of operator '{self.uid}'"
        if descriptor.name in self._names:
            raise ConfigurationError(f"{what} is given twice")
        self._names.add(descriptor.name)
        missing = [name for name in (*keys, *([value] if value else [])) if name not in table.column_names]
        if missing or not keys:
            raise SchemaError(f"{what}: the table has no column {missing or 'of keys'}; it has {table.column_names}")
        given = Schema(keys, [table.schema.field(name).type for name in keys], "value" if len(keys) == 1 else "tuple")
        schema = _key_schema(given, key_type)
        if self.state is None or self._key is None:
            self.state, self._key = KeyedState(self.manager, _Now(), schema), schema
        if schema.types != self._key.types:
            raise SchemaError(f"{what}: the key is {schema}, and that of the operator's other states {self._key}")
        take = _TAKERS[type(descriptor)](self.state.state(descriptor))
        single = isinstance(descriptor, ValueStateDescriptor)
        rows_of: dict[int, int] = {}  # which row gave a key its value
        values = _values(descriptor, table, keys, value, what)
        for start in range(0, table.num_rows, _BATCH_ROWS):
            part = table.slice(start, _BATCH_ROWS)
            columns = tuple(Column.from_arrow(part.column(name).combine_chunks()) for name in keys)
            for name, column in zip(keys, columns):
                if column.null_count:
                    raise SchemaError(f"{what}: key column '{name}' has a null; filter such rows out")
            if key_type is not None:
                columns = from_rows(to_rows(Batch(given, columns, part.num_rows)), schema, f"key of {what}")
            ids = self.state.intern(columns, None)
            for row, (group_id, item) in enumerate(zip(ids, values[start : start + _BATCH_ROWS]), start):
                if single and item is not None and (first := rows_of.setdefault(group_id, row)) != row:
                    raise SchemaError(_told_twice(what, table, keys, first, row, values))
                self.state.current = group_id
                take(item)
            self.state.release_unused()

    def write(self, savepoint: SavepointHome) -> OperatorState:
        operator_id = operator_id_of_uid(self.uid)
        frozen = self.manager.freeze(0)
        try:
            writer = savepoint.segment_writer(1, operator_id, 0, 0, frozen.epoch)
            try:
                for number, payload in frozen.blocks():
                    writer.write(number, payload)
                segment = writer.finish()
            except BaseException:
                writer.abort()
                raise
        finally:
            frozen.release()
        subtask = SubtaskState(
            0,
            (0, self.max_parallelism),
            frozen.epoch,
            fields=frozen.fields,
            lists=frozen.lists,
            parts=tuple(frozen.entries),
            segments=(segment,),
        )
        return OperatorState(operator_id, self.uid, self.uid, 1, self.max_parallelism, (subtask,))


def _table(data: Any, what: str) -> pa.Table:
    """Arrow data of any kind, or a dict of columns, as a table. SchemaError : it is neither"""
    try:
        found = tables_of(data)
    except SchemaError as error:
        raise SchemaError(f"{what}: expected a table of the key's columns and the values': {error}") from error
    return found if isinstance(found, pa.Table) else found.read_all()


def _told_twice(what: str, table: pa.Table, keys: Sequence[str], first: int, row: int, values: list[Any]) -> str:
    key = ", ".join(f"{name}={_short(table.column(name)[row].as_py())}" for name in keys)
    return (
        f"{what}: a key of a value state has one value, but {key} has one in row {first} of the table, "
        f"{_short(values[first])}, and another in row {row}, {_short(values[row])}; leave one of the rows"
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _key_schema(given: Schema, key_type: TypeInformation | None) -> Schema:
    """The key as key_by has it."""
    if key_type is None:
        return given
    schema = schema_of(key_type)
    return Schema(("key",), schema.types, schema.form) if schema.form in ("value", "object") else schema


def _values(
    descriptor: StateDescriptor, table: pa.Table, keys: Sequence[str], value: str | None, what: str
) -> list[Any]:
    """The values of the rows, as Python has them."""
    others = [name for name in table.column_names if name not in keys]
    info = descriptor.type_info
    names = list(info.get_field_names()) if isinstance(info, RowTypeInfo) else []
    if isinstance(descriptor, AggregatingStateDescriptor) and (len(others) == 1 or not set(names) <= set(others)):
        names = []  # what it takes need not be of the type that it holds
    if value is None and len(others) == 1 and not (names and _is_plain(table.schema.field(others[0]).type)):
        (value,) = others
    if value is not None:
        column = table.column(value).combine_chunks()
        return to_pylist(Column.from_arrow(column))
    if not others:
        raise SchemaError(f"{what}: the table has no column but those of the key, {list(keys)}; add that of the values")
    missing = [name for name in names if name not in others]
    if names and (len(missing) < len(names) or len(others) == 1):
        if missing:
            raise SchemaError(
                f"{what}: the table has no column {' and none '.join(map(repr, missing))}; values are {info}, "
                f"each field of which is a column, and beside the key it has {', '.join(map(repr, others))}: add what "
                "is missing, or give one column of structs"
            )
    else:
        raise SchemaError(f"{what}: which of the columns {others} has the values? Say it: value=...")
    fields = [to_pylist(Column.from_arrow(table.column(name).combine_chunks())) for name in names]
    return list(zip(*fields))


def _is_plain(type: pa.DataType) -> bool:
    """Whether none of its values can be a row."""
    return not pa.types.is_nested(type) and not pa.types.is_null(type)


def _items(state: Any) -> Callable[[Any], None]:
    def take(item: Any) -> None:
        if isinstance(item, (list, np.ndarray)):
            state.add_all(item)
        elif item is not None:
            state.add(item)

    return take


def _entries(state: Any) -> Callable[[Any], None]:
    def take(item: Any) -> None:
        if item is not None:
            state.put_all(dict(item))

    return take


def _present(change: Callable[[Any], None]) -> Callable[[Any], None]:
    """A null is no value."""

    def take(item: Any) -> None:
        if item is not None:
            change(item)

    return take


#: How a state takes the value of a row.
_TAKERS: dict[type[StateDescriptor], Callable[[Any], Callable[[Any], None]]] = {
    ValueStateDescriptor: lambda state: _present(state.update),
    ListStateDescriptor: _items,
    MapStateDescriptor: _entries,
    ReducingStateDescriptor: lambda state: _present(state.add),
    AggregatingStateDescriptor: lambda state: _present(state.add),
}
