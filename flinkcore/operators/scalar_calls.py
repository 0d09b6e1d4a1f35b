# SPDX-License-Identifier: Apache-2.0
"""ScalarCalls: functions of the user from values to a value, each as one more column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from flinkcore._native.column import Column
from flinkcore._native.values import map_detached
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.decode import to_pylist
from flinkcore.columnar.encode import from_pylist
from flinkcore.columnar.fields import ValueFault
from flinkcore.columnar.schema import Schema
from flinkcore.errors import FlinkcoreError, SchemaError, UserFunctionError
from flinkcore.expr.evaluate import compile
from flinkcore.expr.nodes import Expr
from flinkcore.expr.translate import Translation, translate_call
from flinkcore.operators.base import Operator, OperatorContext, OperatorDescription, Output
from flinkcore.operators.functions import own_copy
from flinkcore.operators.runtime_context import OperatorRuntimeContext
from flinkcore.operators.translated import Translated


@dataclass(frozen=True)
class ScalarCall:
    """One call.

    column : the name of the column with its results;  type : of them
    function : a Python function, or an object with `eval`, and with `open` and `close` if it likes
    context : makes what open() is given of a RuntimeContext
    """

    column: str
    type: pa.DataType
    name: str
    function: Any
    args: tuple[Expr, ...]
    context: Callable[[Any], Any]


class ScalarCalls(Operator):
    """The columns of the records, and the results of calls behind them."""

    def __init__(self, schema: Schema, calls: Sequence[ScalarCall]) -> None:
        self.schema = schema
        self.calls = tuple(calls)
        self.compiled = [compile(call.args, schema) for call in calls]
        self.schema_out = Schema(
            [*schema.names, *(call.column for call in calls)], [*schema.types, *(call.type for call in calls)]
        )

    def open(self, context: OperatorContext, out: Output) -> None:
        super().open(context, out)
        self._args = [compile(call.args, self.schema, context.clock.now_ms) for call in self.calls]
        self._functions = [own_copy(call.function) for call in self.calls]
        self._translated = [
            Translated(self._translation(call, function), context.config)
            for call, function in zip(self.calls, self._functions)
        ]
        runtime = OperatorRuntimeContext(context)
        for call, function in zip(self.calls, self._functions):
            if hasattr(function, "open"):
                self._guard(call, "open", function.open, call.context(runtime))

    def close(self) -> None:
        for call, function in zip(self.calls, getattr(self, "_functions", ())):
            if hasattr(function, "close"):
                self._guard(call, "close", function.close)

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        given = [Batch(_arguments(args.types), args.project(batch), batch.num_rows) for args in self._args]
        results = map(self._results, self.calls, self._functions, self._translated, given)
        self.out.batch(batch.with_columns(self.schema_out, [*batch.columns, *results]))

    def _results(self, call: ScalarCall, function: Any, translated: Translated, given: Batch) -> Column:
        """The results of a call for each record. given : the columns of its arguments"""
        columns = translated.ask(given, self.context.metrics, Translation.columns)
        if columns is not None:
            return columns[0]
        evaluate = getattr(function, "eval", function)
        rows = list(zip(*map(to_pylist, given.columns))) if given.columns else [()] * given.num_rows
        found: list[Any] = []
        try:
            map_detached(lambda row: evaluate(*row), rows, found)
        except FlinkcoreError:
            raise
        except Exception as error:
            raise UserFunctionError(self.context.name, call.name, error, rows[len(found)], len(found)) from error
        try:
            return from_pylist(found, call.type)
        except ValueFault as fault:
            raise SchemaError(
                f"operator '{self.context.name}': {call.name} returned {fault.value!r} for {rows[fault.position]!r} "
                f"where its result_type is {call.type}; {fault.reason}"
            ) from None

    def _translation(self, call: ScalarCall, function: Any) -> Callable[[], Translation]:
        types = self.compiled[self.calls.index(call)].types
        return lambda: translate_call(function, "eval", types, call.type)

    def _guard(self, call: ScalarCall, method: str, run: Callable[..., Any], *args: Any) -> None:
        try:
            run(*args)
        except FlinkcoreError:
            raise
        except Exception as error:
            raise UserFunctionError(self.context.name, f"{call.name}.{method}", error) from error

    def output_schema(self) -> Schema:
        return self.schema_out

    def describe(self) -> OperatorDescription:
        found = [Translated(self._translation(call, call.function)).describe(call.name) for call in self.calls]
        reasons = [each.reason for each in found if each.reason is not None]
        return OperatorDescription(
            not reasons, ", ".join(str(each.detail) for each in found), "; ".join(reasons) or None
        )


def _arguments(types: Sequence[pa.DataType]) -> Schema:
    return Schema([f"f{i}" for i in range(len(types))], types)
