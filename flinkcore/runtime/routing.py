# SPDX-License-Identifier: Apache-2.0
"""Routing: from an operator to the next in its chain, or through channels to other subtasks."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from flinkcore._native.partition import key_places, places, subtasks
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.rows import from_rows, to_rows
from flinkcore.columnar.schema import Schema
from flinkcore.errors import ConfigurationError
from flinkcore.graph.transformation import Partitioner, Partitioning
from flinkcore.metrics import OperatorMetrics
from flinkcore.runtime.channel import Channel, ElementKind
from flinkcore.time import MIN_TIMESTAMP


class Target(Protocol):
    """One consumer of an operator's output."""

    def batch(self, batch: Batch) -> None: ...
    def watermark(self, watermark_ms: int) -> None: ...
    def idle(self, idle: bool) -> None: ...
    def end(self) -> None: ...


class OperatorOutput:
    """What an operator emits into: all consumers of its main output, and of its side outputs by tag.

    Watermarks and idleness reach every consumer, and only when they change.
    """

    __slots__ = ("_idle", "_main", "_sides", "_targets", "metrics")

    def __init__(
        self, metrics: OperatorMetrics, main: Sequence[Target], sides: dict[str, list[Target]]
    ) -> None:
        self.metrics = metrics
        self._main = tuple(main)
        self._sides = sides
        self._targets = (*self._main, *(target for targets in sides.values() for target in targets))
        self._idle = False

    def batch(self, batch: Batch) -> None:
        if batch.num_rows:
            self.metrics.rows_out += batch.num_rows
            _to_all(self._main, batch)

    def side(self, tag: str, batch: Batch) -> None:
        if batch.num_rows:
            self.metrics.rows_out += batch.num_rows
            _to_all(self._sides.get(tag, ()), batch)

    def watermark(self, watermark_ms: int) -> None:
        last = self.metrics.watermark_ms
        if watermark_ms > (MIN_TIMESTAMP if last is None else last):
            self.metrics.watermark_ms = watermark_ms
            if self._idle:
                self.idle(False)
            for target in self._targets:
                target.watermark(watermark_ms)

    def idle(self, idle: bool) -> None:
        if idle != self._idle:
            self._idle = idle
            for target in self._targets:
                target.idle(idle)

    def end(self) -> None:
        for target in self._targets:
            target.end()


class _Batches(Protocol):
    def batch(self, batch: Batch) -> None: ...


def _to_all(targets: Sequence[_Batches], batch: Batch) -> None:
    if len(targets) == 1:
        targets[0].batch(batch)
    else:
        for target, own in zip(targets, _own_batches(batch, len(targets))):
            target.batch(own)


def _own_batches(batch: Batch, count: int) -> list[Batch]:
    """A batch for each of several consumers: copies of Python objects, so that none sees what another changes."""
    return [batch, *(batch.detached() for _ in range(count - 1))]


class DeclaredTarget:
    """A reader of a side output: records come in the type that its OutputTag has, whatever the writer's has."""

    def __init__(self, target: Target, tag: str, schema: Schema) -> None:
        self.target = target
        self.tag = tag
        self.schema = schema
        self.watermark, self.idle, self.end = target.watermark, target.idle, target.end

    def batch(self, batch: Batch) -> None:
        if batch.schema is not self.schema and batch.schema != self.schema:
            columns = from_rows(to_rows(batch), self.schema, f"side output '{self.tag}'")
            batch = batch.with_columns(self.schema, columns)
        self.target.batch(batch)


class ChannelTarget:
    """Sends to the channels of one edge, each batch as the edge's partitioning says; control to all."""

    def __init__(self, channels: Sequence[Channel], max_parallelism: int) -> None:
        self.channels = list(channels)
        self.max_parallelism = max_parallelism

    def batch(self, batch: Batch) -> None:
        for channel, own in zip(self.channels, _own_batches(batch, len(self.channels))):
            channel.put(ElementKind.BATCH, own)

    def watermark(self, watermark_ms: int) -> None:
        for channel in self.channels:
            channel.put(ElementKind.WATERMARK, watermark_ms)

    def idle(self, idle: bool) -> None:
        for channel in self.channels:
            channel.put(ElementKind.IDLE, idle)

    def end(self) -> None:
        for channel in self.channels:
            channel.put(ElementKind.END)

    def _scatter(self, batch: Batch, places: np.ndarray, bounds: np.ndarray) -> None:
        """places, bounds : where each row goes, as places() gives them"""
        for target, share in batch.scatter(places, bounds):
            self.channels[target].put(ElementKind.BATCH, share)


