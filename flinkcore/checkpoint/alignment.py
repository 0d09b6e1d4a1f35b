# SPDX-License-Identifier: Apache-2.0
"""Barriers and their alignment: what a task does when a barrier comes out of one of its channels.

A barrier cuts a stream in two: what is before it belongs to the checkpoint. A task snapshots when the barrier has come
out of all its channels. Under exactly once, channels that have given it are not read until then, so that nothing
behind it gets into the snapshot; under at least once they are read on. A channel that has ended has given all
barriers. Source: Flink, SingleCheckpointBarrierHandler, CheckpointBarrierTracker
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Barrier:
    """The cut of one checkpoint.

    aligned : exactly once; False for at least once
    full : the snapshot builds on no earlier one: a savepoint
    suspends : sources stop reading behind it: the job ends with this savepoint
    """

    checkpoint_id: int
    aligned: bool = True
    full: bool = False
    suspends: bool = False


class Action(enum.Enum):
    """What a barrier, or the end of a channel, comes to."""

    IGNORE = "ignore"  # of a checkpoint that is over, or nothing follows from it
    WAIT = "wait"  # other channels have not given the barrier yet
    SNAPSHOT = "snapshot"  # all have


@dataclass(frozen=True)
class Alignment:
    """Where the channels of one task are.

    ended : channels that give nothing any more;  arrived : those that have given `barrier`
    last_id : barriers up to this checkpoint are over;  aborted : so are these
    expected : barriers that the coordinator asks for, as all tasks upstream have ended. Channels may still hold them,
        and older ones; only when all have ended is it known which of them no channel gives.
    """

    channel_count: int
    ended: frozenset[int] = frozenset()
    barrier: Barrier | None = None
    arrived: frozenset[int] = frozenset()
    last_id: int = 0
    aborted: frozenset[int] = frozenset()
    expected: tuple[Barrier, ...] = ()

    @property
    def blocked(self) -> frozenset[int]:
        """Channels that must not be read now."""
        return self.arrived if self.barrier is not None and self.barrier.aligned else frozenset()

    @property
    def complete(self) -> bool:
        return self.barrier is not None and len(self.arrived | self.ended) == self.channel_count

    def is_over(self, barrier: Barrier) -> bool:
        """Whether it means nothing any more."""
        return barrier.checkpoint_id <= self.last_id or barrier.checkpoint_id in self.aborted


Step = tuple[Alignment, Action]


def on_barrier(alignment: Alignment, channel: int | None, barrier: Barrier) -> Step:
    """A barrier came out of `channel`, or (None) the coordinator asks for it, as nobody upstream will send it.

    A newer barrier than the awaited one means that the older checkpoint was given up.
    """
    if alignment.is_over(barrier):
        return alignment, Action.IGNORE
    if channel is None and len(alignment.ended) < alignment.channel_count:
        return replace(alignment, expected=(*alignment.expected, barrier)), Action.WAIT
    awaited = alignment.barrier
    if awaited is None or barrier.checkpoint_id > awaited.checkpoint_id:
        alignment = replace(alignment, barrier=barrier, arrived=frozenset())
    elif barrier.checkpoint_id < awaited.checkpoint_id:
        return alignment, Action.IGNORE
    if channel is not None:
        alignment = replace(alignment, arrived=alignment.arrived | {channel})
    if alignment.complete:
        return _settled(alignment, barrier), Action.SNAPSHOT
    return alignment, Action.WAIT


def on_end(alignment: Alignment, channel: int) -> tuple[Alignment, list[Barrier]]:
    """`channel` has ended. -> the barriers that no channel is awaited for any more, in order"""
    alignment = replace(alignment, ended=alignment.ended | {channel})
    due = []
    if alignment.complete and alignment.barrier is not None:
        due.append(alignment.barrier)
        alignment = _settled(alignment, alignment.barrier)
    if len(alignment.ended) == alignment.channel_count:
        for barrier in sorted(alignment.expected, key=lambda expected: expected.checkpoint_id):
            if not alignment.is_over(barrier):
                due.append(barrier)
                alignment = _settled(alignment, barrier)
        alignment = replace(alignment, expected=())
    return alignment, due


def on_abort(alignment: Alignment, checkpoint_id: int) -> Alignment:
    """The coordinator gave a checkpoint up: its barriers mean nothing any more. Others may still be awaited."""
    if alignment.barrier is not None and alignment.barrier.checkpoint_id == checkpoint_id:
        alignment = replace(alignment, barrier=None, arrived=frozenset())
    if checkpoint_id <= alignment.last_id:
        return alignment
    return replace(alignment, aborted=alignment.aborted | {checkpoint_id})


def _settled(alignment: Alignment, barrier: Barrier) -> Alignment:
    last_id = barrier.checkpoint_id
    aborted = frozenset(aborted for aborted in alignment.aborted if aborted > last_id)
    return replace(alignment, barrier=None, arrived=frozenset(), last_id=last_id, aborted=aborted)
