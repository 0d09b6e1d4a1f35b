# SPDX-License-Identifier: Apache-2.0
"""Aggregates as expressions, each beside what Flink says it is, in plain Python."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from flinkcore.table.expressions import col, lit
from tests.simulation.data import ID, INT, Record, S, V, X


def wrapped(value: int, bits: int = 64) -> int:
    """An integer as Java keeps it."""
    return (value + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)


def present(records: Sequence[Record], field: int) -> list[Any]:
    return [record[field] for record in records if record[field] is not None]


def total(values: list[Any], bits: int = 64) -> Any:
    if not values:
        return None
    if isinstance(values[0], float):
        return reduce(lambda a, b: a + b, values)
    return wrapped(sum(values), bits)


def average(values: list[Any]) -> Any:
    if not values:
        return None
    if isinstance(values[0], float):
        return total(values) / len(values)
    sum_ = total(values)
    return abs(sum_) // len(values) * (1 if sum_ >= 0 else -1)


@dataclass(frozen=True)
class Aggregate:
    """ordered : the result depends on the order of records;  tame : it does when there are NaN or -0.0;
    ties : and on the order in which panes or sessions were merged, where values are equal"""

    name: str
    expression: Callable[[], Any] = field(repr=False)
    naive: Callable[[Sequence[Record]], Any] = field(repr=False)
    ordered: bool = field(default=False, repr=False)
    tame: bool = field(default=False, repr=False)
    ties: bool = field(default=False, repr=False)


def _at_extreme(records: Sequence[Record], best: Callable[..., Any]) -> Any:
    held = [record for record in records if record[V] is not None]
    return best(held, key=lambda record: record[V])[ID] if held else None


def _least_or_none(records: Sequence[Record], field: int, best: Callable[..., Any]) -> Any:
    values = present(records, field)
    return best(values) if values else None


AGGREGATES = (
    Aggregate("n", lambda: lit(1).count, len),
    Aggregate("v_count", lambda: col("v").count, lambda rs: len(present(rs, V))),
    Aggregate("v_sum", lambda: col("v").sum, lambda rs: total(present(rs, V))),
    Aggregate("v_sum0", lambda: col("v").sum0, lambda rs: total(present(rs, V)) or 0),
    Aggregate("v_min", lambda: col("v").min, lambda rs: _least_or_none(rs, V, min)),
    Aggregate("v_max", lambda: col("v").max, lambda rs: _least_or_none(rs, V, max)),
    Aggregate("v_avg", lambda: col("v").avg, lambda rs: average(present(rs, V))),
    Aggregate("v_twice", lambda: (col("v") * 2).sum, lambda rs: total([2 * v for v in present(rs, V)])),
    Aggregate("i_sum", lambda: col("i").sum, lambda rs: total(present(rs, INT), 32)),
    Aggregate("x_sum", lambda: col("x").sum, lambda rs: total(present(rs, X))),
    Aggregate("x_avg", lambda: col("x").avg, lambda rs: average(present(rs, X))),
    Aggregate("x_min", lambda: col("x").min, lambda rs: _least_or_none(rs, X, min), tame=True),
    Aggregate("x_max", lambda: col("x").max, lambda rs: _least_or_none(rs, X, max), tame=True),
    Aggregate("s_count", lambda: col("s").count, lambda rs: len(present(rs, S))),
    Aggregate("s_min", lambda: col("s").min, lambda rs: _least_or_none(rs, S, min)),
    Aggregate("s_max", lambda: col("s").max, lambda rs: _least_or_none(rs, S, max)),
    Aggregate(
        "s_of_first_id",
        lambda: col("s").min_by(col("id")),
        lambda rs: min(rs, key=lambda record: record[ID])[S],
    ),
    Aggregate("v_first", lambda: col("v").first_value, lambda rs: (*present(rs, V), None)[0], ordered=True),
    Aggregate("s_last", lambda: col("s").last_value, lambda rs: (None, *present(rs, S))[-1], ordered=True),
    Aggregate(
        "id_of_max_v",
        lambda: col("id").max_by(col("v")),
        lambda rs: _at_extreme(rs, max),
        ordered=True,
        ties=True,
    ),
    # A result that is computed from two aggregates.
    Aggregate(
        "v_spread",
        lambda: col("v").max - col("v").min,
        lambda rs: wrapped(max(v) - min(v)) if (v := present(rs, V)) else None,
    ),
)
DISTINCT = (
    Aggregate("v_distinct", lambda: col("v").count.distinct, lambda rs: len(set(present(rs, V)))),
    Aggregate("s_distinct", lambda: col("s").count.distinct, lambda rs: len(set(present(rs, S)))),
    Aggregate("v_set_sum", lambda: col("v").sum.distinct, lambda rs: total(list(set(present(rs, V))))),
)


def random_aggregates(
    rng: random.Random, ordered: bool, wild: bool, merged: bool = False, more: Sequence[Aggregate] = ()
) -> list[Aggregate]:
    """Some aggregates whose results are certain: for records in order or in any, tame or wild."""
    fitting = [
        aggregate
        for aggregate in (*AGGREGATES, *more)
        if (ordered or not aggregate.ordered)
        and not (wild and aggregate.tame)
        and not (merged and aggregate.ties)
    ]
    chosen = rng.sample(fitting, rng.randint(1, 5))
    if ordered and not any(aggregate.ordered for aggregate in chosen) and rng.random() < 0.5:
        chosen.append(rng.choice([aggregate for aggregate in fitting if aggregate.ordered]))
    return chosen


def expressions(aggregates: Sequence[Aggregate]) -> list[Any]:
    return [aggregate.expression().alias(aggregate.name) for aggregate in aggregates]


def results(aggregates: Sequence[Aggregate], records: Sequence[Record]) -> tuple[Any, ...]:
    return tuple(aggregate.naive(records) for aggregate in aggregates)
