# SPDX-License-Identifier: Apache-2.0
"""Operators on whole batches: filter and project by expressions, and functions of the user on record batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pyarrow as pa

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.errors import FlinkcoreError, SchemaError, UserFunctionError
from flinkcore.expr.evaluate import compile, compile_predicate, projected_schema
from flinkcore.expr.nodes import Expr
from flinkcore.expr.stages import Stage
from flinkcore.expr.typed import InputColumn
from flinkcore.operators.base import Operator, OperatorContext, OperatorDescription, Output


class Filter(Operator):
    """Keeps the records for which a condition is true; neither false nor null."""

    def __init__(self, schema: Schema, condition: Expr) -> None:
        self.schema = schema
        self.condition = condition
        self.compiled = compile_predicate(condition, schema)

    def open(self, context: OperatorContext, out: Output) -> None:
        super().open(context, out)
        self._filter_mask = compile_predicate(self.condition, self.schema, context.clock.now_ms).filter_mask

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        kept = batch.filter(self._filter_mask(batch))
        if kept.num_rows:
            self.out.batch(kept)

    def stage(self) -> Stage:
        return Stage(self.schema, condition=self.compiled.expressions[0])

    def output_schema(self) -> Schema:
        return self.schema

    def describe(self) -> OperatorDescription:
        return OperatorDescription(self.compiled.native, str(self.condition), self.compiled.reason)


class Project(Operator):
    """Computes columns: select, with_columns, alias, casts."""

    def __init__(
        self, schema: Schema, expressions: Sequence[Expr], names: Sequence[str] | None = None
    ) -> None:
        self.schema = schema
        self.expressions = tuple(expressions)
        self.compiled = compile(self.expressions, schema)
        self.schema_out = (
            projected_schema(self.compiled) if names is None else Schema(names, self.compiled.types)
        )

    def open(self, context: OperatorContext, out: Output) -> None:
        super().open(context, out)
        self._project = compile(self.expressions, self.schema, context.clock.now_ms).project

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        self.out.batch(batch.with_columns(self.schema_out, self._project(batch)))

    def stage(self) -> Stage:
        return Stage(self.schema_out, columns=self.compiled.expressions)

    def output_schema(self) -> Schema:
        return self.schema_out

    def describe(self) -> OperatorDescription:
        return OperatorDescription(
            self.compiled.native, ", ".join(map(str, self.expressions)), self.compiled.reason
        )


class PickColumns(Operator):
    """Some of the columns, by position, under other names."""

    def __init__(self, schema: Schema, indices: Sequence[int], schema_out: Schema) -> None:
        self.schema = schema
        self.indices = tuple(indices)
        self.schema_out = schema_out

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        self.out.batch(batch.with_columns(self.schema_out, [batch.column(i) for i in self.indices]))

    def stage(self) -> Stage | None:
        types = [self.schema.types[i] for i in self.indices]
        if None in types:
            return None
        columns = [InputColumn(i, self.schema.names[i], type) for i, type in zip(self.indices, types)]
        return Stage(self.schema_out, columns=tuple(columns))

    def output_schema(self) -> Schema:
        return self.schema_out

    def describe(self) -> OperatorDescription:
        return OperatorDescription(True, ", ".join(map(str, self.indices)))


class MapBatches(Operator):
    """A function of the user from record batches to record batches.

    schema_out : what it returns, when declared; else the first batch decides and all others must agree
    """

    def __init__(
        self,
        schema: Schema,
        function: Callable[[pa.RecordBatch], Any],
        schema_out: Schema,
        function_name: str,
    ) -> None:
        self.schema = schema
        self.function = function
        self.schema_out = schema_out
        self.function_name = function_name

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        data = batch.to_arrow()
        for part in self._parts(lambda: self.function(data)):
            self._emit(batch, part)

    def _parts(self, call: Callable[[], Any]) -> list[Any]:
        """The batches that the function gives for one."""
        try:
            result = call()
            results = (
                [result]
                if isinstance(result, dict) or _is_table(result) or not isinstance(result, Iterable)
                else list(result)
            )
        except FlinkcoreError:
            raise
        except Exception as error:
            raise UserFunctionError(self.context.name, self.function_name, error) from error
        return [part for part in results if part is not None]

    def _emit(self, batch: Batch, part: Any) -> None:
        where = f"operator '{self.context.name}': {self.function_name}"
        if isinstance(part, dict):
            part = pa.RecordBatch.from_pydict(part)
        if not _is_table(part):
            raise SchemaError(
                f"{where} returned {type(part).__name__}; map_batches expects a pyarrow RecordBatch or Table, "
                f"a dict of arrays, an iterable of these, or None for no rows"
            )
        for data in part.to_batches() if isinstance(part, pa.Table) else [part]:
            columns = Batch.from_arrow(_conform(data, self.schema_out, where), self.schema_out)
            if columns.num_rows == batch.num_rows:
                # Row by row the same records, so they keep their event time and place in a changelog.
                columns = columns.with_timestamps(batch.timestamps_ms).with_row_kinds(batch.row_kinds)
            self.out.batch(columns)

    def output_schema(self) -> Schema:
        return self.schema_out

    def describe(self) -> OperatorDescription:
        return OperatorDescription(True, f"{self.function_name}, once per batch")


def _is_table(value: Any) -> bool:
    return isinstance(value, (pa.RecordBatch, pa.Table))


def _conform(data: pa.RecordBatch, schema: Schema, where: str) -> pa.RecordBatch:
    """The columns of `data` in the order and types of `schema`; SchemaError naming what does not fit."""
    missing = [name for name in schema.names if data.schema.get_field_index(name) < 0]
    if missing or data.num_columns != len(schema.names):
        raise SchemaError(
            f"{where} returned columns {', '.join(data.schema.names)}, expected {', '.join(schema.names)}"
        )
    arrays = []
    for name, type in zip(schema.names, schema.types):
        array = data.column(name)
        if array.type != type:
            try:
                array = array.cast(type)
            except pa.ArrowException as error:
                raise SchemaError(
                    f"{where} returned column '{name}' as {array.type}, expected {type}: {error}"
                ) from error
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, schema=schema.arrow)
