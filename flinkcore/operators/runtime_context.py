# SPDX-License-Identifier: Apache-2.0
"""What an operator gives to a user's function when it opens: where it runs, its state, its metrics."""

from __future__ import annotations

from typing import Any, NoReturn

from flinkcore import options
from flinkcore.errors import UnsupportedOperationError
from flinkcore.metrics import OperatorMetrics
from flinkcore.operators.base import OperatorContext
from flinkcore.operators.functions import RuntimeContext
from flinkcore.state.keyed import KeyedState
from flinkcore.state.manager import StateManager
from flinkcore.state.operator import OperatorStates


class OperatorRuntimeContext(RuntimeContext):
    """The RuntimeContext of one operator in one subtask.

    state : None where the stream is not keyed;  operator_state : made here when the operator has none
    """

    def __init__(
        self,
        context: OperatorContext,
        state: KeyedState | None = None,
        operator_state: OperatorStates | None = None,
    ) -> None:
        self._context = context
        self._state = state
        self._operator_state = operator_state or OperatorStates(context.state)

    @property
    def operator_metrics(self) -> OperatorMetrics:
        """What the engine counts for the operator; for functions of the engine's own."""
        return self._context.metrics

    @property
    def operator_state(self) -> StateManager:
        """Where the operator keeps its state; for functions of the engine's own."""
        return self._context.state

    def get_task_name(self) -> str:
        return self._context.name

    def get_number_of_parallel_subtasks(self) -> int:
        return self._context.parallelism

    def get_max_number_of_parallel_subtasks(self) -> int:
        return self._context.max_parallelism

    def get_index_of_this_subtask(self) -> int:
        return self._context.subtask_index

    def get_attempt_number(self) -> int:
        return 0

    def get_task_name_with_subtasks(self) -> str:
        context = self._context
        return f"{context.name} ({context.subtask_index + 1}/{context.parallelism})"

    def get_job_parameter(self, key: str, default_value: str) -> str:
        parameters = self._context.config.get(options.GLOBAL_JOB_PARAMETERS) or {}
        return parameters.get(key, default_value)

    def get_metrics_group(self) -> Any:
        return self._context.metrics.user

    def get_operator_state_store(self) -> OperatorStates:
        return self._operator_state

    def get_state(self, state_descriptor: Any) -> Any:
        return self._keyed(state_descriptor).get_state(state_descriptor)

    def get_list_state(self, state_descriptor: Any) -> Any:
        return self._keyed(state_descriptor).get_list_state(state_descriptor)

    def get_map_state(self, state_descriptor: Any) -> Any:
        return self._keyed(state_descriptor).get_map_state(state_descriptor)

    def get_reducing_state(self, state_descriptor: Any) -> Any:
        return self._keyed(state_descriptor).get_reducing_state(state_descriptor)

    def get_aggregating_state(self, state_descriptor: Any) -> Any:
        return self._keyed(state_descriptor).get_aggregating_state(state_descriptor)

    def _keyed(self, descriptor: Any) -> KeyedState:
        if self._state is None:
            self._refuse(descriptor)
        return self._state

    def _refuse(self, descriptor: Any) -> NoReturn:
        raise UnsupportedOperationError(
            f"operator '{self._context.name}': keyed state ({descriptor!r}) can only be used on "
            "a keyed stream; call key_by before this function"
        )
