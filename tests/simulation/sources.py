# SPDX-License-Identifier: Apache-2.0
"""Sources of every kind over random records, with watermarks that make none of them late."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from flinkcore.columnar.arrow_types import schema_of
from flinkcore.common import Duration, Row, WatermarkStrategy
from flinkcore.common.watermark_strategy import TimestampAssigner, WatermarkGenerator
from flinkcore.connectors.arrow import ArrowSource
from flinkcore.connectors.base import RangeSplit, Source, SourceReader, SplitQueue
from flinkcore.datastream import DataStream
from tests.simulation.data import ARROW, TS, TYPE, Record, rows_of, table_of
from tests.simulation.physical import Physical
from tests.simulation.steps import to_row


class Partitions(Source):
    """Lists of records, each a split of its own, read in turn, now and then with nothing to read."""

    schema = schema_of(TYPE)

    def __init__(self, partitions: list[list[Record]], splits_at_once: int) -> None:
        self.partitions = partitions
        self.splits_at_once = splits_at_once

    def create_enumerator(self, parallelism: int) -> SplitQueue:
        return SplitQueue(RangeSplit(str(i), 0, len(rows)) for i, rows in enumerate(self.partitions))

    def create_reader(self, split: Any, context: Any) -> SourceReader:
        return PartitionReader(self.partitions[int(split.split_id)], split)


class PartitionReader(SourceReader):
    def __init__(self, records: list[Record], split: RangeSplit) -> None:
        self.records = records
        self.split = split
        self.reads = 0

    def read(self, max_rows: int, timeout_ms: int) -> list[Row] | None:
        self.reads += 1
        if self.reads % 4 == 0:
            return []
        start, end = self.split.start, min(self.split.end, self.split.start + max_rows)
        self.split = replace(self.split, start=end)
        return rows_of(self.records[start:end]) or None

    def position(self) -> RangeSplit:
        return self.split


class _Time(TimestampAssigner):
    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        return value[TS]


class Punctuated(WatermarkGenerator):
    """A watermark right behind a record, as far back as records may yet come."""

    def __init__(self, bound_ms: int, every: int) -> None:
        self.bound_ms = bound_ms
        self.every = every
        self.highest: int | None = None
        self.seen = 0

    def on_event(self, event: Any, event_timestamp: int, output: Any) -> None:
        self.seen += 1
        self.highest = event_timestamp if self.highest is None else max(self.highest, event_timestamp)
        if self.seen % self.every == 0:
            output.emit_watermark(self.highest - self.bound_ms - 1)

    def on_periodic_emit(self, output: Any) -> None:
        if self.highest is not None and self.every % 2:
            output.emit_watermark(self.highest - self.bound_ms - 1)


@dataclass(frozen=True)
class Input:
    """The records of a job, by source.

    disorder_ms : how far behind the highest time a record of a source may be
    kinds : of the sources; form : "row" or "object", the form that streams have then
    """

    sources: tuple[tuple[Record, ...], ...]
    disorder_ms: int
    kinds: tuple[str, ...]
    form: str

    @property
    def records(self) -> list[Record]:
        return [record for records in self.sources for record in records]

    @property
    def span_ms(self) -> int:
        times = [record[TS] for record in self.records]
        return max(times) - min(times) if times else 0

    def stream(self, physical: Physical) -> DataStream:
        """The records with their times, united."""
        late_assigned = not physical.ordered and physical.rng.random() < 0.25
        streams = [
            self._one(list(records), kind, physical, late_assigned)
            for records, kind in zip(self.sources, self.kinds)
        ]
        stream = streams[0].union(*streams[1:]) if len(streams) > 1 else streams[0]
        if late_assigned:
            stream = physical.place(
                physical.route(stream).assign_timestamps_and_watermarks(
                    strategy(physical, self.span_ms, self.span_ms, self.form == "row")
                )
            )
        return stream

    def _one(
        self, records: list[Record], kind: str, physical: Physical, late_assigned: bool
    ) -> DataStream:
        env, rng, ordered = physical.env, physical.rng, physical.ordered
        parallelism = physical.parallelism()
        single = parallelism == 1  # records come in their order
        in_source = not late_assigned and rng.random() < 0.5
        typed = kind != "objects"
        source: Any = None
        if kind == "partitions":
            source, bound_ms = self._partitions(records, physical)
            single = False
        elif kind == "arrow":
            source = ArrowSource(table_of(records, rng.randint(1, 5)))
            bound_ms = self.disorder_ms if single else self.span_ms
        else:
            bound_ms, single = self.disorder_ms, True
        if source is not None:
            bounded = bound_ms if in_source else self.span_ms if not single else self.disorder_ms
            made = strategy(physical, bounded, self.span_ms, typed) if in_source else None
            stream = env.from_source(source, made, kind).set_parallelism(parallelism)
        else:
            in_source = False
            stream = self._plain(records, kind, env, rng)
            bounded = bound_ms
        if kind == "objects" and self.form == "row":
            stream, typed = to_row().build(stream, physical), True
            if not ordered:
                stream.set_parallelism(1)
        elif kind != "objects" and self.form == "object":
            stream, typed = stream.map(lambda record: tuple(record)), False
            stream.set_parallelism(parallelism if source is not None else 1)
        if not in_source and not late_assigned:
            stream = stream.assign_timestamps_and_watermarks(
                strategy(physical, bounded, self.span_ms, typed)
            )
            stream.set_parallelism(physical.parallelism())
        return stream

    def _partitions(self, records: list[Record], physical: Physical) -> tuple[Source, int]:
        count = 1 if physical.ordered else physical.rng.randint(1, 4)
        partitions: list[list[Record]] = [[] for _ in range(count)]
        for record in records:
            partitions[physical.rng.randrange(count)].append(record)
        at_once = physical.rng.choice([1, 2, count])
        # A split that is opened after another has ended begins anew.
        return Partitions(partitions, at_once), self.disorder_ms if at_once >= count else self.span_ms

    def _plain(self, records: list[Record], kind: str, env: Any, rng: random.Random) -> DataStream:
        if kind == "objects":
            return env.from_collection(records)
        if kind == "iterator":
            return env.from_collection(_each(rows_of(records)), TYPE)
        if kind == "stream":
            table = table_of(records, rng.randint(1, 5))
            return env.from_arrow(pa.RecordBatchReader.from_batches(ARROW, table.to_batches()))
        return env.from_collection(rows_of(records), TYPE)


def _each(rows: list[Row]) -> Iterator[Row]:
    yield from rows


def strategy(physical: Physical, bound_ms: int, span_ms: int, typed: bool) -> WatermarkStrategy:
    """Watermarks that leave no record late that is at most `bound_ms` behind; the most is `span_ms`."""
    rng = physical.rng
    if physical.patient:
        bound_ms = span_ms
    every = rng.randint(1, 4)
    made = rng.choice(
        [
            lambda: WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(bound_ms)),
            lambda: WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(bound_ms)),
            lambda: WatermarkStrategy.for_generator(lambda: Punctuated(bound_ms, every)),
            WatermarkStrategy.no_watermarks,
        ]
    )()
    if physical.patient and rng.random() < 0.4:
        made = made.with_idleness(Duration.of_millis(rng.choice([1, 100, 400])))
    if typed and rng.random() < 0.5:
        return made.with_timestamp_column("ts")
    return made.with_timestamp_assigner(_Time())


KINDS: tuple[str, ...] = ("rows", "objects", "iterator", "arrow", "stream", "partitions")
Chooser = Callable[[], str]
