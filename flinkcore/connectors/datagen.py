# SPDX-License-Identifier: Apache-2.0
"""Generated records: a function of a number, or columns of random values and sequences; at a given rate.

Row i is a function of i and the seed alone (but for columns that hold the time of now), so a position is a number,
and any number of subtasks make the same rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from flinkcore._native.column import Column
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.schema import Schema
from flinkcore.connectors.base import (
    AssignedSplits,
    Boundedness,
    Source,
    SourceContext,
    SourceReader,
    SourceSplit,
    SplitEnumerator,
)
from flinkcore.connectors.fit import batch_of_values
from flinkcore.connectors.generated_columns import GeneratedColumn, SequenceColumn
from flinkcore.errors import ConfigurationError, UserFunctionError

ENDLESS = 2**63 - 1


@dataclass(frozen=True)
class GeneratorSplit(SourceSplit):
    """Row numbers index, index + step, ... below end."""

    index: int
    step: int
    end: int


class DataGeneratorSource(Source):
    """Rows made from their number, as Flink's DataGeneratorSource and datagen connector.

    generator : a function from the row's number to a value; or {name: SequenceColumn(...) or
        RandomColumn(...)}; or, with `batches`, a function from int64[n] row numbers to a RecordBatch or a
        dict of arrays
    count : number of rows; None for ever
    rate_per_second : rows per second of the clock, all subtasks together; None as fast as they are taken
    schema : of a function's values; without it they are Python objects (columns know theirs)
    """

    splits_at_once = 2**31  # when the job has fewer subtasks than it had: their rows are of the same time

    def __init__(self, generator: Callable[[Any], Any] | Mapping[str, GeneratedColumn],
                 count: int | None = None, rate_per_second: float | None = None,
                 schema: Schema | None = None, *, batches: bool = False, seed: int = 42) -> None:
        if count is not None and count < 0:
            raise ConfigurationError(f"the number of rows cannot be negative, got {count}")
        if rate_per_second is not None and rate_per_second <= 0:
            raise ConfigurationError("the rate is a positive number of rows per second, got "
                                     f"{rate_per_second}")
        if batches and schema is None:
            raise ConfigurationError("a generator of batches needs a schema, since rows are made only when "
                                     "the job runs")
        self.generator = generator
        self.batches = batches
        self.rate_per_second = rate_per_second
        self.waits = rate_per_second is not None or not isinstance(generator, Mapping)  # a function may
        self.seed = seed
        self.count = ENDLESS if count is None else count
        if isinstance(generator, Mapping):
            self.schema = Schema(list(generator), [column.type for column in generator.values()])
            for column in generator.values():
                if isinstance(column, SequenceColumn) and column.end is not None:
                    self.count = min(self.count, max(0, column.end - column.start + 1))
        else:
            self.schema = schema or Schema.of_objects()
        if self.count == ENDLESS:
            self.boundedness = Boundedness.CONTINUOUS_UNBOUNDED

    def create_enumerator(self, parallelism: int) -> SplitEnumerator:
        return AssignedSplits((GeneratorSplit(f"rows-{i}-of-{parallelism}", i, parallelism, self.count)
                               for i in range(parallelism)), parallelism)

    def create_reader(self, split: SourceSplit, context: SourceContext) -> SourceReader:
        assert isinstance(split, GeneratorSplit)
        return GeneratorReader(self, split, context)

    def rows_of(self, indices: np.ndarray, now_ms: int, operator: str = "DataGeneratorSource") -> Batch:
        """The rows of these numbers, int64[n], made at a time of the clock. operator : its name, for errors"""
        generator = self.generator
        if isinstance(generator, Mapping):
            columns = [Column.from_arrow(column.values(indices, self.seed + (position << 32), now_ms))
                       for position, column in enumerate(generator.values())]
            return Batch(self.schema, columns, len(indices))
        if self.batches:
            made = generator(indices)
            return self.batch_of(pa.RecordBatch.from_pydict(made) if isinstance(made, Mapping) else made)
        values = []
        for position, index in enumerate(indices.tolist()):
            try:
                values.append(generator(index))
            except Exception as error:
                name = getattr(generator, "__qualname__", type(generator).__name__)
                raise UserFunctionError(operator, name, error, index, position) from error
        return batch_of_values(values, self.schema, operator)


class GeneratorReader(SourceReader):
    """Rows of one split, no earlier than the rate allows, counted from the reader's first read."""

    def __init__(self, source: DataGeneratorSource, split: GeneratorSplit, context: SourceContext) -> None:
        self.source = source
        self.split = split
        self.clock = context.clock
        self.name = context.name
        self.started_ns: int | None = None
        self.made = 0

    def read(self, max_rows: int, timeout_ms: int) -> Batch | list[Any] | None:
        split = self.split
        if split.index >= split.end:
            return None
        count = min(max_rows, -(-(split.end - split.index) // split.step))
        if self.source.rate_per_second is not None:
            count = min(count, self._allowed(timeout_ms))
            if count <= 0:
                return []
        self.made += count
        self.split = replace(split, index=split.index + count * split.step)
        return self.source.rows_of(split.index + np.arange(count) * split.step, self.clock.now_ms(), self.name)

    def position(self) -> SourceSplit:
        return self.split

    def _allowed(self, timeout_ms: int) -> int:
        """Rows that are due, after waiting at most timeout_ms for one. The first is due at once."""
        assert self.source.rate_per_second is not None
        rate = self.source.rate_per_second / self.split.step
        if self.started_ns is None:
            self.started_ns = self.clock.now_ns()
        due = int((self.clock.now_ns() - self.started_ns) * rate / 1e9) + 1 - self.made
        if due <= 0 and timeout_ms > 0:
            wait_s = (self.made / rate) - (self.clock.now_ns() - self.started_ns) / 1e9
            time.sleep(min(max(wait_s, 0.0), timeout_ms / 1000))
            due = int((self.clock.now_ns() - self.started_ns) * rate / 1e9) + 1 - self.made
        return due
