# SPDX-License-Identifier: Apache-2.0
"""IntervalJoin: pairs of records of two keyed streams whose times are close, on columns.

Records wait in columns, in buckets of time, each with an index of its keys that is made again after a restore. A batch
looks for its partners in the buckets of the other stream that its interval touches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flinkcore._native.window import panes_of
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.objects import plain_keys
from flinkcore.columnar.schema import Schema
from flinkcore.errors import ConfigurationError, DataError, JobCancelledError
from flinkcore.operators.base import Operator, OperatorContext, OperatorDescription, Output
from flinkcore.operators.output_tag import OutputTag
from flinkcore.operators.pairs import ROWS, SIDES, Pairs, Partners
from flinkcore.state.column_rows import ColumnRows, rows_of
from flinkcore.time import MIN_TIMESTAMP

#: Records of the very time of the watermark that have no future to wait for: they go with the next watermark.
AT_WATERMARK = "at watermark"
#: Buckets are half as long as the interval, for records stay until all of their bucket can go; but not shorter.
BUCKET_MS_MIN = 1000
BUCKET_MS_MAX = 1 << 40  # 34 years: the grid of buckets keeps away from the limits of int64

Place = Any  # of a bucket: its start, or AT_WATERMARK


@dataclass
class _Bucket:
    rows: ColumnRows
    partners: Partners = field(default_factory=lambda: Partners(timed=True))

    def catch_up(self) -> Partners:
        """Its records by key, those that came since the last time, too."""
        known = len(self.partners)
        if known < self.rows.row_count:
            for batch in self.rows.batches:
                if known < batch.num_rows:
                    self.partners.add(batch.slice(known, batch.num_rows - known))
                known = max(0, known - batch.num_rows)
        return self.partners


class IntervalJoin(Operator):
    """Pairs with left.time + lower_ms <= right.time <= left.time + upper_ms, each when its second record comes.

    A record behind the watermark is late: it has no pairs. Others wait until the watermark says that no partner can
    come that is not late. Results carry the later time of both.

    pairs : what becomes of pairs;  key_schemas, key_columns : as for WindowJoin
    lower_ms, upper_ms : inclusive
    late_tags : side outputs of late records of the two streams; None drops and counts them
    Source: Flink, IntervalJoinOperator
    """

    def __init__(
        self,
        pairs: Pairs,
        key_schemas: tuple[Schema, Schema],
        key_columns: tuple[Sequence[int] | None, Sequence[int] | None],
        lower_ms: int,
        upper_ms: int,
        late_tags: tuple[OutputTag | None, OutputTag | None] = (None, None),
    ) -> None:
        if lower_ms > upper_ms:
            raise ConfigurationError(
                f"an interval join needs lower bound <= upper bound, got {lower_ms} ms and {upper_ms} ms"
            )
        self.pairs = pairs
        self.schemas = pairs.schemas
        self.key_schemas = key_schemas
        self.key_columns = key_columns
        self.lower_ms = lower_ms
        self.upper_ms = upper_ms
        self.late_tags = late_tags
        self.bucket_ms = min(max(BUCKET_MS_MIN, (upper_ms - lower_ms) // 2), BUCKET_MS_MAX)
        # How long after its time a record of either stream may still get a partner that is not late.
        self._stay_ms = (max(0, upper_ms), max(0, -lower_ms))

    def open(self, context: OperatorContext, out: Output) -> None:
        super().open(context, out)
        # It is state: what was late stays late after a restore.
        self.watermark_ms: int = context.state.field("watermark_ms", MIN_TIMESTAMP, lambda: self.watermark_ms)
        self._buckets: tuple[dict[Place, _Bucket], dict[Place, _Bucket]] = ({}, {})
        for side in (0, 1):
            for place in context.state.namespaces(ROWS[side]):
                self._bucket(side, place)
        self.pairs.open(context, out)

    def close(self) -> None:
        self.pairs.close()

    def output_schema(self) -> Schema:
        return self.pairs.schema_out

    def side_schema(self, tag: str) -> Schema | None:
        for late_tag, schema in zip(self.late_tags, self.schemas):
            if late_tag is not None and late_tag.tag_id == tag:
                return schema
        return None

    def describe(self) -> OperatorDescription:
        return self.pairs.describe(f"pairs from {self.lower_ms} to {self.upper_ms} ms after the first stream's record")

    # -- records ------------------------------------------------------------------------------------------

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        times = batch.timestamps_ms
        if times is None or (batch.num_rows and batch.time_bounds()[0] == MIN_TIMESTAMP):
            raise DataError(
                f"operator '{self.context.name}': records of its {SIDES[input_index]} stream have no timestamps; call "
                f"assign_timestamps_and_watermarks before an interval join"
            )
        if batch.has_time_until(self.watermark_ms - 1):
            late = times < self.watermark_ms
            self._drop_late(batch.filter(late), input_index)
            batch = batch.filter(~late)
        if batch.num_rows:
            self._keep(batch, input_index)
            self._pair(batch, input_index)

    def _drop_late(self, batch: Batch, side: int) -> None:
        tag = self.late_tags[side]
        if tag is None:
            self.context.metrics.late_dropped += batch.num_rows
        else:
            self.out.side(tag.tag_id, batch.with_keys(None, None))

    def _keep(self, batch: Batch, side: int) -> None:
        """Records wait for those of the other stream that are still to come."""
        times = batch.timestamps_ms
        assert times is not None
        if self._stay_ms[side] == 0:
            is_now = times == self.watermark_ms
            if is_now.any():
                self._bucket(side, AT_WATERMARK).rows.append(batch.filter(is_now))
                batch = batch.filter(~is_now)
                times = batch.timestamps_ms
                assert times is not None
        if not batch.num_rows:
            return
        starts, bucket_of_row = panes_of(times, self.bucket_ms)
        for i, start in enumerate(starts.tolist()):
            rows = batch if len(starts) == 1 else batch.filter(bucket_of_row == i)
            self._bucket(side, start).rows.append(rows)

    def _pair(self, batch: Batch, side: int) -> None:
        """Gives the pairs of a batch with what waits of the other stream."""
        times, keys = batch.timestamps_ms, batch.keys
        assert times is not None and keys is not None
        other = 1 - side
        lower_ms, upper_ms = (self.lower_ms, self.upper_ms) if side == 0 else (-self.upper_ms, -self.lower_ms)
        earliest, latest = batch.time_bounds()[0] + lower_ms, batch.time_bounds()[1] + upper_ms
        places = [
            place
            for place in self._buckets[other]
            if place == AT_WATERMARK or earliest - self.bucket_ms < place <= latest
        ]
        if not places:
            return
        places.sort(key=lambda place: self.watermark_ms if place == AT_WATERMARK else place)
        asking = batch.with_keys(tuple(plain_keys(keys)), batch.key_hashes)
        looks = []  # (bucket, the batch's ids there, the time after which records still wait)
        for place in places:
            bucket = self._buckets[other][place]
            after_ms = MIN_TIMESTAMP if place == AT_WATERMARK else self.watermark_ms - self._stay_ms[other]
            looks.append((bucket, bucket.catch_up().ids(asking), max(after_ms, MIN_TIMESTAMP)))
        plain = batch.with_keys(None, None)
        first = 0
        while first < batch.num_rows:
            end = batch.num_rows
            found = []
            for bucket, ids, after_ms in looks:
                askers, rows, end = bucket.partners.match(ids, first, end, times, lower_ms, upper_ms, after_ms)
                found.append((bucket, askers, rows))
            self._emit(plain, side, found, end)
            first = end

    def _emit(
        self,
        batch: Batch,
        side: int,
        found: Sequence[tuple[_Bucket, np.ndarray, np.ndarray]],
        end: int,
    ) -> None:
        """The pairs of the records of a batch before `end`, those of each record together.

        found : (bucket, rows of the batch, ascending, rows of the bucket)
        """
        if self.context.interrupted():
            raise JobCancelledError(f"operator '{self.context.name}' was stopped while it joined")
        asking, asked = [], []
        for bucket, askers, rows in found:
            count = int(np.searchsorted(askers, end))
            if count:
                asking.append(askers[:count])
                asked.append(rows_of(bucket.rows.batches, rows[:count]))
        if not asking:
            return
        askers, others = asking[0], asked[0]
        if len(asking) > 1:
            askers, others = np.concatenate(asking), Batch.concat(asked)
            order = np.argsort(askers, kind="stable")
            askers, others = askers[order], others.take(order)
        own = batch.take(askers)
        assert own.timestamps_ms is not None and others.timestamps_ms is not None
        left, right = (own, others) if side == 0 else (others, own)
        self.pairs.emit(left, right, np.maximum(own.timestamps_ms, others.timestamps_ms))

    # -- time ---------------------------------------------------------------------------------------------

    def process_watermark(self, watermark_ms: int) -> None:
        self.watermark_ms = watermark_ms
        for side, buckets in enumerate(self._buckets):
            gone = watermark_ms - self._stay_ms[side] - self.bucket_ms + 1  # starts at or before: all records go
            for place in [place for place in buckets if place == AT_WATERMARK or place <= gone]:
                del buckets[place]
                self.context.state.drop(ROWS[side], place)
        super().process_watermark(watermark_ms)

    def _bucket(self, side: int, place: Place) -> _Bucket:
        bucket = self._buckets[side].get(place)
        if bucket is None:

            def make() -> ColumnRows:
                return ColumnRows(self.schemas[side], self.key_schemas[side], self.key_columns[side], timed=True)

            bucket = self._buckets[side][place] = _Bucket(
                self.context.state.part(ROWS[side], make, place, parent=None)
            )
        return bucket
