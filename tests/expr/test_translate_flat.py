# SPDX-License-Identifier: Apache-2.0
"""Functions that give several records, on columns: what they give is what Python gives."""

from __future__ import annotations

import linecache
import random
from typing import Any

import pyarrow as pa
import pytest

from flinkcore.columnar.batch import Batch
from flinkcore.columnar.rows import from_rows, to_rows
from flinkcore.columnar.schema import Schema
from flinkcore.errors import UserFunctionError
from flinkcore.expr.translate import NotTranslated, Unequal
from flinkcore.expr.translate.flat import translate_flat
from flinkcore.operators.process import FlatMapRows
from flinkcore.testing.harness import harness

LINES = Schema(["line"], [pa.string()], "value")
ROWS = Schema(["id", "line"], [pa.int64(), pa.string()], "tuple")
WORDS = Schema(["word"], [pa.string()], "value")
PAIRS = Schema(["word", "n"], [pa.string(), pa.int64()], "tuple")

LETTERS = ["a", "bc", "the", "d", " ", "  ", "\t", "\n", ",", ", ", "é", "ß", "\u00a0", "\u2003", "\x1c", "\x1f", "1"]
SOURCES = {
    "yields each": ("def f(x):\n    for w in x.split():\n        yield w\n", LINES, WORDS),
    "yields from": ("def f(x):\n    yield from x.split()\n", LINES, WORDS),
    "a list": ("f = lambda x: x.split()\n", LINES, WORDS),
    "a separator": ("f = lambda x: x.split(',')\n", LINES, WORDS),
    "a long separator": ("def f(x):\n    return x.split(', ')\n", LINES, WORDS),
    "no separator": ("def f(x):\n    return x.split(None)\n", LINES, WORDS),
    "pairs": ("def f(x):\n    for w in x.split():\n        yield w, 1\n", LINES, PAIRS),
    "a comprehension": ("f = lambda x: [(w, len(w)) for w in x.split(' ') if w]\n", LINES, PAIRS),
    "a generator": ("f = lambda r: ((w + 'x', r[0]) for w in r[1].split() if w != 'a' if r[0] > 2)\n", ROWS, PAIRS),
    "before and within": (
        "def f(r):\n    'doc'\n    n, text = r[0] * 2, r[1]\n    line = text + ' end'\n    for w in line.split():\n"
        "        if not w:\n            continue\n        m = n + len(w)\n        if m > 5:\n"
        "            yield w, m if w == 'the' else -m\n",
        ROWS, PAIRS,
    ),
    "what only some can": (
        "def f(r):\n    for w in r[1].split(','):\n        if w == '1':\n            yield w, int(w)\n", ROWS, PAIRS
    ),
}  # fmt: skip
SOURCES["before and within"] = (
    SOURCES["before and within"][0].replace("    n, text = r[0] * 2, r[1]\n", "    n = r[0] * 2\n    text = r[1]\n"),
    ROWS, PAIRS,
)  # fmt: skip


def compiled(source: str, name: str) -> Any:
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    scope: dict[str, Any] = {}
    exec(compile(source, name, "exec", dont_inherit=True), scope)
    return scope["f"]


def batch_of(rng: random.Random, schema: Schema, count: int) -> Batch:
    lines = ["".join(rng.choices(LETTERS, k=rng.randint(0, 9))) for _ in range(count)]
    rows = lines if schema is LINES else [(rng.randint(0, 5), line) for line in lines]
    return Batch(schema, from_rows(rows, schema, "a test"), count)


@pytest.mark.parametrize("name", SOURCES)
def test_a_loop_over_parts_gives_what_python_gives(name: str) -> None:
    source, schema, schema_out = SOURCES[name]
    function = compiled(source, f"<flat {name}>")
    translation = translate_flat(function, "flat_map", schema, schema_out)
    rng = random.Random(7)
    for count in (1, 2, 50, 400):
        for _ in range(10):
            batch = batch_of(rng, schema, count)
            columns, parents = translation.records(batch)
            expected = [(i, each) for i, row in enumerate(to_rows(batch)) for each in function(row)]
            found = to_rows(Batch(schema_out, columns, len(parents)))
            assert list(zip(parents.rows.tolist(), found)) == expected


