# SPDX-License-Identifier: Apache-2.0
"""GroupAggregate: unbounded aggregation per key, and the changelog it makes.

Flink's GroupAggFunction: the first record of a key gives +I, a later one that changes a result gives -U with
the old and +U with the new, one that takes the last record of a key back gives -D. What changes no result
gives nothing. Input may be a changelog itself: -U and -D take records back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow.compute as pc

from flinkcore._native.column import BOOL, F64, I64, OBJECT, Column
from flinkcore._native.distinct import DistinctIds
from flinkcore.columnar.batch import DELETE, INSERT, UPDATE_AFTER, UPDATE_BEFORE, Batch
from flinkcore.columnar.schema import Schema
from flinkcore.errors import ConfigurationError
from flinkcore.expr.aggregate import AggregateCall, Aggregation
from flinkcore.operators.base import Operator, OperatorContext, OperatorDescription, Output
from flinkcore.operators.group_state import GroupState, RecordCounts, segments, signs_of
from flinkcore.state.keys import KeyIndex
from flinkcore.state.parts import KEYS
from flinkcore.time import MAX_WATERMARK

Emit = Literal["record", "batch", "final"]


class GroupAggregate(Operator):
    """Running aggregates per key. Batches come with keys, as KeyBy* makes them.

    schema : of the input
    key_schema : names and types of the key columns to emit; no columns for an aggregate over everything,
        whose records all have one key (KeyByNothing)
    calls, names : the aggregates and the names of their columns; by default each call's alias
    emit : "record", a change per record as Flink without mini-batches; "batch", at most one change per key
        and batch, as Flink's mini-batches; "final", one +I per key at the end of a bounded input, as Flink's
        BATCH mode
    retracts : the input is a changelog

    Output: key columns, then results, with row kinds; each change has the timestamp of the record that made
    it.
    """

    def __init__(
        self,
        schema: Schema,
        key_schema: Schema,
        calls: Sequence[AggregateCall],
        names: Sequence[str] | None = None,
        emit: Emit = "record",
        retracts: bool = False,
    ) -> None:
        if emit not in ("record", "batch", "final"):
            raise ConfigurationError(f"group aggregate: emit is 'record', 'batch' or 'final', not {emit!r}")
        self.schema = schema
        self.key_schema = key_schema
        self.calls = tuple(calls)
        self.emit = emit
        self.retracts = retracts
        names = [call.alias for call in calls] if names is None else list(names)
        self.schema_out = Schema(
            [*key_schema.names, *names], [*key_schema.types, *(call.result_type for call in calls)]
        )

    def output_schema(self) -> Schema:
        return self.schema_out

    def describe(self) -> OperatorDescription:
        by = ", ".join(self.key_schema.names)
        detail = ", ".join(map(str, self.calls)) + (f" by {by}" if by else "")
        slow = [call.text for call in self.calls if self.retracts and not call.retractable]
        reasons = (
            [f"{', '.join(slow)} of records that can be taken back keeps each value in Python"]
            if slow
            else []
        )
        if (reason := Aggregation(self.calls).reason) is not None:
            reasons.append(reason)
        return OperatorDescription(not reasons, detail, "; ".join(reasons) or None)

    def open(self, context: OperatorContext, out: Output) -> None:
        super().open(context, out)
        state = context.state
        self._state = GroupState(state, self.calls, context.clock.now_ms, self.retracts)
        self._records = RecordCounts(state) if self.retracts else None
        self._index: KeyIndex | None = state.find(KEYS)  # the restored one until the first batch, which knows the types
        self._claimed = False
        self._different = DistinctIds()
        self._finished: bool = state.field("finished", False, lambda: self._finished, all)

    # -- records ---------------------------------------------------------------------------------------------

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        if not batch.num_rows:
            return
        assert batch.keys is not None
        if not self._claimed:
            keys = batch.keys
            self._index = self.context.state.part(KEYS, lambda: KeyIndex.of_keys(keys, self.key_schema))
            self._claimed = True
        assert self._index is not None
        known = self._index.id_bound
        ids = self._index.intern(batch.keys, batch.key_hashes)
        self._index.tell(self.context.metrics)
        if self._records is None:
            if self.emit == "record":
                self._change_per_record(batch, ids, known)
            elif self.emit == "batch":
                self._change_per_key(batch, ids, known)
            else:
                self._state.update(batch, ids, None)
        else:
            self._process_changelog(batch, ids, self._records)
        self._state.count_overflows(self.context.metrics)

    # Records are counted first, for the whole batch: counts say where groups begin and end.

    def _process_changelog(self, batch: Batch, ids: np.ndarray, records: RecordCounts) -> None:
        assert self._index is not None
        signs = signs_of(batch)
        kept, before, after = records.update(ids, signs)
        if not kept.all():
            batch, ids, signs, before, after = (
                batch.filter(kept),
                ids[kept],
                signs[kept],
                before[kept],
                after[kept],
            )
        if not len(ids):
            return
        first_rows = self._different.first_rows(ids)
        touched = ids[first_rows]
        was: list[Column] = self._state.results(touched) if self.emit == "batch" else []
        for start, end in segments(ids, before, after):
            part, rows = batch.slice(start, end - start), slice(start, end)
            if self.emit == "record":
                old, now = self._state.update_running(part, ids[rows], signs[rows])
                self._emit(part, old, now, np.arange(end - start), before[rows] > 0, after[rows] > 0)
            else:
                self._state.update(part, ids[rows], signs[rows])
            empty = _emptied(ids[rows], after[rows])
            if len(empty):
                self._state.clear(empty)
        if self.emit == "batch":
            now = self._state.results(touched)
            self._emit(batch, was, now, first_rows, before[first_rows] > 0, records.of(touched) > 0)
        gone = touched[records.of(touched) == 0]
        if len(gone):
            self._state.clear(gone)
            records.clear(gone)
            self._index.release(gone)

    def _change_per_record(self, batch: Batch, ids: np.ndarray, known: int) -> None:
        assert self._index is not None
        was, now = self._state.update_running(batch, ids, None)
        existed = np.ones(batch.num_rows, bool)
        if self._index.id_bound > known:
            new_rows = np.flatnonzero(ids >= known)
            existed[new_rows[self._different.first_rows(ids[new_rows])]] = False
        self._emit(batch, was, now, np.arange(batch.num_rows), existed, None)

    def _change_per_key(self, batch: Batch, ids: np.ndarray, known: int) -> None:
        rows = self._different.first_rows(ids)
        touched = ids[rows]
        was = self._state.results(touched)
        self._state.update(batch, ids, None)
        self._emit(batch, was, self._state.results(touched), rows, touched < known, None)

    # -- changes ---------------------------------------------------------------------------------------------

    def _emit(
        self,
        batch: Batch,
        was: list[Column],
        now: list[Column],
        rows: np.ndarray,
        existed: np.ndarray,
        exists: np.ndarray | None,
    ) -> None:
        """Emits what became of some groups.

        was, now : their results before and after;  rows : the record of the batch that each goes back to
        existed, exists : bool[m], whether the group was there before and is there after (None: all are)
        """
        changed = np.zeros(len(rows), bool)
        for old, new in zip(was, now):
            changed |= differs(old, new)
        if exists is None:
            exists = np.ones(len(rows), bool)
        # Each group has two places, the old result and the new; most often both are taken.
        taken = np.empty(2 * len(rows), bool)
        taken[0::2] = existed & (~exists | changed)
        taken[1::2] = exists & (~existed | changed)
        count = int(np.count_nonzero(taken))
        if not count:
            return
        kinds = np.empty(2 * len(rows), np.uint8)
        kinds[0::2] = np.where(exists, UPDATE_BEFORE, DELETE)
        kinds[1::2] = np.where(existed, UPDATE_AFTER, INSERT)
        picked = None if count == len(taken) else np.flatnonzero(taken)
        assert batch.keys is not None
        columns = [_twice(key, rows, picked) for key in batch.keys[: len(self.key_schema)]]
        columns += [_alternating(old, new, picked) for old, new in zip(was, now)]
        timestamps = None if batch.timestamps_ms is None else _pick(np.repeat(batch.timestamps_ms[rows], 2), picked)
        kinds = _pick(kinds, picked)
        self.out.batch(Batch(self.schema_out, columns, count, timestamps, kinds if kinds.any() else None))

    # -- final results ---------------------------------------------------------------------------------------

    def process_watermark(self, watermark_ms: int) -> None:
        if watermark_ms == MAX_WATERMARK:
            self._finish()
        self.out.watermark(watermark_ms)

    def end_input(self) -> None:
        self._finish()

    def _finish(self) -> None:
        """In "final" mode, one row per key, in the order in which keys came; before the last watermark."""
        if self.emit != "final" or self._finished:
            return
        self._finished = True
        if self._index is None:
            if len(self.key_schema):
                return
            ids = np.zeros(1, np.int32)  # an aggregate over nothing has a result: COUNT is 0
        else:
            ids = self._index.live_ids()
        if not len(ids):
            return
        columns = [*self._keys(ids), *self._state.results(ids)]
        self._state.count_overflows(self.context.metrics)
        self.out.batch(Batch(self.schema_out, columns, len(ids)))

    def _keys(self, ids: np.ndarray) -> list[Column]:
        if not len(self.key_schema):
            return []
        assert self._index is not None
        return self._index.key_columns(ids, self.key_schema.types)


def _emptied(ids: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Groups without a record after these: whose last count is 0."""
    unique, rows_from_end = np.unique(ids[::-1], return_index=True)
    return unique[after[::-1][rows_from_end] == 0]


