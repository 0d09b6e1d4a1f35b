# SPDX-License-Identifier: Apache-2.0
"""Functions of the user in tables: scalar ones, which make a value of values."""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from flinkcore.errors import UnsupportedOperationError
from flinkcore.expr.nodes import FunctionCall
from flinkcore.operators.functions import RuntimeContext, function_name
from flinkcore.table.expression import Expression, to_node
from flinkcore.table.type_text import parse_type
from flinkcore.table.types import DataType, RowType

__all__ = ["FunctionContext", "ScalarFunction", "UserDefinedFunction", "udf"]


class FunctionContext:
    """Where a function runs; what open() is given."""

    def __init__(self, runtime_context: RuntimeContext) -> None:
        self._runtime = runtime_context

    def get_metric_group(self) -> Any:
        return self._runtime.get_metrics_group()

    def get_job_parameter(self, key: str, default_value: str) -> str:
        return self._runtime.get_job_parameter(key, default_value)

    def get_task_name(self) -> str:
        return self._runtime.get_task_name()

    def get_task_name_with_subtasks(self) -> str:
        return self._runtime.get_task_name_with_subtasks()

    def get_number_of_parallel_subtasks(self) -> int:
        return self._runtime.get_number_of_parallel_subtasks()

    def get_max_number_of_parallel_subtasks(self) -> int:
        return self._runtime.get_max_number_of_parallel_subtasks()

    def get_index_of_this_subtask(self) -> int:
        return self._runtime.get_index_of_this_subtask()

    def get_attempt_number(self) -> int:
        return self._runtime.get_attempt_number()


class UserDefinedFunction(ABC):  # noqa: B024  what is abstract is each kind's own
    """What functions of the user in tables have in common. Each subtask has a copy of the object."""

    def open(self, function_context: FunctionContext) -> None:  # noqa: B027  most have none
        """Called once in each subtask before the first row."""

    def close(self) -> None:  # noqa: B027  most have none
        """Called once in each subtask after the last row."""

    def is_deterministic(self) -> bool:
        """Whether equal arguments always give equal results."""
        return True


class ScalarFunction(UserDefinedFunction):
    """A value of some values."""

    @abstractmethod
    def eval(self, *args: Any) -> Any:
        """The result for the values of one row."""


class UserDefinedScalarFunctionWrapper:
    """A scalar function with its types; called with expressions, it is one. Made by udf()."""

    def __init__(
        self,
        func: Any,
        input_types: Any,
        result_type: DataType | str | None,
        deterministic: bool | None,
        name: str | None,
    ) -> None:
        if inspect.isclass(func) or not (isinstance(func, UserDefinedFunction) or callable(func)):
            raise TypeError(f"udf takes a function or an object of a ScalarFunction, got {func!r}")
        if inspect.iscoroutinefunction(getattr(func, "eval", func)):
            raise UnsupportedOperationError(
                "asynchronous functions of tables are not supported; use AsyncDataStream on to_data_stream(table)"
            )
        if result_type is None:
            raise TypeError(f"udf needs the result_type of {function_name(func)}, e.g. DataTypes.BIGINT()")
        is_own = isinstance(func, UserDefinedFunction)
        if deterministic is not None and is_own and deterministic != func.is_deterministic():
            raise ValueError(f"Inconsistent deterministic: {deterministic} and {func.is_deterministic()}")
        self._func = func
        self._input_types = None if input_types is None else _types(input_types)
        self._result_type = _type(result_type)
        self._name = str(name or getattr(func, "__name__", type(func).__name__))

    def __call__(self, *args: Any) -> Expression:
        """The function of expressions, or of Python values."""
        types = self._input_types
        if types is not None and len(types) != len(args):
            raise TypeError(f"{self._name} takes {len(types)} arguments, got {len(args)}")
        nodes = list(map(to_node, args))
        if types is not None:
            nodes = [to_node(Expression(node).cast(type)) for node, type in zip(nodes, types)]
        return Expression(
            FunctionCall(self._name, self._func, tuple(nodes), self._result_type.to_arrow(), FunctionContext)
        )


def udf(
    f: Any = None,
    input_types: Sequence[DataType | str] | DataType | str | None = None,
    result_type: DataType | str | None = None,
    deterministic: bool | None = None,
    name: str | None = None,
    func_type: str = "general",
) -> Any:
    """A scalar function for tables, of a Python function or an object of a ScalarFunction; also as a decorator.

    input_types : what arguments are cast to; without it the function gets them as they are
    result_type : of the results
    """
    if func_type not in ("general", "pandas"):
        raise ValueError(f"The func_type must be one of 'general, pandas', got {func_type}.")
    if func_type == "pandas":
        raise UnsupportedOperationError(
            "functions of pandas.Series are not supported; use a general one, or map_batches on to_data_stream(table)"
        )
    make: Callable[[Any], UserDefinedScalarFunctionWrapper] = functools.partial(
        UserDefinedScalarFunctionWrapper,
        input_types=input_types,
        result_type=result_type,
        deterministic=deterministic,
        name=name,
    )
    return make if f is None else make(f)


def _types(types: Any) -> list[DataType]:
    if isinstance(types, RowType):
        return types.field_types()
    return [_type(type) for type in ([types] if isinstance(types, (DataType, str)) else types)]


def _type(type: Any) -> DataType:
    if not isinstance(type, (DataType, str)):
        raise TypeError(f"a type of a udf is one of DataTypes or its text, got {type!r}")
    return parse_type(type) if isinstance(type, str) else type
