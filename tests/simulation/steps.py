# SPDX-License-Identifier: Apache-2.0
"""Steps before a key: what each does to a stream, and to a list of records."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from flinkcore.common import Row
from flinkcore.datastream import DataStream, OutputTag, ProcessFunction
from flinkcore.table.expressions import col
from tests.simulation.aggregates import wrapped
from tests.simulation.data import FIELDS, ID, TYPE, G, K, Record, S, V, X
from tests.simulation.physical import Physical

Records = list[Record]


@dataclass(frozen=True)
class Step:
    """form : of the records it takes, "row" for typed columns, "object" for Python tuples, "" for either"""

    name: str
    build: Callable[[DataStream, Physical], DataStream]
    naive: Callable[[Records], Records]
    form: str = ""
    form_out: str = ""
    ordered: bool = True  # keeps the order of records


def is_typed(stream: DataStream) -> bool:
    return stream.schema.form != "object"


def _type(stream: DataStream) -> Any:
    return TYPE if is_typed(stream) else None


def _maker(stream: DataStream) -> Callable[[Iterable[Any]], Any]:
    """What makes a record of the stream's form."""
    return (lambda values: Row(*values)) if is_typed(stream) else tuple


def replaced(record: Any, **values: Any) -> Record:
    return tuple(values.get(name, value) for name, value in zip(FIELDS, record))


def _map(change: Callable[[Any], Record]) -> Callable[[DataStream, Physical], DataStream]:
    def build(stream: DataStream, physical: Physical) -> DataStream:
        make = _maker(stream)
        return stream.map(lambda record: make(change(record)), _type(stream))

    return build


def _filter_rows(modulus: int) -> Step:
    def keep(record: Any) -> bool:
        return record[V] is not None and record[V] % modulus != 0

    return Step(
        f"filter_rows({modulus})",
        lambda stream, physical: stream.filter(keep),
        lambda records: [record for record in records if keep(record)],
    )


def _filter_expression(rng: random.Random) -> Step:
    bound = rng.randint(-20, 30)
    which = rng.choice(["v", "null", "x", "both"])
    expression = {
        "v": lambda: col("v") > bound,
        "null": lambda: col("s").is_not_null,
        "x": lambda: col("x") < float(bound),
        "both": lambda: (col("v") > bound) | (col("k") == "a"),
    }[which]
    keep = {
        "v": lambda r: r[V] is not None and r[V] > bound,
        "null": lambda r: r[S] is not None,
        "x": lambda r: r[X] is not None and r[X] < bound,
        "both": lambda r: (r[V] is not None and r[V] > bound) or r[K] == "a",
    }[which]
    return Step(
        f"filter({which}, {bound})",
        lambda stream, physical: stream.filter(expression()),
        lambda records: [record for record in records if keep(record)],
        form="row",
    )


def _map_rows() -> Step:
    def change(record: Any) -> Record:
        v, s = record[V], record[S]
        return replaced(record, v=None if v is None else v % 1009 - 500, s=None if s is None else s + "!")

    return Step("map", _map(change), lambda records: list(map(change, records)))


def _flat_map() -> Step:
    def copies(record: Any) -> Iterable[Record]:
        for copy in range(record[ID] % 3):
            yield replaced(record, g=(record[G] + copy) % 1000)

    def build(stream: DataStream, physical: Physical) -> DataStream:
        make = _maker(stream)
        return stream.flat_map(lambda record: [make(copy) for copy in copies(record)], _type(stream))

    return Step("flat_map", build, lambda records: [copy for record in records for copy in copies(record)])


def _with_columns() -> Step:
    def change(record: Record) -> Record:
        v, s, x = record[V], record[S], record[X]
        return replaced(
            record,
            v=None if v is None else wrapped(v * 3 - 5),
            s=None if s is None else s + "-",
            x=None if x is None else x * 2,
        )

    def build(stream: DataStream, physical: Physical) -> DataStream:
        return stream.with_columns(
            (col("v") * 3 - 5).alias("v"), col("s").concat("-").alias("s"), (col("x") * 2.0).alias("x")
        )

    return Step("with_columns", build, lambda records: list(map(change, records)), form="row")


