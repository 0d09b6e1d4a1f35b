# SPDX-License-Identifier: Apache-2.0
"""Pairs of records of two streams: how they are found by their keys, and what becomes of them.

Both are done on columns, whatever the records are. Python is called for each pair where a function of the user cannot
be read (flinkcore.expr.translate).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from flinkcore._native.chain import Chains
from flinkcore._native.column import Column
from flinkcore._native.group import GroupIndex
from flinkcore._native.values import detached, detached_list
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.lazy import LazyColumn
from flinkcore.columnar.rows import from_rows, row_kinds_of, to_rows
from flinkcore.columnar.schema import Schema
from flinkcore.errors import DataError, FlinkcoreError, SchemaError, UserFunctionError
from flinkcore.expr.nodes import Expr
from flinkcore.expr.translate import Translation, translate_pair
from flinkcore.operators.base import OperatorContext, OperatorDescription, Output
from flinkcore.operators.batches import Project
from flinkcore.operators.functions import JoinFunction, ProcessJoinFunction, function_name, own_copy
from flinkcore.operators.row_output import RowOutput
from flinkcore.operators.runtime_context import OperatorRuntimeContext
from flinkcore.operators.translated import Translated
from flinkcore.operators.windowed import WINDOW_END, WINDOW_START, WINDOW_TYPE

#: Pairs of one batch. A record with more partners makes larger ones.
PAIRS_MAX = 32_768
Bounds = tuple[int, int]
SIDES = ("left", "right")
#: The names in the operator's state of the records that wait.
ROWS = ("rows/left", "rows/right")


class Partners:
    """Records by key, for those of the other stream to find; numbered as they are added. timed : by time as well"""

    def __init__(self, timed: bool = False) -> None:
        self.timed = timed
        self._groups: GroupIndex | None = None
        self._chains = Chains(timed)

    def __len__(self) -> int:
        return len(self._chains)

    def add(self, batch: Batch) -> None:
        """Records behind those that there are, with keys as ColumnRows has them."""
        assert batch.keys is not None
        if self._groups is None:
            self._groups = GroupIndex([key.kind for key in batch.keys])
        ids = self._groups.intern(batch.keys, batch.key_hashes)
        self._chains.append(ids, batch.timestamps_ms if self.timed else None)

    def ids(self, batch: Batch) -> np.ndarray:
        """int32[n]: what match() takes for records of the other stream, -1 for those without a partner."""
        assert batch.keys is not None
        if self._groups is None:
            return np.full(batch.num_rows, -1, np.int32)
        return self._groups.find(batch.keys, batch.key_hashes)

    def match(self, ids: np.ndarray, first: int, end: int, *span: Any) -> tuple[np.ndarray, np.ndarray, int]:
        """As Chains.match."""
        return self._chains.match(ids, first, end, PAIRS_MAX, *span)

    def pairs(self, batch: Batch) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(rows of the batch, numbers here) of all pairs, some at a time."""
        ids = self.ids(batch)
        first = 0
        while first < batch.num_rows:
            askers, rows, first = self.match(ids, first, batch.num_rows)
            if len(rows):
                yield askers, rows


class _OfSide:
    """A column of one side of pairs, gathered when it is read (LazyColumn)."""

    __slots__ = ("_index", "_side")

    def __init__(self, side: Batch, index: int) -> None:
        self._side = side
        self._index = index

    def made(self) -> Column:
        return self._side.column(self._index)

    def slice(self, offset: int, length: int) -> _OfSide:
        return _OfSide(self._side.slice(offset, length), self._index)


class _Bound:
    """The start or the end of a window, for each of its pairs (LazyColumn)."""

    __slots__ = ("_count", "_time_ms")

    def __init__(self, time_ms: int, count: int) -> None:
        self._time_ms = time_ms
        self._count = count

    def made(self) -> Column:
        return Column.from_numpy(np.full(self._count, self._time_ms), WINDOW_TYPE)

    def slice(self, offset: int, length: int) -> _Bound:
        return _Bound(self._time_ms, length)


