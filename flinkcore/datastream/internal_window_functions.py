# SPDX-License-Identifier: Apache-2.0
"""Window functions of any kind under one call (PyFlink: Internal*WindowFunction of pyflink.datastream.functions).

For libraries that build window operators of their own on PyFlink's. The engine's windows do without them:
flinkcore.operators.window_functions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

from flinkcore.operators.functions import (
    Function,
    KeyedStateStore,
    ProcessAllWindowFunction,
    ProcessWindowFunction,
    RuntimeContext,
)

IN = TypeVar("IN")
OUT = TypeVar("OUT")
KEY = TypeVar("KEY")
W = TypeVar("W")


class InternalWindowFunction(Function, Generic[IN, OUT, KEY, W]):
    """What a window operator calls when a window fires, and when it goes."""

    class InternalWindowContext(ABC):
        """Time, and state of the key."""

        @abstractmethod
        def current_processing_time(self) -> int: ...

        @abstractmethod
        def current_watermark(self) -> int: ...

        @abstractmethod
        def window_state(self) -> KeyedStateStore: ...

        @abstractmethod
        def global_state(self) -> KeyedStateStore: ...

    @abstractmethod
    def process(
        self, key: Any, window: Any, context: InternalWindowContext, input_data: Any
    ) -> Iterable[Any] | None: ...

    @abstractmethod
    def clear(self, window: Any, context: InternalWindowContext) -> None: ...


InternalContext = InternalWindowFunction.InternalWindowContext


class InternalProcessWindowContext(ProcessWindowFunction.Context):
    """The context of a ProcessWindowFunction, over that of the operator."""

    def __init__(self) -> None:
        self._underlying: Any = None
        self._window: Any = None

    def at(self, window: Any, underlying: InternalContext) -> InternalProcessWindowContext:
        """This context, for another window."""
        self._window, self._underlying = window, underlying
        return self

    def window(self) -> Any:
        return self._window

    def current_processing_time(self) -> int:
        return self._underlying.current_processing_time()

    def current_watermark(self) -> int:
        return self._underlying.current_watermark()

    def window_state(self) -> KeyedStateStore:
        return self._underlying.window_state()

    def global_state(self) -> KeyedStateStore:
        return self._underlying.global_state()


class InternalProcessAllWindowContext(ProcessAllWindowFunction.Context):
    """The context of a ProcessAllWindowFunction, over that of the operator."""

    def __init__(self) -> None:
        self._underlying: Any = None
        self._window: Any = None

    def at(self, window: Any, underlying: InternalContext) -> InternalProcessAllWindowContext:
        """This context, for another window."""
        self._window, self._underlying = window, underlying
        return self

    def window(self) -> Any:
        return self._window

    def window_state(self) -> KeyedStateStore:
        return self._underlying.window_state()

    def global_state(self) -> KeyedStateStore:
        return self._underlying.global_state()


class _Wrapping(InternalWindowFunction[IN, OUT, KEY, W]):
    """Calls a function of the user."""

    def __init__(self, wrapped_function: Any) -> None:
        self._wrapped_function = wrapped_function

    def open(self, runtime_context: RuntimeContext) -> None:
        self._wrapped_function.open(runtime_context)

    def close(self) -> None:
        self._wrapped_function.close()

    def clear(self, window: Any, context: InternalContext) -> None:
        """Nothing: the function has no state of windows."""


class InternalIterableWindowFunction(_Wrapping[Iterable[IN], OUT, KEY, W]):
    """A WindowFunction of all elements."""

    def process(self, key: Any, window: Any, context: InternalContext, input_data: Any) -> Any:
        return self._wrapped_function.apply(key, window, input_data)


class InternalSingleValueWindowFunction(_Wrapping[IN, OUT, KEY, W]):
    """A WindowFunction of one value, which the elements were reduced to."""

    def process(self, key: Any, window: Any, context: InternalContext, input_data: Any) -> Any:
        return self._wrapped_function.apply(key, window, [input_data])


class InternalIterableAllWindowFunction(_Wrapping[Iterable[IN], OUT, int, W]):
    """An AllWindowFunction of all elements."""

    def process(self, key: int, window: Any, context: InternalContext, input_data: Any) -> Any:
        return self._wrapped_function.apply(window, input_data)


class InternalSingleValueAllWindowFunction(_Wrapping[IN, OUT, int, W]):
    """An AllWindowFunction of one value, which the elements were reduced to."""

    def process(self, key: int, window: Any, context: InternalContext, input_data: Any) -> Any:
        return self._wrapped_function.apply(window, [input_data])


class _WrappingProcess(_Wrapping[IN, OUT, KEY, W]):
    """Calls a function of the user that has a context."""

    def __init__(self, wrapped_function: ProcessWindowFunction) -> None:
        super().__init__(wrapped_function)
        self._internal_context = InternalProcessWindowContext()

    def clear(self, window: Any, context: InternalContext) -> None:
        self._wrapped_function.clear(self._internal_context.at(window, context))


class InternalIterableProcessWindowFunction(_WrappingProcess[Iterable[IN], OUT, KEY, W]):
    """A ProcessWindowFunction of all elements."""

    def process(self, key: Any, window: Any, context: InternalContext, input_data: Any) -> Any:
        return self._wrapped_function.process(key, self._internal_context.at(window, context), input_data)


class InternalSingleValueProcessWindowFunction(_WrappingProcess[IN, OUT, KEY, W]):
    """A ProcessWindowFunction of one value, which the elements were reduced to."""

    def process(self, key: Any, window: Any, context: InternalContext, input_data: Any) -> Any:
        return self._wrapped_function.process(key, self._internal_context.at(window, context), [input_data])


class _WrappingProcessAll(_Wrapping[IN, OUT, int, W]):
    """Calls a function of the user that has a context, of a stream without keys."""

    def __init__(self, wrapped_function: ProcessAllWindowFunction) -> None:
        super().__init__(wrapped_function)
        self._internal_context = InternalProcessAllWindowContext()

    def clear(self, window: Any, context: InternalContext) -> None:
        self._wrapped_function.clear(self._internal_context.at(window, context))


class InternalIterableProcessAllWindowFunction(_WrappingProcessAll[Iterable[IN], OUT, W]):
    """A ProcessAllWindowFunction of all elements."""

    def process(self, key: int, window: Any, context: InternalContext, input_data: Any) -> Any:
        return self._wrapped_function.process(self._internal_context.at(window, context), input_data)


class InternalSingleValueProcessAllWindowFunction(_WrappingProcessAll[IN, OUT, W]):
    """A ProcessAllWindowFunction of one value, which the elements were reduced to."""

    def process(self, key: int, window: Any, context: InternalContext, input_data: Any) -> Any:
        return self._wrapped_function.process(self._internal_context.at(window, context), [input_data])