def _map_batches() -> Step:
    def twice(batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch.set_column(G, batch.schema.field(G), pa.array([g // 2 for g in batch["g"].to_pylist()],
                                                                   pa.int64()))  # fmt: skip

    return Step(
        "map_batches",
        lambda stream, physical: stream.map_batches(twice),
        lambda records: [replaced(record, g=record[G] // 2) for record in records],
        form="row",
    )


class _Divert(ProcessFunction):
    """Every fifth record to a side output."""

    def __init__(self, tag: OutputTag, make: Callable[[Iterable[Any]], Any]) -> None:
        self.tag = tag
        self.make = make

    def process_element(self, value: Any, ctx: Any) -> Iterable[Any]:
        record = self.make(value)
        yield (self.tag, record) if value[ID] % 5 == 0 else record


def _divert(rng: random.Random, ordered: bool) -> Step:
    joined = not ordered and rng.random() < 0.7
    name = f"diverted-{rng.randrange(10**9)}"

    def build(stream: DataStream, physical: Physical) -> DataStream:
        tag = OutputTag(name, _type(stream))
        main = physical.place(stream.process(_Divert(tag, _maker(stream)), _type(stream)))
        if not joined:
            return main
        side = main.get_side_output(tag)
        if physical.rng.random() < 0.5:
            side = physical.place(physical.route(side).map(_maker(stream), _type(stream)))
        return main.union(side)

    def naive(records: Records) -> Records:
        return records if joined else [record for record in records if record[ID] % 5]

    return Step(f"divert({'and join' if joined else 'and drop'})", build, naive, ordered=not joined)


def _diamond() -> Step:
    def build(stream: DataStream, physical: Physical) -> DataStream:
        odd = physical.place(physical.route(stream).filter(lambda record: record[ID] % 2 == 1))
        even = physical.place(physical.route(stream).filter(lambda record: record[ID] % 2 == 0))
        return odd.union(even)

    return Step("diamond", build, lambda records: records, ordered=False)


def _broadcast(rng: random.Random) -> Step:
    parallelism = rng.randint(1, 3)

    def build(stream: DataStream, physical: Physical) -> DataStream:
        copy = stream.broadcast().map(_maker(stream), _type(stream))
        return copy.set_parallelism(parallelism)

    return Step(f"broadcast({parallelism})", build, lambda records: records * parallelism, ordered=False)


def to_object() -> Step:
    return Step(
        "to_object",
        lambda stream, physical: stream.map(lambda record: tuple(record)),
        lambda records: records,
        form_out="object",
    )


def to_row() -> Step:
    return Step(
        "to_row",
        lambda stream, physical: stream.map(lambda record: Row(*record), TYPE),
        lambda records: records,
        form_out="row",
    )


def _select() -> Step:
    return Step(
        "select",
        lambda stream, physical: stream.select(*FIELDS),
        lambda records: records,
        form="row",
        form_out="row",
    )


def random_steps(rng: random.Random, ordered: bool, form: str) -> list[Step]:
    """Up to five steps that fit behind one another."""
    steps: list[Step] = []
    for _ in range(rng.choice([0, 0, 1, 2, 3, 5])):
        choices = [
            _filter_rows(rng.randint(2, 9)),
            _map_rows(),
            _flat_map(),
            _divert(rng, ordered),
            to_object() if form == "row" else to_row(),
        ]
        if form == "row":
            choices += [_filter_expression(rng), _with_columns(), _map_batches(), _select()]
        if not ordered:
            choices += [_diamond(), _broadcast(rng)]
        step = rng.choice(choices)
        form = step.form_out or form
        steps.append(step)
    return steps
