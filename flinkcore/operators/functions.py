# SPDX-License-Identifier: Apache-2.0
"""The functions that a user writes (PyFlink: pyflink.datastream.functions), shared with flinkcore.datastream.

Functions are called for each record, with Python values. Each subtask has a copy of the instance, so that
what a function keeps in itself is its own.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from flinkcore.errors import ConfigurationError
from flinkcore.state.descriptors import ValueStateDescriptor
from flinkcore.state.functions import (
    AggregateFunction,
    Function,
    ReduceFunction,
    ReduceFunctionWrapper,
    as_reduce_function,
)
from flinkcore.state.interfaces import BatchValueState, KeyedStateStore, OperatorStateStore
from flinkcore.time.domain import TimeDomain

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

IN = TypeVar("IN")
OUT = TypeVar("OUT")
KEY = TypeVar("KEY")
W = TypeVar("W")
W2 = TypeVar("W2")
IN1 = TypeVar("IN1")
IN2 = TypeVar("IN2")

__all__ = [
    "AggregateFunction",
    "AllWindowFunction",
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
    "JoinFunction",
    "KeySelector",
    "KeyedBatchFunction",
    "KeyedBroadcastProcessFunction",
    "KeyedCoProcessFunction",
    "KeyedProcessFunction",
    "KeyedStateStore",
    "MapFunction",
    "OperatorStateStore",
    "Partitioner",
    "ProcessAllWindowFunction",
    "ProcessFunction",
    "ProcessJoinFunction",
    "ProcessWindowFunction",
    "ReduceFunction",
    "ReduceFunctionWrapper",
    "RuntimeContext",
    "TimerService",
    "WindowFunction",
    "as_reduce_function",
    "function_name",
    "own_copy",
]


class RuntimeContext(KeyedStateStore):
    """Where a function runs, and its state and metrics."""

    @abstractmethod
    def get_task_name(self) -> str: ...

    @abstractmethod
    def get_number_of_parallel_subtasks(self) -> int: ...

    @abstractmethod
    def get_max_number_of_parallel_subtasks(self) -> int: ...

    @abstractmethod
    def get_index_of_this_subtask(self) -> int:
        """From 0."""

    @abstractmethod
    def get_attempt_number(self) -> int: ...

    @abstractmethod
    def get_task_name_with_subtasks(self) -> str:
        """Such as "MyTask (3/6)", the index from 1."""

    @abstractmethod
    def get_job_parameter(self, key: str, default_value: str) -> str: ...

    @abstractmethod
    def get_metrics_group(self) -> Any: ...

    @abstractmethod
    def get_operator_state_store(self) -> OperatorStateStore:
        """State that belongs to the subtask, not to a key (Flink: FunctionInitializationContext). Beyond PyFlink."""


class BatchRuntimeContext(RuntimeContext):
    """The same for a KeyedBatchFunction, which has no current key."""

    @abstractmethod
    def get_batch_state(self, state_descriptor: ValueStateDescriptor) -> BatchValueState:
        """The state of a descriptor. SchemaError: its type has no Arrow form."""


class TimerService(ABC):
    """Time, and timers of the current key (PyFlink: pyflink.datastream.timerservice)."""

    @abstractmethod
    def current_processing_time(self) -> int: ...

    @abstractmethod
    def current_watermark(self) -> int: ...

    @abstractmethod
    def register_processing_time_timer(self, timestamp: int) -> None: ...

    @abstractmethod
    def register_event_time_timer(self, timestamp: int) -> None: ...

    @abstractmethod
    def delete_processing_time_timer(self, timestamp: int) -> None: ...

    @abstractmethod
    def delete_event_time_timer(self, timestamp: int) -> None: ...


@dataclass(frozen=True)
class FunctionInitializationContext:
    """What CheckpointedFunction.initialize_state is handed. Beyond PyFlink."""

    operator_state_store: OperatorStateStore
    restored: bool

    def is_restored(self) -> bool:
        """Whether the job goes on from a checkpoint or savepoint."""
        return self.restored

    def get_operator_state_store(self) -> OperatorStateStore:
        """State of the subtask: get_list_state, whose items are dealt out anew when the parallelism changes, and
        get_union_list_state, of which every subtask then gets all items."""
        return self.operator_state_store


@dataclass(frozen=True)
class FunctionSnapshotContext:
    """What CheckpointedFunction.snapshot_state is handed. Beyond PyFlink."""

    checkpoint_id: int
    checkpoint_timestamp: int

    def get_checkpoint_id(self) -> int:
        return self.checkpoint_id

    def get_checkpoint_timestamp(self) -> int:
        """Processing time of the snapshot, in milliseconds."""
        return self.checkpoint_timestamp


class CheckpointedFunction(ABC):
    """A function that keeps something in itself, and puts it into operator state when a checkpoint is made.

    For map, flat_map, filter, process and asynchronous functions, on any stream: a further base of theirs. Beyond
    PyFlink. Source: Flink, CheckpointedFunction

        class Buffer(FlatMapFunction, CheckpointedFunction):
            def initialize_state(self, context):
                self.state = context.get_operator_state_store().get_list_state(ListStateDescriptor("b", Types.LONG()))
                self.buffer = list(self.state.get())

            def snapshot_state(self, context):
                self.state.update(self.buffer)
    """

    @abstractmethod
    def initialize_state(self, context: FunctionInitializationContext) -> None:
        """Called once in each subtask, before open()."""

    @abstractmethod
    def snapshot_state(self, context: FunctionSnapshotContext) -> None:
        """What is to be in the checkpoint goes into the state now. Must be quick: the stream waits."""


class MapFunction(Function):
    """One record to one record."""

    @abstractmethod
    def map(self, value: Any) -> Any: ...


class FlatMapFunction(Function):
    """One record to any number of records: a generator, an iterable, or None."""

    @abstractmethod
    def flat_map(self, value: Any) -> Iterable[Any] | None: ...


class FilterFunction(Function):
    """Whether a record is kept."""

    @abstractmethod
    def filter(self, value: Any) -> bool: ...


class CoMapFunction(Function):
    """map for two connected streams."""

    @abstractmethod
    def map1(self, value: Any) -> Any: ...

    @abstractmethod
    def map2(self, value: Any) -> Any: ...


class CoFlatMapFunction(Function):
    """flat_map for two connected streams."""

    @abstractmethod
    def flat_map1(self, value: Any) -> Iterable[Any] | None: ...

    @abstractmethod
    def flat_map2(self, value: Any) -> Iterable[Any] | None: ...


class KeySelector(Function):
    """The key of a record."""

    @abstractmethod
    def get_key(self, value: Any) -> Any: ...


class Partitioner(Function):
    """The channel of a record, by its key."""

    @abstractmethod
    def partition(self, key: Any, num_partitions: int) -> int: ...


class _Context(ABC):
    @abstractmethod
    def timer_service(self) -> TimerService: ...

    @abstractmethod
    def timestamp(self) -> int:
        """Event time of the record, or of the timer that fires; None when the record has none."""


class _KeyedContext(_Context):
    @abstractmethod
    def get_current_key(self) -> Any: ...


class _OnTimerContext(_KeyedContext):
    @abstractmethod
    def time_domain(self) -> TimeDomain:
        """Whether the timer that fires is one of event or of processing time."""


class ProcessFunction(Function):
    """Any number of records per record; `yield tag, value` with an OutputTag goes to that side output."""

    class Context(_Context):
        """About the record; timers need a keyed stream."""

    @abstractmethod
    def process_element(self, value: Any, ctx: ProcessFunction.Context) -> Iterable[Any] | None: ...


class KeyedProcessFunction(Function):
    """A ProcessFunction with state and timers for each key."""

    class Context(_KeyedContext):
        """About the record and its key."""

    class OnTimerContext(Context, _OnTimerContext):
        """About the timer and its key."""

    @abstractmethod
    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> Iterable[Any] | None: ...

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterable[Any] | None:
        """A timer of the key fired."""


class KeyedBatchFunction(Function):
    """Record batches of a keyed stream, with states of many keys at a time. Beyond PyFlink.

        class Deltas(KeyedBatchFunction):
            def open(self, runtime_context):
                self.last = runtime_context.get_batch_state(ValueStateDescriptor("last", Types.LONG()))

            def map_batch(self, batch, context):
                before = self.last.get_many(context.ids)
                self.last.put_many(context.ids, batch["value"])
                ...

    A key may have several records in a batch, and all of them see the state as it was before the batch. What the
    function computes must not depend on where the stream is cut into batches.
    """

    class Context(ABC):
        """About the records of the batch and their keys."""

        @property
        @abstractmethod
        def ids(self) -> np.ndarray:
            """int32[n]: the same number for the same key, in this batch; what states are asked with."""

        @property
        @abstractmethod
        def timestamps_ms(self) -> np.ndarray | None:
            """int64[n]: event time of the records; None when they have none."""

        @abstractmethod
        def current_watermark(self) -> int: ...

        @abstractmethod
        def current_processing_time(self) -> int: ...

    def open(self, runtime_context: BatchRuntimeContext) -> None:
        """Called once in each subtask before the first batch."""

    @abstractmethod
    def map_batch(self, batch: pa.RecordBatch, context: KeyedBatchFunction.Context) -> Any:
        """A RecordBatch, a Table, a dict of arrays, several of them, or None."""


class CoProcessFunction(Function):
    """A ProcessFunction for two connected streams."""

    class Context(_Context):
        """About the record."""

    @abstractmethod
    def process_element1(self, value: Any, ctx: CoProcessFunction.Context) -> Iterable[Any] | None: ...

    @abstractmethod
    def process_element2(self, value: Any, ctx: CoProcessFunction.Context) -> Iterable[Any] | None: ...


class KeyedCoProcessFunction(Function):
    """A KeyedProcessFunction for two connected streams with one key space."""

    class Context(_KeyedContext):
        """About the record and its key."""

    class OnTimerContext(Context, _OnTimerContext):
        """About the timer and its key."""

    @abstractmethod
    def process_element1(self, value: Any, ctx: KeyedCoProcessFunction.Context) -> Iterable[Any] | None: ...

    @abstractmethod
    def process_element2(self, value: Any, ctx: KeyedCoProcessFunction.Context) -> Iterable[Any] | None: ...

    def on_timer(self, timestamp: int, ctx: KeyedCoProcessFunction.OnTimerContext) -> Iterable[Any] | None:
        """A timer of the key fired."""


class JoinFunction(Function):
    """One record for each pair of records of two streams (Flink: JoinFunction). Beyond PyFlink."""

    @abstractmethod
    def join(self, first: Any, second: Any) -> Any: ...


class FlatJoinFunction(Function):
    """Any number of records for each pair (Flink: FlatJoinFunction). Beyond PyFlink."""

    @abstractmethod
    def join(self, first: Any, second: Any) -> Iterable[Any] | None: ...


class CoGroupFunction(Function):
    """All records of a key and window, of either stream, to any number of records; one side may be empty (Flink:
    CoGroupFunction). Beyond PyFlink."""

    @abstractmethod
    def co_group(self, first: list[Any], second: list[Any]) -> Iterable[Any] | None: ...


class ProcessJoinFunction(Function):
    """Any number of records for each pair of an interval join; `yield tag, value` with an OutputTag goes to that side
    output (Flink: ProcessJoinFunction). Beyond PyFlink."""

    class Context(ABC):
        """Times of the pair, in milliseconds."""

        @abstractmethod
        def get_left_timestamp(self) -> int: ...

        @abstractmethod
        def get_right_timestamp(self) -> int: ...

        @abstractmethod
        def get_timestamp(self) -> int:
            """The later one of both: what results carry."""

    @abstractmethod
    def process_element(self, left: Any, right: Any, ctx: ProcessJoinFunction.Context) -> Iterable[Any] | None: ...


class WindowFunction(Function, Generic[IN, OUT, KEY, W]):
    """All elements of a key and window to any number of records."""

    @abstractmethod
    def apply(self, key: Any, window: Any, inputs: Iterable[Any]) -> Iterable[Any] | None: ...


class AllWindowFunction(Function, Generic[IN, OUT, W]):
    """All elements of a window, of a stream without keys."""

    @abstractmethod
    def apply(self, window: Any, inputs: Iterable[Any]) -> Iterable[Any] | None: ...


class _WindowContext(ABC, Generic[W2]):
    @abstractmethod
    def window(self) -> Any:
        """The window that is evaluated."""

    @abstractmethod
    def window_state(self) -> KeyedStateStore:
        """State of the key and this window; clear it in clear()."""

    @abstractmethod
    def global_state(self) -> KeyedStateStore:
        """State of the key, over all windows."""


class ProcessWindowFunction(Function, Generic[IN, OUT, KEY, W]):
    """All elements of a key and window, with state, time and side outputs."""

    class Context(_WindowContext[W2]):
        """About the window."""

        @abstractmethod
        def current_processing_time(self) -> int: ...

        @abstractmethod
        def current_watermark(self) -> int: ...

    @abstractmethod
    def process(self, key: Any, context: ProcessWindowFunction.Context, elements: Iterable[Any]) -> Any: ...

    def clear(self, context: ProcessWindowFunction.Context) -> None:
        """The window is going away: clear what window_state() holds."""


class ProcessAllWindowFunction(Function, Generic[IN, OUT, W]):
    """All elements of a window, of a stream without keys, with state and side outputs."""

    class Context(_WindowContext[W2]):
        """About the window."""

    @abstractmethod
    def process(self, context: ProcessAllWindowFunction.Context, elements: Iterable[Any]) -> Any: ...

    def clear(self, context: ProcessAllWindowFunction.Context) -> None:
        """The window is going away: clear what window_state() holds."""


class BaseBroadcastProcessFunction(Function):
    """What functions with a broadcast side have in common."""

    class BaseContext(ABC):
        """About the record."""

        @abstractmethod
        def timestamp(self) -> int: ...

        @abstractmethod
        def current_processing_time(self) -> int: ...

        @abstractmethod
        def current_watermark(self) -> int: ...

    class Context(BaseContext):
        """For broadcast records: the state may be written."""

        @abstractmethod
        def get_broadcast_state(self, state_descriptor: Any) -> Any: ...

    class ReadOnlyContext(BaseContext):
        """For other records: the state may be read."""

        @abstractmethod
        def get_broadcast_state(self, state_descriptor: Any) -> Any: ...


class BroadcastProcessFunction(BaseBroadcastProcessFunction, Generic[IN1, IN2, OUT]):
    """A stream connected with a broadcast stream."""

    class Context(BaseBroadcastProcessFunction.Context):
        """For broadcast records."""

    class ReadOnlyContext(BaseBroadcastProcessFunction.ReadOnlyContext):
        """For the records of the other stream."""

    @abstractmethod
    def process_element(
        self, value: Any, ctx: BroadcastProcessFunction.ReadOnlyContext
    ) -> Iterable[Any] | None: ...

    @abstractmethod
    def process_broadcast_element(self, value: Any, ctx: BroadcastProcessFunction.Context) -> Any: ...


class KeyedBroadcastProcessFunction(BaseBroadcastProcessFunction, Generic[KEY, IN1, IN2, OUT]):
    """A keyed stream connected with a broadcast stream."""

    class Context(BaseBroadcastProcessFunction.Context):
        """For broadcast records."""

        @abstractmethod
        def apply_to_keyed_state(self, state_descriptor: Any, function: Callable[[Any, Any], Any]) -> None:
            """function(key, state) for each key of this subtask that has a value in this state (Flink:
            KeyedBroadcastProcessFunction.Context.applyToKeyedState). Beyond PyFlink."""

    class ReadOnlyContext(BaseBroadcastProcessFunction.ReadOnlyContext):
        """For the records of the keyed stream."""

        @abstractmethod
        def timer_service(self) -> TimerService: ...

        @abstractmethod
        def get_current_key(self) -> Any: ...

    class OnTimerContext(ReadOnlyContext):
        """About the timer that fires."""

        @abstractmethod
        def time_domain(self) -> TimeDomain: ...

        @abstractmethod
        def get_current_key(self) -> Any: ...

    @abstractmethod
    def process_element(self, value: Any, ctx: KeyedBroadcastProcessFunction.ReadOnlyContext) -> Any: ...

    @abstractmethod
    def process_broadcast_element(self, value: Any, ctx: KeyedBroadcastProcessFunction.Context) -> Any: ...

    def on_timer(
        self, timestamp: int, ctx: KeyedBroadcastProcessFunction.OnTimerContext
    ) -> Iterable[Any] | None:
        """A timer of the key fired."""


def function_name(function: Any) -> str:
    """How a function is called in messages: its qualified name, or that of its class."""
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return name.rpartition("<locals>.")[2]


_SHARED = (type, FunctionType, BuiltinFunctionType, MethodType, partial)


def own_copy(function: Any) -> Any:
    """A copy of a user's object for one subtask: functions, triggers, assigners; plain functions are shared.

    ConfigurationError : it holds something that cannot be copied
    """
    if function is None or isinstance(function, _SHARED):
        return function
    try:
        return copy.deepcopy(function)
    except Exception as error:
        raise ConfigurationError(
            f"{function_name(function)} cannot be copied for a subtask ({type(error).__name__}: {error}); "
            "make connections, locks and files in its open() instead of in __init__"
        ) from error
