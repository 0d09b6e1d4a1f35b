# SPDX-License-Identifier: Apache-2.0
"""Random functions on random rows: a translation gives to the bit what Python gives for each, or does not answer."""

from __future__ import annotations

import linecache
import math
import random
from typing import Any

import pyarrow as pa
import pytest

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.rows import from_rows, to_rows
from flinkcore.columnar.schema import Schema
from flinkcore.expr.stages import Stage, Stages
from flinkcore.expr.translate import NotTranslated, Unequal, translate_condition, translate_record

FUNCTIONS_PER_TEST = 60
FIELDS = {"a": pa.int64(), "b": pa.int32(), "x": pa.float64(), "y": pa.float32(), "f": pa.bool_(), "s": pa.string()}
OF_KIND = {"int": ["a", "b"], "float": ["x", "y"], "bool": ["f"], "str": ["s"]}
RESULTS = {"int": [pa.int64(), pa.int64(), pa.int32(), pa.float64()], "float": [pa.float64(), pa.float32()],
           "bool": [pa.bool_(), pa.int64()], "str": [pa.string()]}  # fmt: skip


class Writer:
    """Writes functions of one record, `v`."""

    def __init__(self, rng: random.Random, access: str) -> None:
        self.rng = rng
        self.access = access

    def field(self, kind: str) -> str:
        name = self.rng.choice(OF_KIND[kind])
        places = [f"v[{list(FIELDS).index(name)}]"]
        if self.access == "row":
            places += [f"v.{name}", f'v["{name}"]']
        return self.rng.choice(places)

    def constant(self, kind: str) -> str:
        rng = self.rng
        return {
            "int": lambda: repr(rng.choice([0, 1, 2, 3, -1, 7, 8, 100, 2**31, 2**53 + 1, 2**62])),
            "float": lambda: repr(rng.choice([0.0, 1.5, -2.25, 1e300, 0.1])),
            "bool": lambda: rng.choice(["True", "False"]),
            "str": lambda: repr(rng.choice(["", "a", "12", "ä", "x1"])),
        }[kind]()

    def of(self, kind: str, depth: int) -> str:
        rng, of = self.rng, self.of
        if depth <= 0 or rng.random() < 0.15:
            return self.field(kind) if rng.random() < 0.75 else self.constant(kind)
        d = depth - 1
        common = [
            lambda: f"({of(kind, d)} if {of('bool', d)} else {of(kind, d)})",
            lambda: f"({of(kind, d)} {rng.choice(['and', 'or'])} {of(kind, d)})",
        ]
        number = rng.choice(["int", "float", "bool"])
        own = {
            "int": [
                lambda: f"({of('int', d)} {rng.choice(['+', '-', '*', '//', '%'])} {of('int', d)})",
                lambda: f"({of('int', d)} {rng.choice(['&', '|', '^'])} {of('int', d)})",
                lambda: f"({of('int', d)} {rng.choice(['<<', '>>'])} {rng.choice([0, 1, 5, 40])})",
                lambda: f"{rng.choice(['-', '~', '+'])}{of('int', d)}",
                lambda: f"abs({of('int', d)})",
                lambda: f"({of('int', d)} ** {rng.choice([1, 2, 3])})",
                lambda: f"{rng.choice(['min', 'max'])}({of('int', d)}, {of('int', d)})",
                lambda: f"{rng.choice(['int', 'round', 'math.floor', 'math.ceil', 'math.trunc'])}({of('float', d)})",
                lambda: f"len({of('str', d)})",
                lambda: f"int({of('str', d)})",
                lambda: f"({of('int', d)} + {of('bool', d)})",
            ],
            "float": [
                lambda: f"({of('float', d)} {rng.choice(['+', '-', '*', '/', '//', '%'])} {of('float', d)})",
                lambda: f"({of('int', d)} {rng.choice(['/', '* 1.5 +', '- 0.5 *'])} {of('float', d)})",
                lambda: f"({of('int', d)} / {of('int', d)})",
                lambda: f"{rng.choice(['abs', '-', 'float', 'math.sqrt'])}({of('float', d)})",
                lambda: f"float({of(number, d)})",
                lambda: f"{rng.choice(['min', 'max'])}({of('float', d)}, {of('float', d)})",
            ],
            "bool": [
                lambda: f"({of(number, d)} {rng.choice(['<', '<=', '>', '>=', '==', '!='])} {of('int', d)})",
                lambda: f"({of('float', d)} {rng.choice(['<', '>=', '=='])} {of(number, d)})",
                lambda: f"({of('str', d)} {rng.choice(['<', '<=', '>', '>=', '==', '!='])} {of('str', d)})",
                lambda: f"({of('int', d)} < {of('int', d)} <= {of('int', d)})",
                lambda: f"(not {of(rng.choice(list(OF_KIND)), d)})",
                lambda: f"({self.field(rng.choice(list(OF_KIND)))} is {rng.choice(['', 'not '])}None)",
                lambda: f"({of(rng.choice(list(OF_KIND)), d)} {rng.choice(['==', '!='])} None)",
                lambda: f"bool({of(rng.choice(list(OF_KIND)), d)})",
                lambda: f"({of('int', d)} {rng.choice(['in', 'not in'])} (1, 2, 3))",
                lambda: f"({of('str', d)} in ('a', 'b'))",
                lambda: f"({self.constant('str')} in {of('str', d)})",
                lambda: f"{of('str', d)}.{rng.choice(['startswith', 'endswith'])}({self.constant('str')})",
                lambda: f"({of('bool', d)} {rng.choice(['&', '|', '^'])} {of('bool', d)})",
                lambda: f"math.{rng.choice(['isnan', 'isinf', 'isfinite'])}({of('float', d)})",
            ],
            "str": [
                lambda: f"({of('str', d)} + {of('str', d)})",
                lambda: f"{of('str', d)}.{rng.choice(['upper', 'lower', 'strip', 'lstrip', 'rstrip'])}()",
                lambda: f"{of('str', d)}.replace({rng.choice([repr('a'), repr('12')])}, {self.constant('str')})",
                lambda: f"str({of('int', d)})",
                lambda: f"{of('str', d)}[{rng.choice(['', '1', '-2'])}:{rng.choice(['', '2', '-1'])}]",
                lambda: "f'{" + self.field("int") + "}:{" + self.field("str") + "}'",
            ],
        }[kind]
        return rng.choice(common + own * 2)()

    def function(self, kinds: list[str], depth: int) -> str:
        """A function that returns a value of each kind."""
        rng = self.rng
        values = ", ".join(self.of(kind, depth) for kind in kinds) + ","
        lines = ["def function(v):"]
        style = rng.random()
        if style < 0.3:
            lines += [f"    w = {self.of(rng.choice(list(OF_KIND)), 2)}"]
        if style < 0.15:
            lines += [f"    if {self.of('bool', 2)}:", f"        return ({values})"]
            values = ", ".join(self.of(kind, depth - 1) for kind in kinds) + ","
        return "\n".join([*lines, f"    return ({values})", ""])


