# SPDX-License-Identifier: Apache-2.0
"""What the next snapshot builds on, and what that costs over thousands of snapshots."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from flinkcore.checkpoint.plan import Plan, plan


@dataclass(frozen=True)
class Link:
    bytes: int
    epoch: int
    path: str | None = "shared/x.seg"


def chain_of(*sizes: int, inline: str = "") -> list[Link]:
    """Segments of these sizes, of the epochs 10, 20, 30 ...; inline : "i" for those that lie in the manifest."""
    return [Link(size, 10 * (i + 1), None if inline[i : i + 1] == "i" else "x.seg") for i, size in enumerate(sizes)]


@pytest.mark.parametrize(("chain", "full_bytes", "expected"), [
    ([], 100, Plan(0, 0)),                                            # nothing to build on
    (chain_of(100), 100, Plan(1, 10)),
    (chain_of(100, 1, 1), 100, Plan(3, 30)),
    (chain_of(100, 100, 100, 100), 100, Plan(4, 40)),                 # 4 times the full size: still
    (chain_of(100, 100, 100, 101), 100, Plan(0, 0)),                  # more: everything
    (chain_of(100), 24, Plan(0, 0)),                                  # the state has shrunk
    (chain_of(100), 0, Plan(0, 0)),                                   # ... to nothing
    (chain_of(1000, *[1] * 30), 1000, Plan(31, 310)),
    (chain_of(1000, *[1] * 31), 1000, Plan(1, 10)),                   # too many, all small: one increment
    (chain_of(1000, *[50] * 20, *[1] * 11), 1000, Plan(21, 210)),     # the small ones become one
    (chain_of(1000, *[50] * 20, *[6] * 11), 1000, Plan(21, 210)),
    (chain_of(1000, *[50] * 28, *[1] * 3), 1000, Plan(28, 280)),      # four at least
    (chain_of(10, *[1] * 31), 10, Plan(0, 0)),                        # the tail is larger than everything
    (chain_of(100, 10, 10, inline="ii"), 100, Plan(0, 0)),            # the manifest holds 110 bytes of at most 50
    (chain_of(100, 10, 10, inline=".ii"), 100, Plan(3, 30)),
    (chain_of(100, 30, 30, inline=".ii"), 100, Plan(1, 10)),
    (chain_of(100, 30, 5, 30, inline=".i.i"), 100, Plan(3, 30)),
])
def test_the_plan_of_a_chain(chain: list[Link], full_bytes: int, expected: Plan) -> None:
    assert plan(chain, full_bytes, inline_bytes_max=50) == expected


def simulated(part: float, *, same_rows: bool, segments_max: int = 32, snapshots: int = 4_000,
              full_bytes: int = 10**9) -> tuple[float, int]:
    """(bytes written / bytes of the increments, the longest chain), when each finds `part` of all rows touched."""
    chain = [Link(full_bytes, 0)]
    written, longest = 0, 0
    for epoch in range(1, snapshots + 1):
        found = plan(chain, full_bytes, segments_max=segments_max)
        union = part if same_rows else 1 - (1 - part) ** (epoch - found.since)
        size = int(full_bytes * union) if found.kept else full_bytes
        chain = [*chain[: found.kept], Link(size, epoch)]
        written += size
        longest = max(longest, len(chain))
    return written / (snapshots * part * full_bytes), longest


@pytest.mark.parametrize(("part", "same_rows", "amplification_max"), [
    (0.0001, True, 1.05),
    (0.01, True, 1.05),
    (0.1, True, 1.3),
    (1.0, True, 1.05),
    (0.1, False, 1.3),
    (1.0, False, 1.05),
    (0.01, False, 2.15),  # what a chain of at most 32 costs; see plan()
    (0.0001, False, 3.0),
])
def test_little_is_written_twice(part: float, same_rows: bool, amplification_max: float) -> None:
    amplification, longest = simulated(part, same_rows=same_rows)
    assert amplification <= amplification_max
    assert longest <= 32


def test_a_longer_chain_writes_less() -> None:
    assert simulated(0.01, same_rows=False, segments_max=320) == (pytest.approx(1.32, abs=0.01), 302)


def test_the_chain_stays_within_its_bytes() -> None:
    chain = [Link(1000, 0)]
    for epoch in range(1, 500):
        found = plan(chain, 1000)
        chain = [*chain[: found.kept], Link(300 if found.kept else 1000, epoch)]
        assert sum(link.bytes for link in chain) <= 4 * 1000 + 300
        assert [link.epoch for link in chain] == sorted({link.epoch for link in chain})