def joined(schema: Schema, sides: tuple[Batch, Batch], timestamps_ms: np.ndarray, bounds: Bounds | None) -> Batch:
    """Pairs as records: the columns of one side, then those of the other, then the window's."""
    count = sides[0].num_rows
    columns: list[LazyColumn] = [_OfSide(side, i) for side in sides for i in range(len(side.schema))]
    columns += [_Bound(time_ms, count) for time_ms in bounds or ()]
    is_changelog = any(side.row_kinds is not None for side in sides)
    return Batch(schema, columns, count, timestamps_ms, np.zeros(count, np.uint8) if is_changelog else None)


class Pairs:
    """What becomes of pairs; one for each subtask, opened with its operator.

    schemas : of the two streams;  schema_out : of what is made of pairs
    """

    schemas: tuple[Schema, Schema]
    schema_out: Schema

    def open(self, context: OperatorContext, out: Output) -> None:
        raise NotImplementedError(type(self).__name__)

    def emit(
        self, left: Batch, right: Batch, timestamps_ms: np.ndarray, bounds: Bounds | None = None
    ) -> None:
        """Pair i is row i of `left` and row i of `right`.

        timestamps_ms : int64[n], of the results;  bounds : start and end of the window, when there is one
        """
        raise NotImplementedError(type(self).__name__)

    def close(self) -> None:
        """Releases what open() took."""

    def describe(self, detail: str) -> OperatorDescription:
        """detail : which pairs they are"""
        raise NotImplementedError(type(self).__name__)


class SelectedPairs(Pairs):
    """Expressions over the columns of both streams, and window_start and window_end.

    windowed : whether there are windows
    SchemaError : both have a column of one name
    """

    def __init__(
        self, schemas: tuple[Schema, Schema], expressions: Sequence[Expr], names: Sequence[str] | None, windowed: bool
    ) -> None:
        self.schemas = schemas
        both = set(schemas[0].names) & set(schemas[1].names)
        if both:
            raise SchemaError(
                f"both streams of the join have a column '{sorted(both)[0]}'; rename one of them before, e.g. "
                f"select(col('{sorted(both)[0]}').alias('other'))"
            )
        named = [(name, type) for schema in schemas for name, type in zip(schema.names, schema.types)]
        if windowed:
            named += [(name, WINDOW_TYPE) for name in (WINDOW_START, WINDOW_END)]
        self._joined = Schema([name for name, _ in named], [type for _, type in named])
        self._project = Project(self._joined, expressions, names)
        self.schema_out = self._project.schema_out

    def open(self, context: OperatorContext, out: Output) -> None:
        self._name = context.name
        self._project.open(context, out)

    def emit(self, left: Batch, right: Batch, timestamps_ms: np.ndarray, bounds: Bounds | None = None) -> None:
        if left.row_kinds is not None or right.row_kinds is not None:
            raise DataError(
                f"operator '{self._name}': a record of the join is an update or a deletion of another, which pairs "
                f"cannot take back; join streams of new records, or use apply or process with a function"
            )
        self._project.process_batch(joined(self._joined, (left, right), timestamps_ms, bounds))

    def describe(self, detail: str) -> OperatorDescription:
        found = self._project.describe()
        return OperatorDescription(found.native, f"{detail}: {found.detail}", found.reason)


