# SPDX-License-Identifier: Apache-2.0
"""Functions of the user on the rows of two connected streams: CoMap, CoFlatMap, CoProcess.

The streams share the function, its state and, when both have keys, the keys. Which of their records comes first is not
defined; their watermarks are combined by minimum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.errors import UserFunctionError
from flinkcore.operators.base import OperatorContext, OperatorDescription, Output
from flinkcore.operators.process import FlatMapRows, ProcessRows, RowOperator


class TwoInputs(RowOperator):
    """Calls one method for the records of the first input, another for those of the second.

    schemas : of the two inputs
    keyed : whether batches of both carry keys
    """

    methods: tuple[str, str]

    def __init__(
        self,
        schemas: tuple[Schema, Schema],
        function: Any,
        schema_out: Schema,
        keyed: bool = False,
        key_schema: Schema | None = None,
    ) -> None:
        super().__init__(schemas[0], function, schema_out, keyed, key_schema)
        self.schemas = schemas

    def open(self, context: OperatorContext, out: Output) -> None:
        super().open(context, out)
        self._input = 0
        self._calls = [self._caller(getattr(self._function, method)) for method in self.methods]

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        self._input = input_index
        self._call = self._calls[input_index]
        super().process_batch(batch, input_index)

    def describe(self) -> OperatorDescription:
        called = " and ".join(self.methods)
        return OperatorDescription(
            False, self.function_name, f"{called} of {self.function_name} are called for each record"
        )

    def _caller(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """What is called for each record of an input."""
        return method

    def _failed(self, error: Exception, row: Any, position: int) -> Exception:
        name = f"{self.function_name}.{self.methods[self._input]}"
        return UserFunctionError(self.context.name, name, error, row, position)


class CoFlatMapRows(TwoInputs, FlatMapRows):
    """A CoFlatMapFunction: any number of records out for one in, at its timestamp."""

    methods = ("flat_map1", "flat_map2")


class CoMapRows(TwoInputs, FlatMapRows):
    """A CoMapFunction: one record out for one in, none where the function gives None, as in PyFlink."""

    methods = ("map1", "map2")

    def _caller(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def records(value: Any) -> tuple[Any, ...]:
            result = method(value)
            return () if result is None else (result,)

        return records


class CoProcessRows(TwoInputs, ProcessRows):
    """A CoProcessFunction or KeyedCoProcessFunction; when both streams have keys, with state and timers."""

    methods = ("process_element1", "process_element2")

    def _on_timer(self, timestamp_ms: int, namespace: Any) -> None:
        if hasattr(self._function, "on_timer"):  # PyFlink lets a CoProcessFunction register timers, too
            super()._on_timer(timestamp_ms, namespace)


