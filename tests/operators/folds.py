# SPDX-License-Identifier: Apache-2.0
"""Random functions that fold records, random records, and operators of them that restart in one form or the other."""

from __future__ import annotations

import linecache
import math
import random
from collections.abc import Callable
from itertools import accumulate, pairwise
from typing import Any

import pyarrow as pa

from flinkcore.columnar.row import Row
from flinkcore.columnar.schema import Schema
from flinkcore.common import Types
from flinkcore.config import Configuration
from flinkcore.errors import SchemaError, UserFunctionError
from flinkcore.operators.functions import AggregateFunction
from flinkcore.testing.harness import Harness, harness
from flinkcore.time import MAX_WATERMARK

SCHEMA = Schema(["k", "v", "x", "f", "s"], [pa.int64(), pa.int64(), pa.float64(), pa.bool_(), pa.string()], "tuple")
ROWS = Schema(SCHEMA.names, SCHEMA.types, "row")
KEY = Schema(["k"], [pa.int64()], "value")
BY_ROWS = Configuration().set_string("flinkcore.functions.translate", "false")


def run(operator: Any, translate: bool = True, **options: Any) -> Harness:
    return harness(operator, key="k", config=None if translate else BY_ROWS, **options)


def in_columns(op: Harness) -> bool:
    return op.operator._columns is not None