class CalledPairs(Pairs):
    """A function of the user.

    function : a JoinFunction or a callable, which give one record for each pair; a FlatJoinFunction or a
        ProcessJoinFunction, which give any number
    """

    def __init__(self, schemas: tuple[Schema, Schema], function: Any, schema_out: Schema) -> None:
        self.schemas = schemas
        self.schema_out = schema_out
        self.function = function
        self.function_name = function_name(function)
        self._one = isinstance(function, JoinFunction) or not hasattr(function, "join")
        self._processes = isinstance(function, ProcessJoinFunction)
        count = len(schemas[0]) + len(schemas[1])
        types = [type for schema in schemas for type in schema.types]
        self._joined = Schema([f"f{i}" for i in range(count)], types, "tuple")

    def _translation(self, function: Any, context: OperatorContext | None = None) -> Translated | None:
        """None for functions that give any number of records, which are called for each pair."""
        if self._processes or not self._one:
            return None
        return Translated(
            lambda: translate_pair(function, "join", self.schemas, self.schema_out),
            None if context is None else context.config,
        )

    def open(self, context: OperatorContext, out: Output) -> None:
        self._context = context
        self._out = out
        self._function = own_copy(self.function)
        self._call: Callable[..., Any] = getattr(self._function, "join", self._function)
        self._what = f"operator '{context.name}': {self.function_name}"
        self._translated = self._translation(self._function, context)
        self._emitted = RowOutput(self.schema_out, self._what, out)
        self._pair = _PairContext()
        if hasattr(self._function, "open"):
            self._guard("open", self._function.open, OperatorRuntimeContext(context))

    def close(self) -> None:
        function = getattr(self, "_function", None)
        if function is not None and hasattr(function, "close"):
            self._guard("close", function.close)

    def emit(self, left: Batch, right: Batch, timestamps_ms: np.ndarray, bounds: Bounds | None = None) -> None:
        if self._translated is not None:
            both = joined(self._joined, (left, right), timestamps_ms, None)
            columns = self._translated.ask(both, self._context.metrics, Translation.columns)
            if columns is not None:
                self._out.batch(Batch(self.schema_out, columns, left.num_rows, timestamps_ms))
                return
        pairs = list(zip(_own_rows(left), _own_rows(right)))
        done = 0
        try:
            if self._processes:
                for pair, times in zip(pairs, _times(left, right, timestamps_ms)):
                    self._pair.times = times
                    self._emitted.emit(self._function.process_element(*pair, self._pair), times[2])
                    done += 1
            elif not self._one:
                for pair, time_ms in zip(pairs, timestamps_ms.tolist()):
                    self._emitted.emit(self._call(*pair), time_ms)
                    done += 1
            else:
                self._emit_one_each(pairs, timestamps_ms)
                return
        except FlinkcoreError:
            raise
        except Exception as error:
            raise UserFunctionError(self._context.name, self.function_name, error, pairs[done], done) from error
        self._emitted.flush()

    def _emit_one_each(self, pairs: list[tuple[Any, Any]], timestamps_ms: np.ndarray) -> None:
        found: list[Any] = []
        call, add = self._call, found.append
        try:
            for pair in pairs:
                add(detached(call(*pair)))
        except Exception as error:
            place = len(found)
            raise UserFunctionError(self._context.name, self.function_name, error, pairs[place], place) from error
        columns = from_rows(found, self.schema_out, self._what)
        self._out.batch(Batch(self.schema_out, columns, len(found), timestamps_ms, row_kinds_of(found)))

    def describe(self, detail: str) -> OperatorDescription:
        translated = self._translation(self.function)
        if translated is None or translated.translation is None:
            reason = f"{self.function_name} is called for each pair"
            more = "" if translated is None else f": {translated.reason}"
            return OperatorDescription(False, f"{detail}: {self.function_name}", f"{reason}{more}")
        return OperatorDescription(True, f"{detail}: {translated.translation.text}, as columns")

    def _guard(self, method: str, call: Callable[..., Any], *args: Any) -> None:
        try:
            call(*args)
        except FlinkcoreError:
            raise
        except Exception as error:
            raise UserFunctionError(self._context.name, f"{self.function_name}.{method}", error) from error


class _PairContext(ProcessJoinFunction.Context):
    """What a ProcessJoinFunction sees beside its pair; one object, changed from pair to pair."""

    times: tuple[int, int, int]

    def get_left_timestamp(self) -> int:
        return self.times[0]

    def get_right_timestamp(self) -> int:
        return self.times[1]

    def get_timestamp(self) -> int:
        return self.times[2]


def _times(left: Batch, right: Batch, timestamps_ms: np.ndarray) -> Iterator[tuple[int, int, int]]:
    assert left.timestamps_ms is not None and right.timestamps_ms is not None
    return zip(left.timestamps_ms.tolist(), right.timestamps_ms.tolist(), timestamps_ms.tolist())


def _own_rows(batch: Batch) -> list[Any]:
    """The records as a function may have them: what it changes in one changes nothing that waits for other partners."""
    rows = to_rows(batch)
    return detached_list(rows) if None in batch.schema.types else rows
