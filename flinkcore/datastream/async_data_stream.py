# SPDX-License-Identifier: Apache-2.0
"""Functions that wait for something outside, many records at a time (pyflink.datastream.async_data_stream)."""

from __future__ import annotations

import inspect
from typing import Any

from flinkcore import options
from flinkcore.columnar.typeinfo import TypeInformation
from flinkcore.common.time import Time
from flinkcore.datastream.arguments import called, output_schema
from flinkcore.datastream.async_retry_strategies import NO_RETRY_STRATEGY
from flinkcore.datastream.data_stream import DataStream
from flinkcore.datastream.functions import AsyncFunction, AsyncRetryStrategy
from flinkcore.errors import ConfigurationError, UnsupportedOperationError

__all__ = ["AsyncDataStream"]


class AsyncDataStream:
    """Applies an AsyncFunction to a stream.

    data_stream : the stream; the function sees its values, also of a keyed one
    async_function : its async_invoke is a coroutine function, and returns a list
    timeout : for all attempts at one record together; then async_function.timeout gives its results, or raises
    async_retry_strategy : how often and when another attempt is made
    capacity : how many records of a subtask are in flight at most; the stream waits when they are so many
    output_type : of the results; any Python objects by default

    Coroutines run in the thread of their subtask, between its other work: they must wait with await. Records in flight
    are part of checkpoints, and are called anew after a failure. A watermark passes after the results of the records
    before it.

    ConfigurationError : an argument that cannot be
    """

    @staticmethod
    def unordered_wait(
        data_stream: DataStream,
        async_function: AsyncFunction,
        timeout: Time,
        capacity: int = 100,
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """Results as soon as they are there, between two watermarks."""
        return _wait(data_stream, async_function, timeout, NO_RETRY_STRATEGY, capacity, output_type, False)

    @staticmethod
    def unordered_wait_with_retry(
        data_stream: DataStream,
        async_function: AsyncFunction,
        timeout: Time,
        async_retry_strategy: AsyncRetryStrategy,
        capacity: int = 100,
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """The same, with further attempts."""
        return _wait(data_stream, async_function, timeout, async_retry_strategy, capacity, output_type, False)

    @staticmethod
    def ordered_wait(
        data_stream: DataStream,
        async_function: AsyncFunction,
        timeout: Time,
        capacity: int = 100,
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """Results in the order of the records that they are of."""
        return _wait(data_stream, async_function, timeout, NO_RETRY_STRATEGY, capacity, output_type, True)

    @staticmethod
    def ordered_wait_with_retry(
        data_stream: DataStream,
        async_function: AsyncFunction,
        timeout: Time,
        async_retry_strategy: AsyncRetryStrategy,
        capacity: int = 100,
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """The same, with further attempts."""
        return _wait(data_stream, async_function, timeout, async_retry_strategy, capacity, output_type, True)


def _wait(
    data_stream: DataStream,
    function: AsyncFunction,
    timeout: Time,
    retry: AsyncRetryStrategy,
    capacity: int,
    output_type: TypeInformation | None,
    ordered: bool,
) -> DataStream:
    # Imports asyncio, which is slow, and few programs need it.
    from flinkcore.operators.async_wait import AsyncWait

    _validate(data_stream, function, timeout, retry, capacity)
    schema, out = data_stream.schema, output_schema(output_type)
    timeout_ms = timeout.to_milliseconds()
    return data_stream._step(
        "async wait operator",
        lambda: AsyncWait(
            schema, function, out, ordered=ordered, timeout_ms=timeout_ms, capacity=capacity, retry=retry
        ),
        out,
    )


def _validate(
    data_stream: DataStream, function: Any, timeout: Time, retry: AsyncRetryStrategy, capacity: int
) -> None:
    if not isinstance(data_stream, DataStream):
        raise ConfigurationError(f"an AsyncFunction is applied to a DataStream, got {called(data_stream)}")
    invoke = getattr(function, "async_invoke", None)
    if invoke is None or isinstance(function, type):
        raise ConfigurationError(f"expected an AsyncFunction, got {called(function)}")
    if not inspect.iscoroutinefunction(invoke):
        raise ConfigurationError(
            f"Method 'async_invoke' of class '{type(function)}' should be declared as 'async def'."
        )
    if retry is None:
        raise ConfigurationError("Async retry strategy should not be None.")
    if retry is not NO_RETRY_STRATEGY and timeout.to_milliseconds() <= 0:
        raise ConfigurationError("Timeout should be configured when do async with retry.")
    if retry.get_retry_predicate() is None:
        raise ConfigurationError(f"Retry predicate of the async retry strategy '{type(retry)}' is None.")
    if not isinstance(capacity, int) or capacity < 1:
        raise ConfigurationError(f"the capacity is the most records in flight, at least 1, got {capacity!r}")
    configuration = data_stream.get_execution_environment().get_configuration()
    if (
        configuration.get(options.PYTHON_EXECUTION_MODE) == "thread"
    ):  # a program that says so fails in PyFlink
        raise UnsupportedOperationError(
            "AsyncFunction is still not supported for 'thread' mode. Leave python.execution-mode at 'process': it "
            "changes nothing else here"
        )
