# SPDX-License-Identifier: Apache-2.0
"""A stream connected with a broadcast stream: BroadcastProcessFunction and KeyedBroadcastProcessFunction.

The second input is the broadcast one. Each subtask gets all of its records, and keeps what the function makes of them
in broadcast state: only the broadcast side may change it, so that it becomes the same in every subtask.
Source: Flink, CoBroadcastWithKeyedOperator, CoBroadcastWithNonKeyedOperator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.errors import ConfigurationError
from flinkcore.operators.base import OperatorContext, Output
from flinkcore.operators.co_process import TwoInputs
from flinkcore.operators.functions import (
    BroadcastProcessFunction,
    KeyedBroadcastProcessFunction,
    TimerService,
)
from flinkcore.operators.process import ProcessRows
from flinkcore.state.descriptors import MapStateDescriptor
from flinkcore.state.interfaces import BroadcastState, ReadOnlyBroadcastState
from flinkcore.state.keyed import KeyedState
from flinkcore.state.operator import EntryRows
from flinkcore.time import MIN_TIMESTAMP
from flinkcore.time.domain import TimeDomain


class BroadcastProcessRows(TwoInputs, ProcessRows):
    """A BroadcastProcessFunction, or on a keyed stream a KeyedBroadcastProcessFunction with state and timers.

    schemas : of the stream and of the broadcast stream
    descriptors : of the broadcast states that the function may use
    keyed : whether batches of the first input carry keys
    """

    methods = ("process_element", "process_broadcast_element")

    def __init__(
        self,
        schemas: tuple[Schema, Schema],
        function: Any,
        descriptors: Sequence[MapStateDescriptor],
        schema_out: Schema,
        keyed: bool = False,
        key_schema: Schema | None = None,
    ) -> None:
        super().__init__(schemas, function, schema_out, keyed, key_schema)
        self.descriptors = tuple(descriptors)

    def open(self, context: OperatorContext, out: Output) -> None:
        super().open(context, out)
        states = _BroadcastStates(
            context.name,
            {known.name: self.operator_state.get_broadcast_state(known) for known in self.descriptors},
        )
        timers = self._record.timer_service()
        if self.state is None:
            self._records: tuple[Any, Any] = _ReadOnlyContext(states, timers), _Context(states, timers)
        else:
            self._records = _KeyedReadOnlyContext(states, timers, self.state), _KeyedContext(states, timers, self.state)
        self._record = self._records[0]

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        self._record = self._records[input_index]
        super().process_batch(batch, input_index)
        self._record = self._records[0]  # which timers see

    def _ids(self, batch: Batch) -> list[int] | None:
        return super()._ids(batch) if self._input == 0 else None


class _BroadcastStates:
    """The broadcast states of an operator, by name."""

    def __init__(self, operator: str, states: dict[str, EntryRows]) -> None:
        self._operator = operator
        self._states = states
        self._read_only = {name: state.read_only for name, state in states.items()}

    def writable(self, descriptor: Any) -> BroadcastState[Any, Any]:
        return self._found(self._states, descriptor)

    def readable(self, descriptor: Any) -> ReadOnlyBroadcastState[Any, Any]:
        return self._found(self._read_only, descriptor)

    def _found(self, states: dict[str, Any], descriptor: Any) -> Any:
        if not isinstance(descriptor, MapStateDescriptor):
            raise TypeError(f"operator '{self._operator}': expected a MapStateDescriptor, got {descriptor!r}")
        found = states.get(descriptor.name)
        if found is None:
            raise ConfigurationError(
                f"operator '{self._operator}': there is no broadcast state '{descriptor.name}', only "
                f"{', '.join(states) or 'none'}; hand its descriptor to broadcast(), too"
            )
        return found


class _BaseContext:
    """One object for all records of an input, changed from record to record."""

    def __init__(self, states: _BroadcastStates, timers: TimerService) -> None:
        self._states = states
        self._timers = timers
        self.timestamp_ms = MIN_TIMESTAMP

    def timestamp(self) -> Any:
        return None if self.timestamp_ms == MIN_TIMESTAMP else self.timestamp_ms

    def current_processing_time(self) -> int:
        return self._timers.current_processing_time()

    def current_watermark(self) -> int:
        return self._timers.current_watermark()


class _Context(_BaseContext, BroadcastProcessFunction.Context):
    def get_broadcast_state(self, state_descriptor: Any) -> BroadcastState[Any, Any]:
        return self._states.writable(state_descriptor)


class _ReadOnlyContext(_BaseContext, BroadcastProcessFunction.ReadOnlyContext):
    def get_broadcast_state(self, state_descriptor: Any) -> ReadOnlyBroadcastState[Any, Any]:
        return self._states.readable(state_descriptor)


class _KeyedContext(_BaseContext, KeyedBroadcastProcessFunction.Context):
    def __init__(self, states: _BroadcastStates, timers: TimerService, state: KeyedState) -> None:
        super().__init__(states, timers)
        self._state = state

    def get_broadcast_state(self, state_descriptor: Any) -> BroadcastState[Any, Any]:
        return self._states.writable(state_descriptor)

    def apply_to_keyed_state(self, state_descriptor: Any, function: Callable[[Any, Any], Any]) -> None:
        self._state.for_each(state_descriptor, function)


class _KeyedReadOnlyContext(_BaseContext, KeyedBroadcastProcessFunction.OnTimerContext):
    """For the records of the keyed stream, and for timers."""

    def __init__(self, states: _BroadcastStates, timers: TimerService, state: KeyedState) -> None:
        super().__init__(states, timers)
        self._state = state
        self.domain = TimeDomain.EVENT_TIME

    def get_broadcast_state(self, state_descriptor: Any) -> ReadOnlyBroadcastState[Any, Any]:
        return self._states.readable(state_descriptor)

    def timer_service(self) -> TimerService:
        return self._timers

    def get_current_key(self) -> Any:
        return self._state.current_key()

    def time_domain(self) -> TimeDomain:
        return self.domain
