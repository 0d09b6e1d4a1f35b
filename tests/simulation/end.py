# SPDX-License-Identifier: Apache-2.0
"""What ends of random jobs have in common: they build streams, and say whether what came out is right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from flinkcore.datastream import DataStream
from tests.simulation.data import Record
from tests.simulation.keys import Key
from tests.simulation.outcome import Result
from tests.simulation.physical import Physical

Outputs = dict[str, DataStream]
Found = dict[str, list[Result]]


def same(found: Iterable[Any], expected: Iterable[Any], what: str) -> None:
    """Two multisets; says which items are in one of them only."""
    came, wanted = Counter(found), Counter(expected)
    if came != wanted:
        missing, surplus = list((wanted - came).elements()), list((came - wanted).elements())
        raise AssertionError(
            f"{what}: {len(missing)} missing, {len(surplus)} too many\n"
            f"  missing : {missing[:5]}\n  too many: {surplus[:5]}"
        )


def by_key(found: Sequence[Result], columns: int) -> dict[Any, list[Result]]:
    groups: dict[Any, list[Result]] = {}
    for result in found:
        groups.setdefault(result.row[:columns], []).append(result)
    return groups


def grouped(key: Key, records: Sequence[Record]) -> dict[Any, list[Record]]:
    """The records of each key, in order."""
    groups: dict[Any, list[Record]] = {}
    for record in key.kept(records):
        groups.setdefault(key.plain(record), []).append(record)
    return groups


def only_inserts(found: Sequence[Result]) -> None:
    assert all(result.kind == 0 for result in found), "a changelog where there is none"


class End:
    """form : of the records that it takes;  clocked : it has timers of processing time"""

    form = "row"
    clocked = False

    def build(self, stream: DataStream, physical: Physical) -> Outputs:
        raise NotImplementedError

    def check(self, found: Found, records: list[Record], ordered: bool, batch_mode: bool) -> None:
        raise NotImplementedError