def test_a_slice_of_a_batch_is_split_by_itself() -> None:
    translation = translate_flat(compiled(*("f = lambda x: x.split()\n", "<slice>")), "flat_map", LINES, WORDS)
    batch = Batch(LINES, from_rows(["a b", "c", " d e ", "", "f"], LINES, "a test"), 5)
    columns, parents = translation.records(batch.slice(1, 3))
    assert (columns[0].to_pylist(), parents.rows.tolist()) == (["c", "d", "e"], [0, 1, 1])
    columns, parents = translation.records(batch.slice(3, 1))
    assert len(parents) == 0


def test_whatever_python_takes_for_a_space_is_one() -> None:
    letters = [chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
    translation = translate_flat(compiled("f = lambda x: x.split()\n", "<spaces>"), "flat_map", LINES, WORDS)
    for some in (letters[:128], letters):
        lines = [f"a{letter}b" for letter in some]
        columns, parents = translation.records(Batch(LINES, from_rows(lines, LINES, "a test"), len(lines)))
        assert columns[0].to_pylist() == [word for line in lines for word in line.split()]
        assert len(parents) == len(columns[0])


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def f(x):\n    for w in x.split():\n        yield w\n        yield w\n", "`yield w` in a loop"),
        ("def f(x):\n    for w in x.split():\n        pass\n", "does not end with a yield"),
        ("def f(x):\n    for w in x:\n        yield w\n", "a loop over `x`, which is no text.split()"),
        ("def f(x):\n    for w in x.split(''):\n        yield w\n", "which is no text.split()"),
        ("f = lambda x: x.split('\\ud800')\n", "which is no text.split()"),
        ("def f(x):\n    for w in x.split(',', 1):\n        yield w\n", "which is no text.split()"),
        ("def f(x):\n    for a, b in x.split():\n        yield a\n", "for a, b in"),
        ("def f(x):\n    for w in x.split():\n        yield w\n    yield 'end'\n", "for w in x.split()"),
        ("def f(x):\n    for w in x.split():\n        yield w.title()\n", "title"),
        ("f = lambda x: [v for w in x.split() for v in w]\n", "which is no text.split()"),
        ("f = lambda x: None\n", "which is no text.split()"),
        ("def f(x):\n    x\n", "`x`"),
    ],
)
def test_what_is_not_understood_is_said(source: str, reason: str) -> None:
    with pytest.raises(NotTranslated) as caught:
        translate_flat(compiled(source, f"<no {source}>"), "flat_map", LINES, WORDS)
    assert reason in str(caught.value)


def test_what_columns_cannot_do_is_left_to_python() -> None:
    function = compiled("f = lambda x: [(w, int(w)) for w in x.split()]\n", "<int>")
    translation = translate_flat(function, "flat_map", LINES, PAIRS)
    with pytest.raises(Unequal):
        translation.records(Batch(LINES, from_rows(["1 2", "x"], LINES, "a test"), 2))
    op = harness(FlatMapRows(LINES, function, PAIRS))
    op.batch([f"{i} {2 * i}" for i in range(20)], range(20))
    assert op.timestamped()[-2:] == [(("19", 19), 19), (("38", 38), 19)] and not op.metrics.counts
    op.batch([" "] * 10, range(10))
    assert op.output() == []
    with pytest.raises(UserFunctionError, match="invalid literal") as caught:
        op.batch([*"12345678", "9 x", "7"], range(10))
    assert (caught.value.position, caught.value.record) == (8, "9 x")
    assert op.metrics.counts == {"rows_by_python": 10}


def test_explain_says_that_it_runs_on_columns() -> None:
    described = FlatMapRows(LINES, compiled("f = lambda x: x.split()\n", "<explained>"), WORDS).describe()
    assert described.native and described.detail == "lambda x: x.split(), as columns"
