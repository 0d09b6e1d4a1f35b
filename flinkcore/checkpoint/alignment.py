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
    last_id : barriers up to this checkpoint are over, done or given up
    """

    channel_count: int
    ended: frozenset[int] = frozenset()
    barrier: Barrier | None = None
    arrived: frozenset[int] = frozenset()
    last_id: int = 0

    @property
    def blocked(self) -> frozenset[int]:
        """Channels that must not be read now."""
        return self.arrived if self.barrier is not None and self.barrier.aligned else frozenset()

    @property
    def complete(self) -> bool:
        return self.barrier is not None and len(self.arrived | self.ended) == self.channel_count


Step = tuple[Alignment, Action]


def on_barrier(alignment: Alignment, channel: int | None, barrier: Barrier) -> Step:
    """A barrier came out of `channel`, or (None) the coordinator asks for it, as nobody upstream will send it.

    A newer barrier than the awaited one means that the older checkpoint was given up.
    """
    if barrier.checkpoint_id <= alignment.last_id:
        return alignment, Action.IGNORE
    awaited = alignment.barrier
    if awaited is None or barrier.checkpoint_id > awaited.checkpoint_id:
        alignment = replace(alignment, barrier=barrier, arrived=frozenset())
    elif barrier.checkpoint_id < awaited.checkpoint_id:
        return alignment, Action.IGNORE
    if channel is not None:
        alignment = replace(alignment, arrived=alignment.arrived | {channel})
    return _settled(alignment)


def on_end(alignment: Alignment, channel: int) -> Step:
    """`channel` has ended."""
    alignment = replace(alignment, ended=alignment.ended | {channel})
    return _settled(alignment) if alignment.barrier is not None else (alignment, Action.IGNORE)


def on_abort(alignment: Alignment, checkpoint_id: int) -> Alignment:
    """The coordinator gave a checkpoint up: its barriers mean nothing any more."""
    if alignment.barrier is not None and alignment.barrier.checkpoint_id <= checkpoint_id:
        alignment = replace(alignment, barrier=None, arrived=frozenset())
    return replace(alignment, last_id=max(alignment.last_id, checkpoint_id))


def _settled(alignment: Alignment) -> Step:
    if not alignment.complete:
        return alignment, Action.WAIT
    assert alignment.barrier is not None
    done = replace(
        alignment, barrier=None, arrived=frozenset(), last_id=alignment.barrier.checkpoint_id
    )
    return done, Action.SNAPSHOT