def compiled(source: str, name: str) -> Any:
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    scope: dict[str, Any] = {"math": math}
    exec(compile(source, name, "exec", dont_inherit=True), scope)
    return scope["function"]


def column(rng: random.Random, type: pa.DataType, rows: int, wild: bool) -> pa.Array:
    makers = {
        pa.int64(): lambda: rng.choice([rng.randint(-50, 50), rng.choice([0, 2**63 - 1, -(2**63), 2**53, -(2**40)])]),
        pa.int32(): lambda: rng.randint(-(2**31), 2**31 - 1) if rng.random() < 0.3 else rng.randint(-9, 9),
        pa.float64(): lambda: rng.choice([rng.uniform(-9, 9), rng.choice([0.0, -0.0, 2.5, math.nan, math.inf, 1e300])]),
        pa.float32(): lambda: rng.choice([0.5, -1.25, 3.0, 0.0, math.inf]),
        pa.bool_(): lambda: rng.random() < 0.5,
        pa.string(): lambda: rng.choice(["", "a", "b", "12", " 7 ", "ab", "ß", "日本", "1_0", "0x1", "-3", "x1a"]),
    }
    tame = {
        pa.int64(): lambda: rng.randint(1, 50),
        pa.int32(): lambda: rng.randint(1, 9),
        pa.float64(): lambda: rng.uniform(0.5, 9),
        pa.float32(): lambda: rng.choice([0.5, 1.25, 3.0]),
        pa.bool_(): lambda: rng.random() < 0.5,
        pa.string(): lambda: rng.choice(["1", "12", "345"]),
    }
    make = (makers if wild else tame)[type]
    nulls = 0.1 if wild and rng.random() < 0.3 else 0.0
    return pa.array([None if rng.random() < nulls else make() for _ in range(rows)], type)


