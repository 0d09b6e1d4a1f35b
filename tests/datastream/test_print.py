# SPDX-License-Identifier: Apache-2.0
"""print: the text that PyFlink prints, by type (recorded from apache-flink 2.3.0)."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pytest

from flinkcore.common import Instant, Row, Types
from flinkcore.errors import JobExecutionError
from tests.datastream.jobs import environment, printed

ROW = Types.ROW([Types.STRING(), Types.INT(), Types.BOOLEAN(), Types.FLOAT()])
NESTED = Types.ROW_NAMED(["a", "b"], [Types.INT(), Types.ROW_NAMED(["c"], [Types.STRING()])])


@pytest.mark.parametrize(
    ("value", "type_info", "text"),
    [
        (("hi", 0), Types.TUPLE([Types.STRING(), Types.INT()]), "(hi,0)"),
        (Row("hi", None, True, 0.1), ROW, "+I[hi,None,True,0.10000000149011612]"),
        (Row(a=1, b=Row(c="x")), NESTED, "+I[1,Row(c='x')]"),
        (1e10, Types.DOUBLE(), "1.0E10"),
        (True, Types.BOOLEAN(), "true"),
        (0.1, Types.FLOAT(), "0.1"),
        (-128, Types.BYTE(), "-128"),
        (2**62, Types.LONG(), "4611686018427387904"),
        (Decimal("1.25"), Types.BIG_DEC(), "1.25"),
        ("text", Types.STRING(), "text"),
        (datetime.date(2020, 1, 1), Types.SQL_DATE(), "2020-01-01"),
        (datetime.time(1, 2, 3), Types.SQL_TIME(), "01:02:03"),
        (datetime.datetime(2020, 1, 2, 3, 4, 5, 60000), Types.SQL_TIMESTAMP(), "2020-01-02 03:04:05.06"),
        (Instant(5, 0), Types.INSTANT(), "1970-01-01T00:00:05Z"),
        ({"k": 1}, Types.MAP(Types.STRING(), Types.INT()), "{k=1}"),
        ([1, 2], Types.LIST(Types.INT()), "[1, 2]"),
        (b"ab", Types.PRIMITIVE_ARRAY(Types.BYTE()), "[97, 98]"),
        (["a"], Types.BASIC_ARRAY(Types.STRING()), "[a]"),
        (("Alice", 1), None, "('Alice', 1)"),
        (Row(a=1, b="1"), None, "Row(a=1, b='1')"),
        (Row(1, "1"), None, "<Row(1, '1')>"),
        (True, None, "True"),
        (1e10, None, "10000000000.0"),
    ],
)
def test_text(value, type_info, text):
    env = environment()
    env.from_collection([value], type_info).print()
    assert printed(env) == [text]


def test_an_identifier_and_the_subtask_stand_before_the_record():
    env = environment()
    env.from_collection([1]).print("id")
    assert printed(env) == ["id> 1"]
    env = environment(2)
    env.from_collection([1, 2]).print("id")
    env.from_collection([3, 3]).print()
    assert sorted(printed(env)) == ["1> 3", "2> 3", "id:1> 1", "id:2> 2"]


def test_untyped_bytes_cannot_be_printed():
    env = environment()
    env.from_collection([b"ab"]).print()
    with pytest.raises(JobExecutionError, match="an untyped stream of bytes cannot be printed"):
        printed(env)
