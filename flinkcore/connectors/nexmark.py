# SPDX-License-Identifier: Apache-2.0
"""A source of Nexmark events: the persons, auctions and bids of an online auction. Beyond PyFlink."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from flinkcore._native.nexmark import EVENT_MAX, STREAMS, NexmarkGenerator
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
from flinkcore.errors import ConfigurationError, SchemaError

# Parallel splits take turns in blocks of so many events, so that their event times stay close together.
BLOCK_EVENTS = 65_536
SCAN_EVENTS_MAX = 1 << 20  # events looked at in one read, when most are of another kind


@dataclass(frozen=True)
class NexmarkSplit(SourceSplit):
    """Every `split_count`-th block of `block_events` event numbers, from `next_event` on and before `end`."""

    index: int
    split_count: int
    block_events: int
    next_event: int
    end: int

    def at_own_event(self) -> NexmarkSplit:
        """The same split with next_event moved on to an event of its own blocks."""
        turn = self.next_event // self.block_events
        missing = (self.index - turn) % self.split_count
        return self if missing == 0 else replace(self, next_event=(turn + missing) * self.block_events)

    def run(self) -> int:
        """How many events from next_event on follow each other without a gap."""
        if self.split_count == 1:
            return self.end - self.next_event
        return min(self.end, (self.next_event // self.block_events + 1) * self.block_events) - self.next_event


class NexmarkSource(Source):
    """Nexmark events, computed rather than stored: the same ones in every run, whatever the parallelism.

    stream : "bids", "auctions" or "persons"; "events" has all three, with `event_type` (0 person, 1 auction,
        2 bid) and the columns of each kind, which are null for the other kinds
    columns : the columns wanted, by default all; a column that is not asked for costs nothing
    event_count : event numbers of all kinds together, of 50 events 46 are bids; None: without end
    first_event : the event number to start with
    emit_per_second : at most so many events in a second of real time; None: as fast as they are taken
    settings : the generator's own, e.g. events_per_second (of event time), out_of_order_group, seed,
        hot_auction_ratio; csrc/fc_nexmark.h has the list, the defaults are the published benchmark's

    ConfigurationError : a setting out of its range;  SchemaError : a column that the stream does not have
    """

    splits_at_once = 2**31  # when the job has fewer subtasks than it had: their events are of the same time

    def __init__(
        self,
        stream: Literal["bids", "auctions", "persons", "events"] = "bids",
        columns: Sequence[str] | None = None,
        *,
        event_count: int | None = None,
        first_event: int = 0,
        emit_per_second: int | None = None,
        **settings: int,
    ) -> None:
        if stream not in STREAMS:
            raise ConfigurationError(f"Nexmark has the streams {', '.join(STREAMS)}, not {stream!r}")
        types = STREAMS[stream]
        self.columns = tuple(types if columns is None else columns)
        if not self.columns:
            raise ConfigurationError(f"a Nexmark source needs at least one column of {', '.join(types)}")
        for name in self.columns:
            if name not in types:
                raise SchemaError(f"Nexmark {stream} have no column '{name}'; they have {', '.join(types)}")
        end = EVENT_MAX if event_count is None else first_event + event_count
        if not 0 <= first_event <= end <= EVENT_MAX:
            raise ConfigurationError(
                f"Nexmark events are numbered 0 to {EVENT_MAX}; first_event={first_event} and "
                f"event_count={event_count} leave that range"
            )
        if emit_per_second is not None and emit_per_second <= 0:
            raise ConfigurationError(f"emit_per_second must be positive, got {emit_per_second}")
        try:
            NexmarkGenerator(**settings)
        except (TypeError, ValueError, OverflowError) as error:
            raise ConfigurationError(f"Nexmark source: {error}") from error
        self.stream = stream
        self.schema = Schema(self.columns, [types[name] for name in self.columns])
        self.boundedness = Boundedness.CONTINUOUS_UNBOUNDED if event_count is None else Boundedness.BOUNDED
        self.first_event = first_event
        self.end = end
        self.emit_per_second = emit_per_second
        self.waits = emit_per_second is not None
        self.settings = settings

    def create_enumerator(self, parallelism: int) -> SplitEnumerator:
        block_events = BLOCK_EVENTS
        if self.emit_per_second is not None:  # a turn of at most 10 ms, or the others would stand still
            block_events = min(block_events, max(1, self.emit_per_second // 100))
        splits = [
            NexmarkSplit(f"nexmark-{index}", index, parallelism, block_events, self.first_event, self.end)
            for index in range(parallelism)
        ]
        # One each: a subtask that read two, one after the other, would find the second one late.
        return AssignedSplits(splits, parallelism)

    def create_reader(self, split: SourceSplit, context: SourceContext) -> SourceReader:
        assert isinstance(split, NexmarkSplit)
        return NexmarkReader(self, split, context)


class NexmarkReader(SourceReader):
    """The events of one split. Its position is the next event number."""

    def __init__(self, source: NexmarkSource, split: NexmarkSplit, context: SourceContext) -> None:
        self.source = source
        self.split = split.at_own_event()
        self.clock = context.clock
        self.generator = NexmarkGenerator(**source.settings)
        self.opened_ms = self.clock.now_ms()
        self.opened_at_event = split.next_event

    def read(self, max_rows: int, timeout_ms: int) -> Batch | None:
        if self.split.next_event >= self.split.end:
            return None
        count = min(self.split.run(), self.events_for(max_rows))
        if self.source.emit_per_second is not None:
            count = min(count, self.due(timeout_ms))
        start = self.split.next_event
        columns = self.generator.columns(self.source.stream, self.source.columns, start, count)
        self.split = replace(self.split, next_event=start + count).at_own_event()
        return Batch(self.source.schema, columns)

    def events_for(self, max_rows: int) -> int:
        """So many events hold `max_rows` rows at most, and about as many."""
        own, cycle = self.generator.proportion(self.source.stream)
        if own == 0:
            return SCAN_EVENTS_MAX
        if (
            self.source.settings.get("out_of_order_group", 1) > 1
        ):  # a shuffled range may hold more than its share
            return max_rows
        return max(max_rows, min(SCAN_EVENTS_MAX, max_rows // own * cycle))

    def due(self, timeout_ms: int) -> int:
        """How many events from the next one on may be emitted by now; waits for the first if it may."""
        rate = self.source.emit_per_second
        assert rate is not None
        ahead = self.split.next_event - self.opened_at_event
        due_ms = self.opened_ms + ahead * 1000 // rate
        wait_ms = min(due_ms - self.clock.now_ms(), timeout_ms)
        if wait_ms > 0:
            time.sleep(wait_ms / 1000)
        elapsed_ms = self.clock.now_ms() - self.opened_ms
        return max(0, elapsed_ms * rate // 1000 + 1 - ahead)

    def position(self) -> SourceSplit:
        return self.split