def by_rows(function: Any, batch: Batch, out: Schema) -> list[pa.Array] | Exception:
    try:
        columns = from_rows([function(row) for row in to_rows(batch)], out, "a test")
    except Exception as error:
        return error
    return [each.to_arrow() for each in columns]


def bits(array: pa.Array) -> list[Any]:
    """Values that are equal when they are the same to the bit, NaN and -0.0 included."""
    return [repr(value) for value in array.to_pylist()]


@pytest.mark.parametrize("seed", range(24))
def test_a_translated_function_gives_what_python_gives(seed: int) -> None:
    answered = asked = in_one_pass = 0
    for number in range(FUNCTIONS_PER_TEST):
        rng = random.Random(f"translate {seed} {number}")
        form = rng.choice(["row", "tuple"])
        schema = Schema(list(FIELDS), list(FIELDS.values()), form)
        kinds = [rng.choice(list(OF_KIND)) for _ in range(rng.randint(1, 3))]
        source = Writer(rng, form).function(kinds, rng.randint(1, 4))
        function = compiled(source, f"<random {seed} {number}>")
        out = Schema([f"c{i}" for i in range(len(kinds))], [rng.choice(RESULTS[kind]) for kind in kinds],
                     rng.choice(["row", "tuple"]))  # fmt: skip
        try:
            translation = translate_record(function, "map", schema, out)
        except NotTranslated:
            continue
        for wild in (False, True, True):
            rows = rng.choice([1, 2, 20])
            data = [column(rng, type, rows, wild) for type in FIELDS.values()]
            batch = Batch.from_arrow(pa.record_batch(data, names=list(FIELDS)), schema)
            expected = by_rows(function, batch, out)
            asked += 1
            told = f"{source}\n{batch.to_arrow().to_pylist()}"
            stages = Stages(schema, [Stage(out, columns=translation.fields, ready=translation.ready)])
            passed = stages.run(batch)
            if passed is not None:
                in_one_pass += 1
                assert not isinstance(expected, Exception), f"{told}\na pass answered; Python raises {expected!r}"
                found = [each.to_arrow() for each in passed[1].columns]
                assert [each.type for each in found] == [each.type for each in expected], told
                assert list(map(bits, found)) == list(map(bits, expected)), told
            try:
                found = [each.to_arrow() for each in translation.columns(batch)]
            except Unequal:
                continue
            answered += 1
            assert not isinstance(expected, Exception), f"{told}\nanswered; Python raises {expected!r}"
            assert [each.type for each in found] == [each.type for each in expected], told
            assert list(map(bits, found)) == list(map(bits, expected)), told
    assert answered > asked * 0.3 > 10, f"{answered} of {asked} batches were answered"
    assert in_one_pass > 0


@pytest.mark.parametrize("seed", range(8))
def test_a_translated_condition_keeps_what_python_keeps(seed: int) -> None:
    answered = 0
    for number in range(FUNCTIONS_PER_TEST):
        rng = random.Random(f"condition {seed} {number}")
        schema = Schema(list(FIELDS), list(FIELDS.values()), "row")
        source = f"def function(v):\n    return {Writer(rng, 'row').of(rng.choice(list(OF_KIND)), 3)}\n"
        function = compiled(source, f"<condition {seed} {number}>")
        try:
            translation = translate_condition(function, "filter", schema)
        except NotTranslated:
            continue
        for wild in (False, True):
            data = [column(rng, type, 20, wild) for type in FIELDS.values()]
            batch = Batch.from_arrow(pa.record_batch(data, names=list(FIELDS)), schema)
            passed = Stages(schema, [Stage(schema, condition=translation.fields[0])]).run(batch)
            if passed is not None:
                kept = [row for row in to_rows(batch) if function(row)]
                assert list(map(repr, to_rows(passed[1]))) == list(map(repr, kept)), source
            try:
                found = translation.mask(batch).tolist()
            except Unequal:
                continue
            answered += 1
            assert found == [bool(function(row)) for row in to_rows(batch)], f"{source}\n{batch.to_arrow().to_pylist()}"
    assert answered > FUNCTIONS_PER_TEST // 2
