# SPDX-License-Identifier: Apache-2.0
"""Rows that the program holds: a list, any iterable, or batches."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import pyarrow as pa

from flinkcore import options
from flinkcore._native.column import Column
from flinkcore._native.values import detached, detached_list
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.encode import from_pylist
from flinkcore.columnar.fields import ValueFault
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
from flinkcore.connectors.fit import batch_of_values
from flinkcore.errors import ConnectorError, FlinkcoreWarning
from flinkcore.time.clock import Clock

# How long an iterator is asked for more values before those that are there go on.
READ_NS = 2_000_000


class CollectionSource(Source):
    """The values of a collection, in their order, read by one subtask as Flink's fromCollection is.

    values : a collection, turned into columns at once, so that a value that does not fit its type is an error
        where the program says it; or an iterator, read as the job runs, once
    schema : names and types; without it any Python object may stand in the collection
    """

    parallelism_max = 1

    def __init__(self, values: Iterable[Any], schema: Schema | None = None) -> None:
        self.schema = schema or Schema.of_objects()
        self.iterator: Iterator[Any] | None = None
        self.taken = Taken()
        if isinstance(values, Iterator):
            self.iterator = values
            self.not_replayable = (f"a {type(values).__name__} gives its values once; pass a list to be "
                                   "able to go back")
        else:
            self.waits = False
            values = values if isinstance(values, list) else list(values)
            if None in self.schema.types:  # the job's functions may change objects, the program keeps its own
                values = detached_list(values)
            known = _known(values) if self.schema.form == "object" else None
            if known is None:
                self.data = batch_of_values(values, self.schema, "from_collection", _warn_of_wrapping)
            else:
                self.schema = Schema.of_objects(known.type)
                self.data = Batch(self.schema, (Column.of_known(known),), len(values))

    @staticmethod
    def of_batches(batches: Sequence[Batch]) -> CollectionSource:
        """Batches of one schema, with their timestamps and row kinds. ValueError without a batch."""
        source = CollectionSource.__new__(CollectionSource)
        source.data = Batch.concat(batches)
        source.schema = source.data.schema
        source.iterator = None
        source.waits = False
        return source

    def create_enumerator(self, parallelism: int) -> SplitEnumerator:
        if self.iterator is not None:
            return SplitQueue([IteratorSplit("iterator", 0)])
        return SplitQueue([RangeSplit("collection", 0, len(self.data))])

    def check_restored(self, split: SourceSplit) -> None:
        if isinstance(split, RangeSplit) and not 0 <= split.start <= split.end == len(self.data):
            raise ConnectorError(f"the collection had {split.end} values when the checkpoint was made, and has "
                                 f"{len(self.data)} in this program; restore with the same values, or give the source "
                                 "another uid")

    def create_reader(self, split: SourceSplit, context: SourceContext) -> SourceReader:
        if isinstance(split, RangeSplit):
            return BatchReader(self.data, split)
        assert isinstance(split, IteratorSplit) and self.iterator is not None
        for _ in islice(self.iterator, self.taken.rows_to_skip(split, context, self.not_replayable)):
            self.taken.rows += 1
        split = replace(split, rows_read=max(split.rows_read, self.taken.rows))
        return IteratorReader(self.iterator, split, self.taken, context.clock)


#: Values of one of these types are a column, though nobody has declared it.
_PLAIN = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


def _known(values: list[Any]) -> Column | None:
    """Values of one plain type as a column; None where they are others."""
    kinds = set(map(type, values))
    plain = _PLAIN.get(kinds.pop()) if len(kinds) == 1 else None
    if plain is None:
        return None
    try:
        return from_pylist(values, plain)
    except ValueFault:  # a number of more than 64 bits, a text that is not UTF-8
        return None


def _warn_of_wrapping(name: str) -> None:
    # Flink's test of from_collection pins it: 43878 is -21658 as a SHORT (PythonTypeUtils' input converters).
    warnings.warn(
        f"from_collection: numbers of {name} are outside of their type and lose their upper bits, as in Flink; "
        "declare a wider type, such as LONG",
        FlinkcoreWarning,
        stacklevel=5,
    )


class BatchReader(SourceReader):
    """Slices of one batch. It is read again by later jobs, and after a failure: what functions change are copies."""

    def __init__(self, data: Batch, split: RangeSplit) -> None:
        self.data = data
        self.split = split

    def read(self, max_rows: int, timeout_ms: int) -> Batch | None:
        start = self.split.start
        count = min(max_rows, self.split.end - start)
        if count <= 0:
            return None
        self.split = replace(self.split, start=start + count)
        return self.data.slice(start, count).detached()

    def position(self) -> SourceSplit:
        return self.split


@dataclass(frozen=True)
class IteratorSplit(SourceSplit):
    """What is left of something that can be read only once."""

    rows_read: int


@dataclass
class Taken:
    """How much was taken, in this process, of something that can be read only once."""

    rows: int = 0

    def rows_to_skip(self, split: IteratorSplit, context: SourceContext, why: str | None) -> int:
        """How many rows come before those of the split, in a new process, where reading begins at the first row.

        ConnectorError : rows behind the split's position were taken already, or reading would begin before it, and
            the job did not allow that (flinkcore.checkpointing.allow-unreplayable-sources). It then goes on from where
            the source stands, behind the rows that are lost, or as if a new source gave the same rows again.
        """
        if self.rows != split.rows_read and not context.config.get(options.ALLOW_UNREPLAYABLE_SOURCES):
            raise ConnectorError(f"source '{context.name}' cannot go back to row {split.rows_read}: {why}")
        return max(0, split.rows_read - self.rows)


class IteratorReader(SourceReader):
    """Values taken from an iterator, for READ_NS at most: those of a slow generator do not wait for each other."""

    def __init__(self, iterator: Iterator[Any], split: IteratorSplit, taken: Taken, clock: Clock) -> None:
        self.iterator = iterator
        self.split = split
        self.taken = taken
        self.clock = clock

    def read(self, max_rows: int, timeout_ms: int) -> list[Any] | None:
        rows: list[Any] = []
        add, now_ns = rows.append, self.clock.now_ns
        end_ns = now_ns() + READ_NS
        for value in islice(self.iterator, max_rows):
            self.taken.rows += 1  # also when the next one raises, and these are lost
            add(detached(value))
            if now_ns() >= end_ns:
                break
        self.split = replace(self.split, rows_read=self.split.rows_read + len(rows))
        return rows or None

    def position(self) -> SourceSplit:
        return self.split
