# SPDX-License-Identifier: Apache-2.0
"""The numbers of a range, as Flink's NumberSequenceSource."""

from __future__ import annotations

from dataclasses import replace
from operator import index

import numpy as np
import pyarrow as pa

from flinkcore._native.column import Column
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.connectors.base import (
    RangeSplit,
    Source,
    SourceContext,
    SourceReader,
    SourceSplit,
    SplitEnumerator,
    SplitQueue,
)
from flinkcore.errors import ConfigurationError

LONG_MAX = 2**63 - 1


class NumberSequenceSource(Source):
    """The integers from `start` to `end`, both included; parallel subtasks read neighbouring parts, each in
    order.

    ConfigurationError : start > end, or a bound outside int64
    """

    schema = Schema(["value"], [pa.int64()], "value")

    waits = False

    def __init__(self, start: int, end: int) -> None:
        try:
            start, end = index(start), index(end)
        except TypeError:
            raise ConfigurationError(f"a number sequence has whole numbers as bounds, got {start!r} and {end!r}"
                                     ) from None
        if start > end:
            raise ConfigurationError(f"a number sequence needs start <= end, got {start} and {end}")
        if start < -LONG_MAX - 1 or end > LONG_MAX:
            raise ConfigurationError(f"a number sequence lies within int64, got {start} to {end}")
        self.start = start
        self.end = end

    def create_enumerator(self, parallelism: int) -> SplitEnumerator:
        count = self.end - self.start + 1
        bounds = [self.start + count * i // parallelism for i in range(parallelism + 1)]
        return SplitQueue(RangeSplit(f"numbers-{i}", bounds[i], bounds[i + 1])
                          for i in range(parallelism) if bounds[i] < bounds[i + 1])

    def create_reader(self, split: SourceSplit, context: SourceContext) -> SourceReader:
        assert isinstance(split, RangeSplit)
        return NumberSequenceReader(self.schema, split)


class NumberSequenceReader(SourceReader):
    """The numbers of one split."""

    def __init__(self, schema: Schema, split: RangeSplit) -> None:
        self.schema = schema
        self.split = split

    def read(self, max_rows: int, timeout_ms: int) -> Batch | None:
        start = self.split.start
        count = min(max_rows, self.split.end - start)
        if count <= 0:
            return None
        self.split = replace(self.split, start=start + count)
        # arange(start, start + count) would have to name 2**63 at the upper end of int64
        return Batch(self.schema, [Column.from_numpy(np.arange(count) + start)])

    def position(self) -> SourceSplit:
        return self.split
