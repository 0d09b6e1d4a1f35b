# SPDX-License-Identifier: Apache-2.0
"""The user functions that state itself calls (PyFlink: pyflink.datastream.functions)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any


class Function(ABC):  # noqa: B024  PyFlink's base has no abstract method either
    """The base class of all user functions."""

    def open(self, runtime_context: Any) -> None:  # noqa: B027
        """Called once in each subtask before the first record."""

    def close(self) -> None:  # noqa: B027
        """Called once in each subtask at its end, also after a failure."""


class ReduceFunction(Function):
    """Combines two values of one type into one of the same type."""

    @abstractmethod
    def reduce(self, value1: Any, value2: Any) -> Any:
        """value1 is what was combined so far, value2 the next value."""


class ReduceFunctionWrapper(ReduceFunction):
    """A plain callable as a ReduceFunction."""

    def __init__(self, func: Callable[[Any, Any], Any]) -> None:
        self._func = func

    def reduce(self, value1: Any, value2: Any) -> Any:
        return self._func(value1, value2)


class AggregateFunction(Function):
    """An aggregate over an accumulator, whose type may differ from that of the values and of the result."""

    @abstractmethod
    def create_accumulator(self) -> Any:
        """A new accumulator, called anew for each key and window."""

    @abstractmethod
    def add(self, value: Any, accumulator: Any) -> Any:
        """The accumulator with `value` in it; it may be modified and returned."""

    @abstractmethod
    def get_result(self, accumulator: Any) -> Any:
        """The result so far."""

    @abstractmethod
    def merge(self, acc_a: Any, acc_b: Any) -> Any:
        """Both accumulators as one; only called when windows merge, e.g. sessions."""


def as_reduce_function(function: Any) -> ReduceFunction:
    """A ReduceFunction, or a callable of two values as one; TypeError otherwise."""
    if isinstance(function, ReduceFunction):
        return function
    if callable(function):
        return ReduceFunctionWrapper(function)
    raise TypeError(f"The input must be a ReduceFunction or a callable function, not {function!r}")
