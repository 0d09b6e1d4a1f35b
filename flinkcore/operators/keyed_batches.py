# SPDX-License-Identifier: Apache-2.0
"""KeyedMapBatches: a function of the user on record batches of a keyed stream, with states of many keys at a time."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.errors import FlinkcoreError, UnsupportedOperationError, UserFunctionError
from flinkcore.operators.base import OperatorContext, Output
from flinkcore.operators.batches import MapBatches
from flinkcore.operators.functions import BatchRuntimeContext, KeyedBatchFunction, function_name, own_copy
from flinkcore.operators.runtime_context import OperatorRuntimeContext
from flinkcore.state.batch_state import batch_state
from flinkcore.state.descriptors import ValueStateDescriptor
from flinkcore.state.interfaces import BatchValueState
from flinkcore.state.keyed import KeyedState
from flinkcore.time import MIN_TIMESTAMP


class KeyedMapBatches(MapBatches):
    """A KeyedBatchFunction.

    key_schema : how the key looks, which is part of the state
    """

    def __init__(
        self,
        schema: Schema,
        function: KeyedBatchFunction,
        schema_out: Schema,
        key_schema: Schema | None = None,
    ) -> None:
        super().__init__(schema, function.map_batch, schema_out, function_name(function))  # type: ignore[arg-type]
        self.keyed_function = function
        self.key_schema = key_schema

    def open(self, context: OperatorContext, out: Output) -> None:
        super().open(context, out)
        self._function = own_copy(self.keyed_function)
        self.state = KeyedState(context.state, context.clock, self.key_schema)
        self._batch_context = _BatchContext(context)
        try:
            self._function.open(_KeyedBatchContext(context, self.state))
        except FlinkcoreError:
            raise
        except Exception as error:
            raise UserFunctionError(context.name, f"{self.function_name}.open", error) from error

    def close(self) -> None:
        function = getattr(self, "_function", None)
        if function is not None:
            function.close()

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        assert batch.keys is not None
        context = self._batch_context
        context.ids = self.state.intern_array(batch.keys, batch.key_hashes)
        context.timestamps_ms = batch.timestamps_ms
        data = batch.to_arrow()
        for part in self._parts(lambda: self._function.map_batch(data, context)):
            self._emit(batch, part)
        self.state.release_unused()

    def process_watermark(self, watermark_ms: int) -> None:
        self._batch_context.watermark_ms = watermark_ms
        super().process_watermark(watermark_ms)


class _BatchContext(KeyedBatchFunction.Context):
    """What the function sees beside a batch; one object, changed from batch to batch."""

    ids: np.ndarray = np.zeros(0, np.int32)
    timestamps_ms: np.ndarray | None = None

    def __init__(self, context: OperatorContext) -> None:
        # It is state: what was late, and what was seen of event time, stays so after a restore.
        self.watermark_ms: int = context.state.field("watermark_ms", MIN_TIMESTAMP, lambda: self.watermark_ms)
        self._clock = context.clock

    def current_watermark(self) -> int:
        return self.watermark_ms

    def current_processing_time(self) -> int:
        return self._clock.now_ms()


class _KeyedBatchContext(OperatorRuntimeContext, BatchRuntimeContext):
    """The runtime context of a function without a current key."""

    def __init__(self, context: OperatorContext, state: KeyedState) -> None:
        super().__init__(context, None)
        self._keyed_state = state
        self._batch_states: dict[str, BatchValueState] = {}

    def get_batch_state(self, state_descriptor: ValueStateDescriptor) -> BatchValueState:
        name = state_descriptor.name
        state = self._batch_states.get(name)
        if state is None:
            state = self._batch_states[name] = batch_state(self._keyed_state, state_descriptor)
        return state

    def _refuse(self, descriptor: Any) -> NoReturn:
        raise UnsupportedOperationError(
            f"operator '{self._context.name}': {descriptor!r}: a function of batches has no current key; use "
            "get_batch_state with a ValueStateDescriptor"
        )