def _pick(values: np.ndarray, places: np.ndarray | None) -> np.ndarray:
    return values if places is None else values[places]


def _twice(column: Column, rows: np.ndarray, places: np.ndarray | None) -> Column:
    """The values at `rows`, each two times; of these the ones at `places`."""
    return column.take(_pick(np.repeat(rows, 2), places))


def _alternating(old: Column, new: Column, places: np.ndarray | None) -> Column:
    """An old value, its new one, the next old value, ...; of these the ones at `places`."""
    count = len(old)
    if old.kind not in (I64, F64, BOOL):
        order = np.arange(2 * count).reshape(2, count).T.ravel()
        return Column.concat([old, new]).take(_pick(order, places))
    valid = None
    if old.null_count or new.null_count:
        valid = np.ones(2 * count, bool)
        for start, column in enumerate((old, new)):
            if column.null_count:
                valid[start::2] = column.valid_mask()
        valid = _pick(valid, places)
    before, after = old.to_numpy(), new.to_numpy()
    values = np.empty(2 * count, before.dtype)
    values[0::2], values[1::2] = before, after
    return Column.from_numpy(_pick(values, places), old.type, valid)


def differs(left: Column, right: Column) -> np.ndarray:
    """bool[n]: where two columns of one type hold different values; null equals null, and NaN equals NaN."""
    if left.kind not in (I64, F64, BOOL):
        if left.kind == OBJECT:
            return np.array([a != b for a, b in zip(left.to_pylist(), right.to_pylist())], bool)
        equal = pc.equal(left.to_arrow(), right.to_arrow()).fill_null(False).to_numpy(zero_copy_only=False)
        both_null = np.zeros(len(left), bool)
        if left.null_count and right.null_count:
            both_null = ~np.asarray(left.valid_mask()) & ~np.asarray(right.valid_mask())
        return ~(equal | both_null)
    old, new = left.to_numpy(), right.to_numpy()
    result = old.view(np.int64) != new.view(np.int64) if left.kind == F64 else old != new
    old_valid, new_valid = left.valid_mask(), right.valid_mask()
    if old_valid is None and new_valid is None:
        return result
    old_valid = np.ones(len(old), bool) if old_valid is None else old_valid
    new_valid = np.ones(len(new), bool) if new_valid is None else new_valid
    return (old_valid != new_valid) | (result & old_valid & new_valid)
