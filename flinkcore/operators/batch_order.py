# SPDX-License-Identifier: Apache-2.0
"""The order in which operators with state see records in batch mode (Flink: SortingDataInput,
BatchExecutionInternalTimeService).

Flink sorts the input of every keyed operator by key and timestamp. Where an operator's results depend only on the order
within a key, sorting by timestamp is enough.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from flinkcore import options
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.errors import JobCancelledError, UnsupportedOperationError
from flinkcore.operators.base import Operator, OperatorContext, OperatorDescription, Output
from flinkcore.operators.process import RowOperator
from flinkcore.state.keyed import KeyedState
from flinkcore.time import MAX_WATERMARK


class InTimeOrder(Operator):
    """Runs a keyed operator on a bounded input that it sees by timestamp.

    Records with timestamps are held in memory until the input ends; others pass as they come.
    """

    def __init__(self, operator: Operator) -> None:
        self.operator = operator

    def open(self, context: OperatorContext, out: Output) -> None:
        super().open(context, out)
        self._held: tuple[list[Batch], list[Batch]] = ([], [])
        self.operator.open(context, out)

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        if batch.timestamps_ms is None:
            self.operator.process_batch(batch, input_index)
        else:
            self._held[input_index].append(batch)

    def process_watermark(self, watermark_ms: int) -> None:
        if watermark_ms == MAX_WATERMARK:  # there is no other in batch mode; one would pass the held records
            self._finish()
            self.operator.process_watermark(watermark_ms)

    def process_timer(self, now_ms: int) -> None:
        self.operator.process_timer(now_ms)

    def end_input(self) -> None:
        self._finish()
        self.operator.end_input()

    def prepare_snapshot(self, checkpoint_id: int) -> None:
        if any(self._held):
            raise UnsupportedOperationError(
                f"operator '{self.context.name}' cannot be part of a savepoint: in batch mode it holds records until "
                "the input ends; let the job finish, or run it in streaming mode"
            )
        self.operator.prepare_snapshot(checkpoint_id)

    def close(self) -> None:
        self.operator.close()

    def output_schema(self) -> Schema:
        return self.operator.output_schema()

    def side_schema(self, tag: str) -> Schema | None:
        return self.operator.side_schema(tag)

    def describe(self) -> OperatorDescription:
        return self.operator.describe()

    @property
    def waits_for_watermarks(self) -> bool:
        return self.operator.waits_for_watermarks

    def unfired(self) -> str | None:
        return self.operator.unfired()

    def _taken(self) -> dict[int, Batch]:
        """What was held, by input."""
        held, self._held = self._held, ([], [])
        return {index: Batch.concat(batches) for index, batches in enumerate(held) if batches}

    def _finish(self) -> None:
        for index, batch in self._taken().items():
            assert batch.timestamps_ms is not None
            self._process(batch.take(np.argsort(batch.timestamps_ms, kind="stable")), index)

    def _process(self, batch: Batch, index: int) -> None:
        rows = self.context.config.get(options.BATCH_ROWS)
        for start in range(0, batch.num_rows, rows):
            if self.context.interrupted():
                raise JobCancelledError(f"operator '{self.context.name}' was cancelled")
            self.operator.process_batch(batch.slice(start, min(rows, batch.num_rows - start)), index)


class InKeyOrder(InTimeOrder):
    """Runs an operator that calls functions on a bounded input that it sees as a whole.

    A keyed operator sees the records of one key after the other, each key's by timestamp, those of its first input
    first; then the timers of the key fire, of both times. Until the input ends the records are held in memory.

    first_input : an input whose records come before all others, as they come: the broadcast side
    """

    operator: RowOperator

    def __init__(self, operator: RowOperator, first_input: int | None = None) -> None:
        super().__init__(operator)
        self.first_input = first_input

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        if input_index == self.first_input:
            self.operator.process_batch(batch, input_index)
        else:
            self._held[input_index].append(batch)

    def process_timer(self, now_ms: int) -> None:
        """Timers fire at the end of their key, not by the clock."""

    def _finish(self) -> None:
        inputs = self._taken()
        if self.operator.state is None:
            for index, batch in inputs.items():
                self._process(batch, index)
            return
        for index, run, ends_key in self._runs(inputs, self.operator.state, self.operator.fires_timers):
            self._process(run, index)
            if ends_key:
                self.operator.finish_key()

    @staticmethod
    def _runs(
        inputs: dict[int, Batch], state: KeyedState, by_key: bool
    ) -> Iterator[tuple[int, Batch, bool]]:
        """The records in their order, in runs of one input: (input, records, whether the key has no more).

        by_key : a run is of one key, too; else the last part is always False
        """
        if not inputs:
            return
        ids, times, sources = [], [], []
        for index, batch in inputs.items():
            assert batch.keys is not None
            ids.append(state.intern_array(batch.keys, batch.key_hashes))
            times.append(np.zeros(batch.num_rows, np.int64) if batch.timestamps_ms is None else batch.timestamps_ms)
            sources.append(np.full(batch.num_rows, index))
        key, source = np.concatenate(ids), np.concatenate(sources)
        order = np.lexsort((source, np.concatenate(times), key))  # stable: equal ones stay as they came
        key, source = key[order], source[order]
        in_order, read, offset = {}, dict.fromkeys(inputs, 0), 0
        for index, batch in inputs.items():
            in_order[index] = batch.take(order[source == index] - offset)
            offset += batch.num_rows
        key_ends = np.append(key[1:] != key[:-1], True)
        run_ends = np.append(source[1:] != source[:-1], True) | (key_ends & by_key)
        start = 0
        for end in (np.flatnonzero(run_ends) + 1).tolist():
            index = int(source[start])
            run = in_order[index].slice(read[index], end - start)
            read[index] += end - start
            yield index, run, by_key and bool(key_ends[end - 1])
            start = end
