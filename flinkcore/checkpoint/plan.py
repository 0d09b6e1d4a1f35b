# SPDX-License-Identifier: Apache-2.0
"""Plan: which segments the next snapshot of a subtask builds on. A pure function, nothing is remembered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class Link(Protocol):
    """A segment of the chain: a SegmentRef, or whatever has these."""

    @property
    def path(self) -> str | None: ...
    @property
    def bytes(self) -> int: ...
    @property
    def epoch(self) -> int: ...


@dataclass(frozen=True)
class Plan:
    """kept : how many segments of the chain stay; since : what the new one starts from, 0 for everything."""

    kept: int
    since: int


def plan(chain: Sequence[Link], full_bytes: int, *, segments_max: int = 32, chain_ratio_max: float = 4.0,
         inline_bytes_max: int = 0) -> Plan:
    """What the next segment holds: what changed since the whole chain, since a part of it, or everything.

    chain : the segments of the last complete checkpoint, each since the epoch of the one before
    full_bytes : about what a segment with everything would take
    segments_max : a longer chain has its tail replaced by one segment
    chain_ratio_max : a chain of more than so many times full_bytes is replaced by one segment with everything, as it
        takes so much longer to restore
    inline_bytes_max : segments in the manifest are written again with each manifest; when they take more than this
        together, they become one, which is a file

    What is written beyond the increments themselves (bytes written / bytes of the increments), when each snapshot
    finds this part of the rows touched, for ever (tests/checkpoint/test_plan.py):

        part of the rows     1 %     10 %    100 %
        the same each time   1.00    1.29    1.00
        others each time     2.10    1.29    1.00

    A tail costs as much as its union, so it is nearly free when the same rows change again and again. When they are
    others each time, any plan that keeps a chain so short must write most of them twice; 1 % costs 1.32 with
    segments_max 320.
    """
    total = sum(link.bytes for link in chain)
    if not chain or total > chain_ratio_max * full_bytes:
        return Plan(0, 0)
    kept = len(chain)
    if kept >= segments_max:
        kept = _without_tail(chain)
    while kept and sum(link.bytes for link in chain[:kept] if link.path is None) > inline_bytes_max:
        kept = _without_inline_tail(chain, kept)
    return Plan(kept, chain[kept - 1].epoch) if kept else Plan(0, 0)


def _without_inline_tail(chain: Sequence[Link], kept: int) -> int:
    """How many segments are left without the last ones that lie in the manifest, and what comes after them."""
    while kept and chain[kept - 1].path is not None:
        kept -= 1
    while kept and chain[kept - 1].path is None:
        kept -= 1
    return kept


def _without_tail(chain: Sequence[Link]) -> int:
    """How many segments are left when the tail becomes one, 0 when that would be as large as everything.

    The tail is the shortest, of four at least, whose segments are less than half as large, on average, as the one
    before it: so segments of about one size become one of the next size, and a byte is written again once for each
    size, not for each segment.
    """
    tail_bytes = 0
    for kept in range(len(chain) - 1, 0, -1):
        tail_bytes += chain[kept].bytes
        count = len(chain) - kept
        if count >= 4 and chain[kept - 1].bytes * count >= 2 * tail_bytes:
            return kept
    return 1 if tail_bytes < chain[0].bytes else 0
