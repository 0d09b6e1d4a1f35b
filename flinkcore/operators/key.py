# SPDX-License-Identifier: Apache-2.0
"""What key_by does to a batch: it gets keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from flinkcore._native.column import ARROW, OBJECT, Column
from flinkcore._native.values import map_detached
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.faults import BAD_RECORD_SCHEMA, BadRecords, Policy
from flinkcore.columnar.objects import hash_keys
from flinkcore.columnar.row import make_row
from flinkcore.columnar.rows import from_rows, to_rows
from flinkcore.columnar.schema import Schema
from flinkcore.config import Configuration
from flinkcore.errors import DataError, UserFunctionError
from flinkcore.expr.translate import Translation, translate_record
from flinkcore.operators.base import Operator, OperatorContext, OperatorDescription, Output
from flinkcore.operators.translated import Translated


def _keyed(batch: Batch, keys: Sequence[Column]) -> Batch:
    """The batch with its keys. Objects and nested values are hashed here, where one that cannot be a key fails; others
    where hashes are needed (Batch.hashes)."""
    objects = any(key.kind in (OBJECT, ARROW) for key in keys)
    return batch.with_keys(tuple(keys), hash_keys(keys) if objects else None)


class KeyByColumns(Operator):
    """Keys are columns of the record.

    on_null : "group" makes null a key like any other, as GROUP BY does; a policy of BadRecords otherwise
        (Flink's DataStream API refuses null keys: "fail")
    """

    def __init__(self, schema: Schema, names: Sequence[str], on_null: Policy | str = "fail") -> None:
        self.schema = schema
        self.names = tuple(names)
        self.indices = [schema.index_of(name) for name in names]
        self.on_null = on_null

    def open(self, context: OperatorContext, out: Output) -> None:
        super().open(context, out)
        self._faults = (
            None if self.on_null == "group" else BadRecords(self.on_null, context.metrics, out.side)
        )

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        keys = tuple(batch.column(i) for i in self.indices)
        if self._faults is not None and any(key.null_count for key in keys):
            batch = self._refuse_nulls(batch, keys)
            if not batch.num_rows:
                return
            keys = tuple(batch.column(i) for i in self.indices)
        self.out.batch(_keyed(batch, keys))

    def side_schema(self, tag: str) -> Schema | None:
        return BAD_RECORD_SCHEMA if tag == getattr(self.on_null, "tag_id", self.on_null) else None

    def _refuse_nulls(self, batch: Batch, keys: Sequence[Column]) -> Batch:
        bad = np.zeros(batch.num_rows, bool)
        for key in keys:
            valid = key.valid_mask()
            if valid is not None:
                bad |= ~valid
        rows = np.flatnonzero(bad)
        name = next(name for name, key in zip(self.names, keys) if key.null_count)
        assert self._faults is not None
        if self._faults.fails:
            raise DataError(
                f"operator '{self.context.name}': key column '{name}' is null at record {rows[0]} of its batch: "
                f"{batch.slice(int(rows[0]), 1).to_arrow().to_pylist()[0]}; filter such records before key_by, "
                f'or call key_by(..., on_null="group" or "drop")'
            )
        self._faults.rows(batch.take(rows), f"key column '{name}' is null")
        return batch.take(np.flatnonzero(~bad))

    def output_schema(self) -> Schema:
        return self.schema

    def describe(self) -> OperatorDescription:
        nested = [
            name for name, i in zip(self.names, self.indices) if self.schema.kinds[i] in (OBJECT, ARROW)
        ]
        reason = f"key column {', '.join(nested)} is nested and is hashed row by row" if nested else None
        return OperatorDescription(not nested, f"by {', '.join(self.names)}", reason)


class KeyByFunction(Operator):
    """Keys are what a function of the user returns.

    key_schema : columns of the declared key type; None for any Python object, compared as PyFlink compares
        pickled keys (1, 1.0 and True are three keys)
    """

    def __init__(
        self, schema: Schema, selector: Callable[[Any], Any], key_schema: Schema | None, function_name: str
    ) -> None:
        self.schema = schema
        self.selector = selector
        self.key_schema = key_schema
        self.function_name = function_name

    def open(self, context: OperatorContext, out: Output) -> None:
        super().open(context, out)
        self._translated = self._translation(context.config)

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        keys: Sequence[Column] | None = self._translated.ask(batch, self.context.metrics, Translation.columns)
        if keys is None:
            keys = self._keys_by_rows(batch)
        self.out.batch(_keyed(batch, keys))

    def _keys_by_rows(self, batch: Batch) -> Sequence[Column]:
        selector = self.selector
        found: list[Any] = []
        rows = to_rows(batch)
        try:
            map_detached(selector, rows, found)
        except Exception as error:
            position = len(found)
            raise UserFunctionError(
                self.context.name, self.function_name, error, rows[position], position
            ) from error
        if self.key_schema is None:
            return (Column.from_objects(found),)
        return from_rows(found, self.key_schema, what=f"key of operator '{self.context.name}'")

    def _translation(self, config: Configuration | None = None) -> Translated:
        key_schema = Schema.of_objects() if self.key_schema is None else self.key_schema
        return Translated(lambda: translate_record(self.selector, "get_key", self.schema, key_schema), config)

    def output_schema(self) -> Schema:
        return self.schema

    def describe(self) -> OperatorDescription:
        found = self._translation().describe(self.function_name)
        return replace(found, detail=f"by {found.detail}")


class KeyedPairs(Operator):
    """Row(f0=key, f1=record): what a stream with keys holds in PyFlink, and shows when it is collected."""

    def __init__(self, schema: Schema, key_schema: Schema) -> None:
        self.schema = schema
        self.key_schema = key_schema
        self.schema_out = Schema.of_objects()

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        assert batch.keys is not None
        names = ["f0", "f1"]
        keys = to_rows(Batch(self.key_schema, batch.keys, batch.num_rows))
        pairs = [make_row(names, [key, row]) for key, row in zip(keys, to_rows(batch))]
        self.out.batch(batch.with_columns(self.schema_out, [Column.from_objects(pairs)]))

    def output_schema(self) -> Schema:
        return self.schema_out

    def describe(self) -> OperatorDescription:
        return OperatorDescription(False, "key and record", "pairs are Python objects")


class KeyByNothing(Operator):
    """One key for all records, for windows over a whole stream."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        keys = (Column.from_numpy(np.zeros(batch.num_rows, np.int64)),)
        self.out.batch(batch.with_keys(keys, None))

    def output_schema(self) -> Schema:
        return self.schema
