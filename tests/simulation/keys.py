# SPDX-License-Identifier: Apache-2.0
"""Ways to key a stream, each beside the key that a record has."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from flinkcore.common import Types
from flinkcore.datastream import DataStream
from tests.simulation.data import FIELDS, G, K, Record, S, V, X, plain


@dataclass(frozen=True)
class Key:
    """of : the key, as results carry it, one value per column;  keeps : records that are not dropped for null keys"""

    name: str
    build: Callable[[DataStream], Any] = field(repr=False)
    of: Callable[[Record], tuple[Any, ...]] = field(repr=False)
    columns: int = field(repr=False)
    typed: bool = True  # columnar operators take it
    keeps: Callable[[Record], bool] = field(default=lambda record: True, repr=False)

    def plain(self, record: Record) -> tuple[Any, ...]:
        return plain(self.of(record))

    def kept(self, records: Sequence[Record]) -> list[Record]:
        return [record for record in records if self.keeps(record)]


def by_columns(names: Sequence[str], on_null: str) -> Key:
    places = [FIELDS.index(name) for name in names]
    dropped = on_null == "drop"
    return Key(
        f"columns {', '.join(names)}, null: {on_null}",
        lambda stream: stream.key_by(*names, on_null=on_null),
        lambda record: tuple(record[place] for place in places),
        len(names),
        keeps=lambda record: not dropped or all(record[place] is not None for place in places),
    )


def random_key(rng: random.Random, columnar: bool, typed_stream: bool) -> Key:
    """A key for a stream of typed rows or of tuples; for columnar operators one of plain columns."""
    if typed_stream and rng.random() < (0.85 if columnar else 0.4):
        names = rng.choice([["k"], ["g"], ["k", "g"], ["x"], ["i"], ["s", "v"]])
        return by_columns(names, rng.choice(["group", "drop"]))
    if columnar or rng.random() < 0.4:
        return rng.choice(
            [
                Key(
                    "function, long",
                    lambda stream: stream.key_by(lambda record: record[G], key_type=Types.LONG()),
                    lambda record: (record[G],),
                    1,
                ),
                Key(
                    "function, string",
                    lambda stream: stream.key_by(lambda record: record[K] or "", key_type=Types.STRING()),
                    lambda record: (record[K] or "",),
                    1,
                ),
            ]
        )
    return rng.choice(
        [
            Key(
                "function, any object",
                lambda stream: stream.key_by(lambda record: record[K]),
                lambda record: (record[K],),
                1,
                typed=False,
            ),
            Key(
                "function, tuple",
                lambda stream: stream.key_by(lambda record: (record[K], record[G] % 2 == 0)),
                lambda record: ((record[K], record[G] % 2 == 0),),
                1,
                typed=False,
            ),
            Key(
                "function, pickled",
                lambda stream: stream.key_by(lambda record: Fraction(record[G] % 7, 3)),
                lambda record: (Fraction(record[G] % 7, 3),),
                1,
                typed=False,
            ),
            Key(
                "function, mixed",
                lambda stream: stream.key_by(lambda record: record[S] if record[V] is None else record[X]),
                lambda record: (record[S] if record[V] is None else record[X],),
                1,
                typed=False,
            ),
        ]
    )
