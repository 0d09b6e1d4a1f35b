# SPDX-License-Identifier: Apache-2.0
"""What assigners, triggers and window functions see of time, timers and state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flinkcore.errors import ConfigurationError, UnsupportedOperationError
from flinkcore.operators.base import OperatorContext
from flinkcore.operators.functions import ProcessAllWindowFunction, ProcessWindowFunction
from flinkcore.operators.keyed import KeyedTimers
from flinkcore.state.descriptors import StateDescriptor
from flinkcore.state.interfaces import KeyedStateStore
from flinkcore.state.keyed import KeyedState
from flinkcore.time.assigners import WindowAssigner
from flinkcore.time.triggers import Trigger


class WindowContext(ProcessWindowFunction.Context, ProcessAllWindowFunction.Context):
    """What a process window function sees beside its elements; one object, changed from window to window."""

    def __init__(
        self,
        state: KeyedState,
        timers: KeyedTimers,
        global_state: KeyedStateStore,
        now_ms: Callable[[], int],
        merging: bool,
    ) -> None:
        self.current: Any = None
        self._timers = timers
        self._now_ms = now_ms
        self._global = global_state
        self._window_state = _WindowStateStore(state, self, merging)

    def window(self) -> Any:
        return self.current

    def current_processing_time(self) -> int:
        return self._now_ms()

    def current_watermark(self) -> int:
        return self._timers.watermark_ms

    def window_state(self) -> KeyedStateStore:
        return self._window_state

    def global_state(self) -> KeyedStateStore:
        return self._global


class _WindowStateStore(KeyedStateStore):
    """State of the current key and window."""

    def __init__(self, state: KeyedState, context: WindowContext, merging: bool) -> None:
        self._state = state
        self._context = context
        self._merging = merging

    def _get(self, descriptor: Any) -> Any:
        if self._merging:
            raise UnsupportedOperationError(
                "Per-window state is not allowed when using merging windows; use global_state()"
            )
        state = self._state.state(descriptor, "window/")
        state.set_current_namespace(self._context.current)
        return state

    get_state: Any = _get
    get_list_state: Any = _get
    get_map_state: Any = _get
    get_reducing_state: Any = _get
    get_aggregating_state: Any = _get


class AssignerContext(WindowAssigner.WindowAssignerContext):
    """What an assigner sees."""

    def __init__(self, now_ms: Callable[[], int], runtime_context: KeyedStateStore) -> None:
        self._now_ms = now_ms
        self._runtime_context = runtime_context

    def get_current_processing_time(self) -> int:
        return self._now_ms()

    def get_runtime_context(self) -> Any:
        return self._runtime_context


class TriggerContext(Trigger.OnMergeContext):
    """What a trigger sees of the current key and `window`; one object, changed from window to window.

    merged : the windows that have just become `window`, during on_merge
    """

    def __init__(self, state: KeyedState, timers: KeyedTimers, context: OperatorContext) -> None:
        self.window: Any = None
        self.merged: list[Any] = []
        self._state = state
        self._timers = timers
        self._context = context

    def get_current_processing_time(self) -> int:
        return self._context.clock.now_ms()

    def get_metric_group(self) -> Any:
        return self._context.metrics.user

    def get_current_watermark(self) -> int:
        return self._timers.watermark_ms

    def register_processing_time_timer(self, time: int) -> None:
        self._timers.register_processing(time, self.window)

    def register_event_time_timer(self, time: int) -> None:
        self._timers.register_event(time, self.window)

    def delete_processing_time_timer(self, time: int) -> None:
        self._timers.delete_processing(time, self.window)

    def delete_event_time_timer(self, time: int) -> None:
        self._timers.delete_event(time, self.window)

    def get_partitioned_state(self, state_descriptor: StateDescriptor) -> Any:
        state = self._state.state(state_descriptor, "trigger/")
        state.set_current_namespace(self.window)
        return state

    def merge_partitioned_state(self, state_descriptor: StateDescriptor) -> None:
        state = self._state.state(state_descriptor, "trigger/")
        if not hasattr(state, "merge_namespaces"):
            raise ConfigurationError(
                "The given state descriptor does not refer to a mergeable state (MergingState): "
                f"{state_descriptor!r}; use a list, reducing or aggregating state"
            )
        state.merge_namespaces(self.window, self.merged)
