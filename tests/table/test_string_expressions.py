# SPDX-License-Identifier: Apache-2.0
"""String expressions against what PyFlink 1.13.6 made of them (recorded in
string_expressions_1_13_6.json)."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from flinkcore.errors import FlinkcoreError
from flinkcore.table import EnvironmentSettings, TableEnvironment
from flinkcore.table.string_expressions import parse, parse_list

RECORDED = json.loads((Path(__file__).parent / "string_expressions_1_13_6.json").read_text())
ROWS = [("hello", 1, 2.5), ("world", 2, 3.5)]
#: What the recording and this library rightly differ in.
DIFFERENT = {
    "select currentTimestamp() as c": "the time of the recording",
    "select f1 as `weird name`": "the position is right, the expectation is worded otherwise",
}


def a_table(streaming=False):
    mode = EnvironmentSettings.in_streaming_mode() if streaming else EnvironmentSettings.in_batch_mode()
    return TableEnvironment.create(mode).from_elements(ROWS, ["f0", "f1", "f2"])


def result_of(form: str):
    operation, _, text = form.partition(" ")
    table = a_table()
    if operation == "group_by":
        keys, _, fields = text.partition(" select ")
        return table.group_by(keys).select(fields)
    if operation == "alias":
        return table.alias("a,b,c")
    if operation == "distinct":
        return table.select("f0").distinct()
    return getattr(table, operation)(text)


def value_text(value):
    return repr(value)


def rows_text(table):
    arrow = table.to_arrow()
    rows = zip(*(column.to_pylist() for column in arrow.columns))
    return sorted("<Row(" + ", ".join(map(value_text, row)) + ")>" for row in rows)


FORMS = [
    form
    for form in RECORDED
    if form.split()[0]
    in (
        "select",
        "group_by",
        "where",
        "filter",
        "alias",
        "drop_columns",
        "add_columns",
        "rename_columns",
        "distinct",
        "order_by",
    )
    and form not in DIFFERENT
]
SQL_NAMES = {
    "VARCHAR": "string",
    "CHAR": "string",
    "BIGINT": "int64",
    "INT": "int32",
    "DOUBLE": "double",
    "BOOLEAN": "bool",
}


@pytest.mark.parametrize("form", [form for form in FORMS if "error" not in RECORDED[form]])
def test_a_form_gives_the_recorded_table(form):
    recorded = RECORDED[form]
    table = result_of(form)
    assert table.get_schema().get_field_names() == recorded["names"]
    if "types" in recorded:
        assert [str(column.arrow) for column in table.get_resolved_schema().columns] == [
            SQL_NAMES[name] for name in recorded["types"]
        ]
    expected = sorted(recorded["rows"])
    rows = rows_text(table)
    if rows != expected and len(expected) > len(rows):  # an aggregate: the recording holds every update
        assert set(rows) <= set(expected)
    else:
        assert rows == expected


@pytest.mark.parametrize("form", [form for form in FORMS if "error" in RECORDED[form]])
def test_a_form_that_flink_refused_is_refused_for_the_same_reason(form):
    message = RECORDED[form]["error"][0]
    with pytest.raises(FlinkcoreError) as error:
        result_of(form)
    reason = re.search(
        r"Could not parse expression at column \d+: .*found|Undefined function: \w+|"
        r"Cannot resolve field \[.*\]|Ambiguous column name: \w+|Distinct modifier cannot be applied",
        message,
    )
    assert reason is not None and reason[0] in str(error.value)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a + b * c", "plus(a, times(b, c))"),
        ("(a + b) * -c", "times(plus(a, b), minusPrefix(c))"),
        ("a - b - c", "minus(minus(a, b), c)"),
        ("a > 1 || b < 2 && !c", "or(greaterThan(a, 1), and(lessThan(b, 2), not(c)))"),
        ("10.minutes", "600000"),
        ("ts.floor(HOUR)", "floor(ts, HOUR)"),
        ("a.extract(YEAR)", "extract(YEAR, a)"),
        ("x.trim()", "trim(true, true, ' ', x)"),
        ("'it''s'", "'it''s'"),
        ("x.cast(DECIMAL(10, 2))", "cast(x, DECIMAL(10, 2))"),
        ("w.start", "start(w)"),
        ("x.substring(1)", "substring(x, 1)"),
        ("CONCAT(a, 'b')", "concat(a, 'b')"),
        ("x.log(2)", "log(2, x)"),
    ],
)
def test_the_tree_of_a_text(text, tree):
    assert str(parse(text)) == tree


def test_a_list_may_have_commas_inside():
    assert [str(node) for node in parse_list("concat(a, b) as c, 'x, y'")] == [
        "as(concat(a, b), 'c')",
        "'x, y'",
    ]


@pytest.mark.parametrize(
    ("text", "column"), [("a +", 4), ("a ) b", 3), ("f(a", 4), ("a as", 5), ("a # b", 3)]
)
def test_an_error_says_where_and_what_was_expected(text, column):
    with pytest.raises(FlinkcoreError, match=rf"at column {column}: .* expected but .* found"):
        parse_list(text)
