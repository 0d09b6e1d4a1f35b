# SPDX-License-Identifier: Apache-2.0
"""The functions that a user writes (PyFlink: pyflink.datastream.functions)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum
from typing import Any, Generic, TypeVar

from flinkcore.common.utils import JavaObjectWrapper
from flinkcore.datastream.internal_window_functions import (
    InternalIterableAllWindowFunction,
    InternalIterableProcessAllWindowFunction,
    InternalIterableProcessWindowFunction,
    InternalIterableWindowFunction,
    InternalProcessAllWindowContext,
    InternalProcessWindowContext,
    InternalSingleValueAllWindowFunction,
    InternalSingleValueProcessAllWindowFunction,
    InternalSingleValueProcessWindowFunction,
    InternalSingleValueWindowFunction,
    InternalWindowFunction,
)
from flinkcore.operators.functions import (
    AggregateFunction,
    AllWindowFunction,
    BaseBroadcastProcessFunction,
    BatchRuntimeContext,
    BroadcastProcessFunction,
    CheckpointedFunction,
    CoFlatMapFunction,
    CoGroupFunction,
    CoMapFunction,
    CoProcessFunction,
    FilterFunction,
    FlatJoinFunction,
    FlatMapFunction,
    Function,
    FunctionInitializationContext,
    FunctionSnapshotContext,
    JoinFunction,
    KeyedBatchFunction,
    KeyedBroadcastProcessFunction,
    KeyedCoProcessFunction,
    KeyedProcessFunction,
    KeyedStateStore,
    KeySelector,
    MapFunction,
    Partitioner,
    ProcessAllWindowFunction,
    ProcessFunction,
    ProcessJoinFunction,
    ProcessWindowFunction,
    ReduceFunction,
    ReduceFunctionWrapper,
    RuntimeContext,
    TimerService,
    WindowFunction,
)

IN = TypeVar("IN")
OUT = TypeVar("OUT")

__all__ = [
    "AggregateFunction",
    "AllWindowFunction",
    "AsyncFunction",
    "AsyncFunctionDescriptor",
    "AsyncRetryPredicate",
    "AsyncRetryStrategy",
    "BaseBroadcastProcessFunction",
    "BatchRuntimeContext",
    "BroadcastProcessFunction",
    "CheckpointedFunction",
    "CoFlatMapFunction",
    "CoGroupFunction",
    "CoMapFunction",
    "CoProcessFunction",
    "FilterFunction",
    "FlatJoinFunction",
    "FlatMapFunction",
    "Function",
    "FunctionInitializationContext",
    "FunctionSnapshotContext",
    "FunctionWrapper",
    "InternalIterableAllWindowFunction",
    "InternalIterableProcessAllWindowFunction",
    "InternalIterableProcessWindowFunction",
    "InternalIterableWindowFunction",
    "InternalProcessAllWindowContext",
    "InternalProcessWindowContext",
    "InternalSingleValueAllWindowFunction",
    "InternalSingleValueProcessAllWindowFunction",
    "InternalSingleValueProcessWindowFunction",
    "InternalSingleValueWindowFunction",
    "InternalWindowFunction",
    "JavaFunctionWrapper",
    "JoinFunction",
    "KeySelector",
    "KeyedBatchFunction",
    "KeyedBroadcastProcessFunction",
    "KeyedCoProcessFunction",
    "KeyedProcessFunction",
    "KeyedStateStore",
    "MapFunction",
    "NullByteKeySelector",
    "Partitioner",
    "PassThroughAllWindowFunction",
    "PassThroughWindowFunction",
    "ProcessAllWindowFunction",
    "ProcessFunction",
    "ProcessJoinFunction",
    "ProcessWindowFunction",
    "ReduceFunction",
    "ReduceFunctionWrapper",
    "RuntimeContext",
    "SinkFunction",
    "SourceFunction",
    "TimerService",
    "WindowFunction",
]


class FunctionWrapper(Function):
    """A plain callable as a Function."""

    def __init__(self, func: Any) -> None:
        self._func = func


class NullByteKeySelector(KeySelector):
    """One key for all records."""

    def get_key(self, value: Any) -> int:
        return 0


class PassThroughWindowFunction(WindowFunction):
    """Passes the elements of a window on."""

    def apply(self, key: Any, window: Any, inputs: Any) -> Any:
        yield from inputs


class PassThroughAllWindowFunction(AllWindowFunction):
    """Passes the elements of a window on."""

    def apply(self, window: Any, inputs: Any) -> Any:
        yield from inputs


class AsyncRetryPredicate(ABC, Generic[OUT]):
    """When an asynchronous call is tried again."""

    @abstractmethod
    def result_predicate(self) -> Any:
        """A function of the result, or None."""

    @abstractmethod
    def exception_predicate(self) -> Any:
        """A function of the exception, or None."""


class AsyncRetryStrategy(ABC, Generic[OUT]):
    """How often and when an asynchronous call is tried again (see flinkcore.datastream.async_retry_strategies)."""

    @abstractmethod
    def can_retry(self, current_attempts: int) -> bool:
        """Whether attempt number `current_attempts`, counted from 1, may be followed by another."""

    @abstractmethod
    def get_backoff_time_millis(self, current_attempts: int) -> int:
        """How long after that attempt the next one begins."""

    @abstractmethod
    def get_retry_predicate(self) -> AsyncRetryPredicate:
        """What asks for another attempt."""

    @staticmethod
    def no_restart() -> AsyncRetryStrategy:
        """One attempt."""
        from flinkcore.datastream.async_retry_strategies import NO_RETRY_STRATEGY

        return NO_RETRY_STRATEGY

    @staticmethod
    def fixed_delay(
        max_attempts: int,
        backoff_time_millis: int,
        result_predicate: Callable[[list[OUT]], bool] | None = None,
        exception_predicate: Callable[[Exception], bool] | None = None,
    ) -> AsyncRetryStrategy:
        """A FixedDelayRetryStrategy."""
        from flinkcore.datastream.async_retry_strategies import FixedDelayRetryStrategy

        return FixedDelayRetryStrategy(max_attempts, backoff_time_millis, result_predicate, exception_predicate)

    @staticmethod
    def exponential_backoff(
        max_attempts: int,
        initial_delay: int,
        max_retry_delay: int,
        multiplier: float,
        result_predicate: Callable[[list[OUT]], bool] | None = None,
        exception_predicate: Callable[[Exception], bool] | None = None,
    ) -> AsyncRetryStrategy:
        """An ExponentialBackoffDelayRetryStrategy."""
        from flinkcore.datastream.async_retry_strategies import ExponentialBackoffDelayRetryStrategy

        return ExponentialBackoffDelayRetryStrategy(
            max_attempts, initial_delay, max_retry_delay, multiplier, result_predicate, exception_predicate
        )


class AsyncFunction(Function, Generic[IN, OUT]):
    """A function that waits for something else, many at a time."""

    @abstractmethod
    async def async_invoke(self, value: Any) -> list[Any]:
        """The results for a record, in a list. What it raises fails the job."""

    def timeout(self, value: Any) -> list[Any]:
        """The results when the call took too long; raises unless overridden."""
        raise TimeoutError(f"Async function call has timed out for input: {value}")


class AsyncFunctionDescriptor:
    """An asynchronous function and how it is to be called."""

    class OutputMode(Enum):
        """Whether results keep the order of the records."""

        ORDERED = 0
        UNORDERED = 1

    def __init__(
        self,
        async_function: AsyncFunction,
        timeout: Any,
        capacity: int,
        async_retry_strategy: AsyncRetryStrategy,
        output_mode: AsyncFunctionDescriptor.OutputMode,
    ) -> None:
        self.async_function = async_function
        self.timeout = timeout
        self.capacity = capacity
        self.async_retry_strategy = async_retry_strategy
        self.output_mode = output_mode


class JavaFunctionWrapper(JavaObjectWrapper):
    """PyFlink's handle of a function written in Java; UnsupportedOperationError when one is made."""

    instead = "write it in Python"

    def __init__(self, j_function: Any) -> None:
        super().__init__(j_function)

    def get_java_function(self) -> Any:
        self._refuse()


class SourceFunction(JavaFunctionWrapper):
    """PyFlink's handle of a Java source."""

    instead = "implement flinkcore.connectors.base.Source, or use one of flinkcore.datastream.connectors"

    def __init__(self, source_func: Any) -> None:
        super().__init__(source_func)


class SinkFunction(JavaFunctionWrapper):
    """PyFlink's handle of a Java sink."""

    instead = "implement flinkcore.connectors.base.Sink, or use one of flinkcore.datastream.connectors"

    def __init__(self, sink_func: Any) -> None:
        super().__init__(sink_func)