class HashTarget(ChannelTarget):
    """By key group: subtask = (hash % max_parallelism) * subtasks // max_parallelism."""

    def batch(self, batch: Batch) -> None:
        if len(self.channels) == 1:
            self.channels[0].put(ElementKind.BATCH, batch)
        else:
            count = len(self.channels)
            if batch.keys_are_words:
                assert batch.keys is not None
                self._scatter(batch, *key_places(batch.keys, self.max_parallelism, count))
            else:
                self._scatter(batch, *places(subtasks(batch.hashes(), self.max_parallelism, count), count))


class RoundRobinTarget(ChannelTarget):
    """Equal shares to all subtasks: a batch is cut into one run of records for each, the first in turn."""

    def __init__(self, channels: Sequence[Channel], max_parallelism: int, first: int) -> None:
        super().__init__(channels, max_parallelism)
        self._next = first % len(channels)

    def batch(self, batch: Batch) -> None:
        shares = min(len(self.channels), batch.num_rows)
        start = 0
        for share in range(1, shares + 1):
            end = batch.num_rows * share // shares
            self.channels[self._next].put(ElementKind.BATCH, batch.slice(start, end - start))
            self._next = (self._next + 1) % len(self.channels)
            start = end


class ShuffleTarget(ChannelTarget):
    """Each record to a random subtask; seeded, so that a run can be repeated."""

    def __init__(self, channels: Sequence[Channel], max_parallelism: int, seed: int) -> None:
        super().__init__(channels, max_parallelism)
        self._random = np.random.default_rng(seed)

    def batch(self, batch: Batch) -> None:
        count = len(self.channels)
        self._scatter(batch, *places(self._random.integers(0, count, batch.num_rows, dtype=np.int32), count))


class GlobalTarget(ChannelTarget):
    """Everything to the first subtask."""

    def batch(self, batch: Batch) -> None:
        self.channels[0].put(ElementKind.BATCH, batch)


class CustomTarget(ChannelTarget):
    """As a function of the user says."""

    def __init__(self, channels: Sequence[Channel], max_parallelism: int, partitioner: Partitioner) -> None:
        super().__init__(channels, max_parallelism)
        self._partitioner = partitioner

    def batch(self, batch: Batch) -> None:
        targets = self._partitioner(batch, len(self.channels))
        outside = (targets < 0) | (targets >= len(self.channels))
        if outside.any():
            raise ConfigurationError(
                f"the partitioner chose subtask {int(targets[outside][0])} of {len(self.channels)}; "
                f"it must return a number from 0 to {len(self.channels) - 1}"
            )
        self._scatter(batch, *places(targets.astype(np.int32, copy=False), len(self.channels)))


def channel_target(
    partitioning: Partitioning,
    channels: Sequence[Channel],
    max_parallelism: int,
    subtask_index: int,
    partitioner: Partitioner | None,
) -> ChannelTarget:
    """The sender of one subtask over one edge; `channels` lead to the subtasks that it may reach."""
    if partitioning is Partitioning.HASH:
        return HashTarget(channels, max_parallelism)
    if partitioning in (Partitioning.REBALANCE, Partitioning.RESCALE):
        return RoundRobinTarget(channels, max_parallelism, subtask_index)
    if partitioning is Partitioning.SHUFFLE:
        return ShuffleTarget(channels, max_parallelism, random.Random(subtask_index).getrandbits(32))
    if partitioning is Partitioning.GLOBAL:
        return GlobalTarget(channels, max_parallelism)
    if partitioning is Partitioning.CUSTOM:
        assert partitioner is not None
        return CustomTarget(channels, max_parallelism, partitioner)
    return ChannelTarget(channels, max_parallelism)  # FORWARD has one channel, BROADCAST all


def reachable_subtasks(
    partitioning: Partitioning, source_index: int, source_count: int, target_count: int
) -> range:
    """Which subtasks of the target a subtask of the source has channels to.

    Rescale pairs each source with a local group: (2 -> 4) 0 with 0, 1 and 1 with 2, 3; (4 -> 2) 0, 1 with 0.
    """
    if partitioning is Partitioning.FORWARD:
        return range(source_index, source_index + 1)
    if partitioning is Partitioning.RESCALE:
        start = source_index * target_count // source_count
        end = (source_index + 1) * target_count // source_count
        return range(start, max(start + 1, end))
    return range(target_count)