class Writer:
    """Writes aggregate and reduce functions."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def number(self, kind: str) -> str:
        """Of a record, r."""
        rng = self.rng
        if kind == "int":
            return rng.choice([
                "r[1]", "r[1]", "r[1] * 2 + r[0]", "abs(r[1])", "len(r[4])", "1", "r[3]", "(r[1] if r[3] else -1)",
            ])  # fmt: skip
        return rng.choice([
            "r[2]", "r[2]", "r[2] * 0.5", "r[1] * 1.5", "abs(r[2])", "float(r[1])", "1.0", "-r[2]",
        ])  # fmt: skip

    def condition(self) -> str:
        return self.rng.choice(["r[3]", "r[1] > 3", "r[2] < 1.5", "r[4] == 'a'", "not r[3]", "r[1] % 3 == r[0]"])

    def change(self, kind: str, own: str) -> str:
        """What becomes of a field of an accumulator."""
        rng, number = self.rng, self.number
        e = number(kind)
        plain = [
            f"{own} + {e}", f"{e} + {own}", f"{own} - {e}", f"{own} + 1", f"min({own}, {e})", f"max({own}, {e})",
            f"{e} if {e} > {own} else {own}", f"{own} if {own} <= {e} else {e}", f"{own}", f"{e}",
            f"{own} + ({e} if {self.condition()} else 0)", f"min({e}, {own})", f"{own} + {e} + {number(kind)}",
        ]  # fmt: skip
        if rng.random() < 0.3:
            plain = [
                f"{own} * 0.5 + {e}" if kind == "float" else f"{own} * 3 % 1000 + {e}", f"{own} - {own} // 3",
                f"{own} + {e} / 2 - {own} / 4" if kind == "float" else f"{own} * {e} % 97",
                f"{own} * {own} % 1009 + {e}",
                f"({own} + 1 if {e} < {own} else {own} - {e})", f"{e} // {own}",
            ]  # fmt: skip
        change = rng.choice(plain)
        if rng.random() < 0.25:
            change = f"{change} if {self.condition()} else {own}"
        return f"({change})"

    def aggregate(self) -> tuple[str, Any]:
        """The source of an AggregateFunction, and the type that is declared for its accumulator."""
        rng = self.rng
        kinds = [rng.choice(["int", "float"]) for _ in range(rng.randint(1, 4))]
        starts = [
            rng.choice(["0", "0", "7", "-3"] if kind == "int" else ["0.0", "0", "-0.0", "math.inf", "-math.inf", "2.5"])
            for kind in kinds
        ]
        form = rng.choice(["tuple", "list", "place", "value", "dict", "key", "row"])
        if form == "value":
            kinds, starts = kinds[:1], starts[:1]
            changes = [self.change(kinds[0], "a")]
            own, created, lines = ["a"], starts[0], [f"        return {changes[0]}"]
        else:
            own = [f"a[{i}]" for i in range(len(kinds))]
            if form in ("dict", "key"):
                own = [f"a['k{i}']" for i in range(len(kinds))]
            elif form == "row":
                own = [f"a.f{i}" for i in range(len(kinds))]
            created = _literal(form, starts)
            changes = [self.change(kind, each) for kind, each in zip(kinds, own)]
            lines = [f"        return {_literal(form, changes)}"]
            if form in ("place", "key"):
                lines = [f"        {each} = {change}" for each, change in zip(own, changes)] + ["        return a"]
        if rng.random() < 0.2:
            lines = [f"        if {self.condition()}:", "            return a", *lines]
        result = rng.choice(["a", own[0], f"{own[0]} / {own[-1]}", f"({own[0]}, {own[-1]} + 1)", f"str({own[0]})"])
        types = {"int": Types.LONG(), "float": Types.DOUBLE()}
        declared = [types[kind] for kind in kinds]
        type = None
        if rng.random() < 0.4:
            if form == "value":
                type = declared[0]
            elif form == "tuple":
                type = Types.TUPLE(declared)
            elif len(set(kinds)) == 1:
                type = Types.LIST(declared[0])
        merged = [
            self.merge(change, *(pair if form != "value" else "ab"))
            for change, pair in zip(changes, ((each, f"b{each[1:]}") for each in own))
        ]
        made = merged[0] if form == "value" else _literal(form, merged)
        source = "\n".join([
            "class Function(AggregateFunction):", "    def create_accumulator(self):", f"        return {created}",
            "    def add(self, r, a):", *lines, "    def get_result(self, a):", f"        return {result}",
            "    def merge(self, a, b):", f"        return {made}", "",
        ])  # fmt: skip
        return source, type

    def merge(self, change: str, a: str, b: str) -> str:
        """What becomes of a field of two accumulators: mostly what its change suggests."""
        rng = self.rng
        if rng.random() < 0.1:
            return rng.choice([f"{a} - {b}", a, b, f"max({a}, {b})"])
        for name in ("min(", "max("):
            if name in change:
                return f"{name}{a}, {b})"
        return f"{a} + {b}" if "+" in change or "-" in change else rng.choice([a, b])

    def reduce(self) -> str:
        rng = self.rng
        fields = ["a[0]"]
        for i, kind in ((1, "int"), (2, "float")):
            own, e = f"a[{i}]", f"r[{i}]"
            fields.append(rng.choice([f"{own} + {e}", f"max({own}, {e})", f"min({own}, {e})", own, e, f"{own} - {e}",
                                      self.change(kind, own)]))  # fmt: skip
        fields += [rng.choice(["a[3]", "r[3]"]), rng.choice(["a[4]", "r[4]"])]
        return f"def Function(a, r):\n    return ({', '.join(fields)})\n"


def _literal(form: str, values: list[str]) -> str:
    """An accumulator of these fields."""
    if form == "tuple":
        return f"({', '.join(values)},)"
    if form in ("dict", "key"):
        return "{" + ", ".join(f"'k{i}': {value}" for i, value in enumerate(values)) + "}"
    if form == "row":
        return f"Row({', '.join(f'f{i}={value}' for i, value in enumerate(values))})"
    return f"[{', '.join(values)}]"


def compiled(source: str, name: str) -> Any:
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    scope: dict[str, Any] = {"math": math, "Row": Row, "AggregateFunction": AggregateFunction}
    exec(compile(source, name, "exec", dont_inherit=True), scope)
    return scope["Function"]


def batches(rng: random.Random, has_none: bool) -> list[tuple[list[Any], list[int], int]]:
    """Batches as (rows, timestamps, the watermark behind)."""
    wild = rng.random() < 0.4
    found = []
    watermark = 0
    for _ in range(rng.randint(1, 6)):
        rows, times = [], []
        for _ in range(rng.choice([1, 5, 40, 40, 40, 200])):
            v: Any = rng.randint(-9, 9)
            x: Any = rng.choice([rng.uniform(-4, 4), 0.5, 0.1, -0.0, 0.0])
            if wild and rng.random() < 0.1:
                v = rng.choice([2**62, -(2**62), 2**53 + 1, None if has_none else 0])
                x = rng.choice([math.nan, math.inf, -math.inf, 1e308, None if has_none else 0.0])
            rows.append((rng.randint(0, 4), v, x, rng.random() < 0.5, rng.choice(["a", "b", ""])))
            times.append(max(0, watermark + rng.randint(-15, 25)))
        watermark += rng.randint(0, 15)
        found.append((rows, times, watermark))
    return found


def outcome(
    make: Any, data: Any, settings: list[dict[str, Any]], ordered: bool = False
) -> tuple[list[list[str]], Any, set[bool]]:
    """What comes out, between watermarks sorted unless it is to be ordered, and the error that ends it.

    settings : for each batch, how it is run; a change is a restore
    """
    arranged: Any = list if ordered else sorted
    found: list[list[str]] = []
    forms = set()
    ops = None
    try:
        for (rows, times, watermark), how in zip(data, settings):
            if ops is None or how != before:  # noqa: F821
                saved = None if ops is None else [op.snapshot() for op in ops]
                count = how["parallelism"]
                ops = [
                    run(make(), how["translate"], parallelism=count, subtask_index=i,
                        **({} if saved is None else {"restore": saved}))
                    for i in range(count)
                ]  # fmt: skip
            before = how  # noqa: F841
            for op in ops:
                op.batch(rows, times)
            found.append(arranged(repr(each) for op in ops for each in op.timestamped()))
            for op in ops:
                op.watermark(watermark)
                forms.add(in_columns(op))
            found.append(arranged(repr(each) for op in ops for each in op.timestamped()))
        for op in ops or ():
            op.watermark(MAX_WATERMARK)
        found.append(arranged(repr(each) for op in ops or () for each in op.timestamped()))
    except UserFunctionError as error:
        return found, (type(error.__cause__), str(error.__cause__), repr(error.record)), forms
    except SchemaError as error:  # more than a declared type holds, in a snapshot or among results
        assert "expected LONG" in str(error) or "expected BOOLEAN" in str(error)
        return found, type(error), forms
    return found, None, forms


RandomFold = Callable[[random.Random, int], tuple[Any, str]]  # -> (what makes an operator, the source of its function)


def check_columns_against_python(
    rng: random.Random, seeds: range, random_fold: RandomFold, data_of: Any, ordered: bool = False
) -> None:
    """Operators on columns give what they give by rows; some of them do stay on columns."""
    forms: set[bool] = set()
    for seed in seeds:
        make, source = random_fold(rng, seed)
        data = data_of(rng, make().schema is ROWS)
        by_rows = outcome(make, data, [{"translate": False, "parallelism": 1}] * len(data), ordered)
        found = outcome(make, data, [{"translate": True, "parallelism": 1}] * len(data), ordered)
        assert found[:2] == by_rows[:2], source
        forms |= found[2]
    assert True in forms


def check_forms_go_on_in_each_other(rng: random.Random, seeds: range, random_fold: RandomFold, data_of: Any) -> None:
    """Whatever form and parallelism an operator is restored to, it gives what one by rows gives."""
    for seed in seeds:
        make, source = random_fold(rng, seed)
        data = data_of(rng, make().schema is ROWS)
        other = [{"translate": rng.random() < 0.6, "parallelism": rng.randint(1, 3)} for _ in data]
        runs = accumulate((how != before for before, how in pairwise(other)), initial=0)
        same = [{**how, "translate": False, "run": i} for i, how in zip(runs, other)]
        assert outcome(make, data, other)[:2] == outcome(make, data, same)[:2], (source, other)
