# SPDX-License-Identifier: Apache-2.0
"""Running reductions per key on rows: reduce, and sum, min, max, min_by, max_by, count of a field.

In streaming mode each record gives the reduced value so far; with final_only (Flink's BATCH mode) each key
gives one value, at the end of the input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import gt, lt
from typing import Any

import numpy as np

from flinkcore import options
from flinkcore._native.agg import Accumulators
from flinkcore._native.column import Column
from flinkcore._native.values import detached
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.row import Row, make_row
from flinkcore.columnar.rows import to_rows
from flinkcore.columnar.schema import Schema
from flinkcore.errors import ConfigurationError, SchemaError, UserFunctionError
from flinkcore.expr.folded import FOLDED, FoldedFields, only
from flinkcore.expr.translate import NotTranslated, Unequal
from flinkcore.expr.translate.fold import Fold, fold_of_op, translate_reduce
from flinkcore.operators.base import OperatorContext, OperatorDescription, Output
from flinkcore.operators.folding import FoldOnColumns, fold_on_columns, leaves_columns, way_of
from flinkcore.operators.functions import ReduceFunction, as_reduce_function
from flinkcore.operators.keyed import KeyedTimers
from flinkcore.operators.process import RowOperator
from flinkcore.operators.row_output import RowOutput, timestamps_of
from flinkcore.state.codec import LONG, Codec, codec_of_schema
from flinkcore.state.content import Content
from flinkcore.time import MAX_WATERMARK

OPS = ("sum", "min", "max", "min_by", "max_by", "count")


class RowReduce(RowOperator):
    """A ReduceFunction, or a callable of two values, over the records of each key. Same type in and out."""

    method = "reduce"
    needs_state = True

    def __init__(
        self,
        schema: Schema,
        function: Any,
        schema_out: Schema | None = None,
        final_only: bool = False,
        key_schema: Schema | None = None,
    ) -> None:
        as_reduce_function(function)
        super().__init__(schema, function, schema_out or schema, True, key_schema)
        self.final_only = final_only

    def open(self, context: OperatorContext, out: Output) -> None:
        super().open(context, out)
        assert self.state is not None
        self._reduced = self.state.table("reduce", Content("reducing", self.value_codec()))
        self._timers = KeyedTimers(context, self.state)
        self._emitted = RowOutput(self.schema_out, self._what, out, context.config.get(options.BATCH_ROWS))
        self._columns: FoldOnColumns | None = None  # None: by rows
        self._accumulators: Accumulators | None = None
        self._stored = context.state.field("fold", None, self._description, only)
        self._is_read = False
        self.reason: str | None = f"{options.TRANSLATE_FUNCTIONS.key} is false"
        if context.config.get(options.TRANSLATE_FUNCTIONS):
            try:
                self._to_columns(self.read(self._function))
                self.reason = None
            except (NotTranslated, Unequal) as reason:
                self.reason = str(reason)
        if self._columns is None:
            self._restore_rows()

    def read(self, function: Any) -> Fold:
        """The function on columns. NotTranslated: says why it cannot be"""
        body = function.reduce if isinstance(function, ReduceFunction) else function
        return translate_reduce(body, self.schema)

    def describe(self) -> OperatorDescription:
        try:
            text = way_of(self.read(self.function))
        except NotTranslated as reason:
            name = self.function_name
            return OperatorDescription(False, name, f"{name} is called for each record: {reason}")
        return OperatorDescription(True, f"{text}")

    def first(self, row: Any) -> Any:
        """What the first record of a key is reduced to."""
        return row

    def value_codec(self) -> Codec:
        """The codec of what records are reduced to."""
        return codec_of_schema(self.schema_out)

    # -- columns ------------------------------------------------------------------------------------------

    def _fold(self, columns: FoldOnColumns, batch: Batch) -> None:
        """Takes a batch. Unequal: nothing was done"""
        assert self.state is not None and self._accumulators is not None
        assert batch.keys is not None
        ids = self.state.intern_kept(batch.keys, batch.key_hashes)
        if self.final_only:
            columns.update([self._accumulators], np.zeros(0, np.int32), ids, batch)
        else:
            self._emit_fields(columns.running(self._accumulators, ids, batch), batch.num_rows, batch.timestamps_ms)

    def _emit_fields(self, fields: Sequence[Column], count: int, timestamps_ms: np.ndarray | None) -> None:
        typed = [column.with_type(type) for column, type in zip(fields, self.schema_out.types)]
        self.out.batch(Batch(self.schema_out, typed, count, timestamps_ms))

    def _emit_finals(self, columns: FoldOnColumns, accumulators: Accumulators) -> None:
        """The values of all keys, in the order in which the keys came."""
        ids, at_a_time = accumulators.used_ids(), self.context.config.get(options.BATCH_ROWS)
        for start in range(0, len(ids), at_a_time):
            some = ids[start : start + at_a_time]
            stamps = np.full(len(some), MAX_WATERMARK)
            self._emit_fields(columns.fields.fields(accumulators, some), len(some), stamps)

    def _description(self) -> dict[str, Any] | None:
        return None if self._columns is None else self._columns.fields.describe()

    def _to_columns(self, fold: Fold) -> None:
        """What a snapshot holds, in columns. Unequal: it does not fit, and stays as it is"""
        assert self.state is not None
        self._is_read = True
        columns = fold_on_columns(
            fold,
            lambda: () if self._accumulators is None else (self._accumulators,),
            lambda before, row: self.first(row) if before is None else self._call(before, row),
            self.context.metrics,
        )
        fields, manager = columns.fields, self.context.state
        if fields.describe() != self._stored:
            self._restore_rows()
        rows: dict[int, Any] = self._reduced.rows.get(None) or {}
        made = fields.accumulators()
        fields.put(made, np.fromiter(rows, np.int32, len(rows)), list(rows.values()))
        shown = {"fold": fields.describe()}
        self._columns = columns
        self._accumulators = manager.part(FOLDED, fields.accumulators, shown=shown)
        self._accumulators.merge_all(made)
        for group_id in list(rows):
            self._reduced.remove(None, group_id)
        for timer in list(self._timers.event):
            self.state.current = timer.group_id
            self._timers.delete_event(timer.timestamp_ms)
        self.state.current = self.state.no_key
        columns.recount()

    def _restore_rows(self) -> None:
        """What a snapshot holds in columns, in rows."""
        state = self.context.state
        if state.unclaimed_part(FOLDED) is not None:
            fields = FoldedFields.of_description(self._stored)
            self._to_rows(state.part(FOLDED, fields.accumulators), fields)

    def _to_rows(self, accumulators: Accumulators, fields: FoldedFields) -> None:
        state = self.state
        assert state is not None
        ids = accumulators.used_ids()
        for state.current, value in zip(ids.tolist(), fields.objects(accumulators, ids)):
            self._reduced.put(None, state.current, value)
            if self.final_only and self._timers.watermark_ms < MAX_WATERMARK:
                self._timers.register_event(MAX_WATERMARK)
        state.current = state.no_key
        self.context.state.drop(FOLDED)

    def _by_rows(self, reason: str) -> None:
        """Python takes over, with what there is."""
        columns, accumulators = self._columns, self._accumulators
        assert columns is not None and accumulators is not None
        leaves_columns(self.context, self.function_name, reason)
        self.reason, self._columns, self._accumulators = reason, None, None
        self._to_rows(accumulators, columns.fields)

    # -- rows ---------------------------------------------------------------------------------------------

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        if self._columns is not None:
            try:
                if batch.num_rows:
                    self._fold(self._columns, batch)
                return
            except Unequal as reason:
                self._by_rows(str(reason))
        if self._is_read:
            self.context.metrics.count("rows_by_python", batch.num_rows)
        self._reduce_rows(batch)

    def _reduce_rows(self, batch: Batch) -> None:
        state, reduce, first = self.state, self._call, self.first
        assert state is not None
        rows, ids = to_rows(batch), self._ids(batch)
        found: list[Any] = []
        add = found.append
        values, hold = self._reduced.writable(None), state.hold
        self._reduced.touch_all(values, ids)  # type: ignore[arg-type]
        try:
            for row, group_id in zip(rows, ids):  # type: ignore[arg-type]
                state.current = group_id
                before = values.get(group_id, self)  # self: no value yet; None is a value
                if before is self:
                    hold(group_id)
                    values[group_id] = after = first(row)
                    if self.final_only:  # as Flink: the result comes with the last watermark
                        self._timers.register_event(MAX_WATERMARK)
                else:
                    values[group_id] = after = reduce(before, row)
                add(detached(after))
        except Exception as error:
            raise UserFunctionError(
                self.context.name, self.function_name, error, rows[len(found)], len(found)
            ) from error
        state.release_unused()
        if not self.final_only:
            self._emitted.rows, self._emitted.timestamps = found, timestamps_of(batch)
            self._emitted.flush()

    def process_watermark(self, watermark_ms: int) -> None:
        if self._columns is None:
            self._timers.fire_event(watermark_ms, self._emit_final)
            self._emitted.flush()
        else:
            before, self._timers.watermark_ms = self._timers.watermark_ms, watermark_ms
            if self.final_only and before < watermark_ms == MAX_WATERMARK:
                assert self._accumulators is not None
                self._emit_finals(self._columns, self._accumulators)
        super().process_watermark(watermark_ms)

    def _emit_final(self, timestamp_ms: int, namespace: Any) -> None:
        assert self.state is not None
        self._emitted.emit((self._reduced.get(None, self.state.current),), timestamp_ms)
        self._emitted.flush_when_full()


class RowAccumulate(RowReduce):
    """sum, min, max, min_by, max_by or count over a field of the records of each key.

    field : a position, or a name for rows; 0 for bare values. sum, min and max keep the other fields of the
        key's
    first record, min_by and max_by give the whole record, the first of equal ones. count puts the number of
    records in place of the record. Source: PyFlink, KeyedStream._accumulate
    """

    def __init__(
        self,
        schema: Schema,
        op: str,
        field: int | str = 0,
        schema_out: Schema | None = None,
        final_only: bool = False,
        key_schema: Schema | None = None,
    ) -> None:
        if op not in OPS:
            raise ConfigurationError(f"expected one of {', '.join(OPS)}, got '{op}'")
        if not isinstance(field, (int, str)):
            raise TypeError(
                "The field position must be of int or str type to locate the value to calculate for min, "
                f"max, min_by, max_by and sum. The given type is: {type(field)}"
            )
        _check_field(schema, op, field)
        super().__init__(schema, _accumulate(op, field), schema_out, final_only, key_schema)
        self.op = op
        self.field = field
        self.function_name = f"{op}({field!r})" if op != "count" else "count()"

    def first(self, row: Any) -> Any:
        return 1 if self.op == "count" else row

    def value_codec(self) -> Codec:
        return LONG if self.op == "count" else super().value_codec()

    def read(self, function: Any) -> Fold:
        place = self.field if isinstance(self.field, int) else self._place(self.field)
        if not -len(self.schema.names) <= place < len(self.schema.names):
            raise NotTranslated(f"there is no field {self.field!r}")
        return fold_of_op(self.op, place, self.schema)

    def _place(self, name: str) -> int:
        if self.schema.form != "row" or name not in self.schema.names:
            raise NotTranslated(f"there is no field {name!r}")
        return self.schema.names.index(name)


def _check_field(schema: Schema, op: str, field: int | str) -> None:
    """SchemaError when records of the schema have no such field."""
    if op == "count" or schema.form not in ("row", "tuple"):
        return
    if isinstance(field, int):
        known = -len(schema.names) <= field < len(schema.names)
    else:
        known = schema.form == "row" and field in schema.names
    if not known:
        kind = "a position" if schema.form == "tuple" else "a position or a name"
        raise SchemaError(
            f"{op}: no field {field!r}; give {kind}, the records have {len(schema.names)} fields: "
            f"{', '.join(schema.names)}"
        )


def _accumulate(op: str, field: int | str) -> Callable[[Any, Any], Any]:
    """The function of (value so far, record) -> value."""
    if op == "count":
        return lambda count, row: count + 1
    if op in ("min_by", "max_by"):
        better = lt if op == "min_by" else gt

        def choose(before: Any, row: Any) -> Any:
            if _has_fields(row):
                return row if better(row[field], before[field]) else before
            return row if better(row, before) else before

        return choose

    def combine(before: Any, row: Any) -> Any:
        if not _has_fields(row):
            if field != 0:
                raise TypeError(
                    f"The {field} field selected on a basic type. A field expression on a basic type can "
                    "only select the 0th field (which means selecting the entire basic type)."
                )
            return _combined(op, before, row)
        value = _combined(op, before[field], row[field])
        values = list(before)
        if isinstance(before, Row):
            names: Any = getattr(before, "_fields", None)
            values[names.index(field) if isinstance(field, str) else field] = value
            return make_row(names, values, before.get_row_kind())
        values[field] = value  # type: ignore[index]
        return tuple(values) if isinstance(before, tuple) else values

    return combine


def _combined(op: str, before: Any, value: Any) -> Any:
    if op == "sum":
        return before + value
    return value if (value < before if op == "min" else value > before) else before


def _has_fields(row: Any) -> bool:
    return isinstance(row, (tuple, list, Row))
