# SPDX-License-Identifier: Apache-2.0
"""Plain data to JSON and back: exact, unambiguous, and closed to what is not declared."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import json
import math
import random
import zoneinfo
from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
import pytest

from flinkcore.connectors import plain
from flinkcore.errors import SchemaError, StateFormatError


@dataclass(frozen=True)
class Place:
    name: str
    at: tuple = ()


@dataclass(frozen=True)
class Route:
    places: list
    length: float = 0.0
    seen: int = field(default=0, init=False)


TYPES = (Place, Route)
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")

VALUES = [
    None, True, False, 0, -1, 2**63 - 1, -(2**63), 2**63, -(2**63) - 1, 10**5000, -(10**5000),
    0.0, -0.0, 1.0, 0.1, 5e-324, 1.7976931348623157e308, math.inf, -math.inf,
    "", "text", "é✓\0\n", "lone \udcff", '{"tuple": []}', b"", b"\x00\xff", (), (1,), ((),), [], [[]], [()],
    {}, {"a": 1}, {1: "a", "1": "b", None: "c", (1, 2): "d", False: "e"}, {"tuple": [1]}, {"dataclass": ["x", {}]},
    set(), {1, "a"}, frozenset({(1, 2)}),
    Decimal("1.10"), Decimal("-0"), Decimal("1E+400"), Decimal("Infinity"),
    dt.date(1, 1, 1), dt.time(1, 2, 3, 4), dt.time(1, fold=1), dt.time(1, tzinfo=dt.timezone.utc),
    dt.datetime(2024, 2, 29, 1, 2, 3, 4), dt.datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN, fold=1),
    dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=-3, seconds=1))),
    dt.timedelta(-1, 5, 7), dt.timedelta.max,
    Place("a"), Place("b", (Place("c"), 1)), Route([Place("a")], math.inf), [Place("a"), {"p": Place("b")}],
]  # fmt: skip


def there_and_back(value):
    return plain.decode(json.loads(json.dumps(plain.encode(value, TYPES))), TYPES)


def same(left, right):
    """Equal, of equal types all the way down."""
    assert type(left) is type(right)
    if isinstance(left, float):
        assert left.hex() == right.hex()
    elif isinstance(left, (list, tuple)):
        assert len(left) == len(right)
        for one, other in zip(left, right):
            same(one, other)
    elif isinstance(left, dict):
        same(list(left.items()), list(right.items()))
    elif isinstance(left, (dt.datetime, dt.time)):
        assert left == right and left.fold == right.fold and str(left.tzinfo) == str(right.tzinfo)
    elif dataclasses.is_dataclass(left):
        same(vars(left), vars(right))
    else:
        assert (
            left == right and str(left)[:50] == str(right)[:50]
            if not isinstance(left, int)
            else left == right
        )


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_plain_data_comes_back_as_it_was(value):
    same(there_and_back(value), value)
    same(there_and_back({"deep": [(value,)]}), {"deep": [(value,)]})


def test_not_a_number_comes_back_as_such():
    assert math.isnan(there_and_back(math.nan)) and there_and_back(Decimal("NaN")).is_nan()


@pytest.mark.parametrize("seed", range(30))
def test_random_values_come_back_and_differ_when_they_differ(seed):
    rng = random.Random(seed)
    hashable = [
        value for value in VALUES if isinstance(value, (str, int, float, tuple, bytes, frozenset, Place))
    ]

    def make(depth):
        kind = rng.randrange(6) if depth else 0
        if kind == 1:
            return [make(depth - 1) for _ in range(rng.randrange(4))]
        if kind == 2:
            return tuple(make(depth - 1) for _ in range(rng.randrange(4)))
        if kind == 3:
            return {rng.choice(hashable): make(depth - 1) for _ in range(rng.randrange(4))}
        if kind == 4:
            return Place(rng.choice("abc"), tuple(make(depth - 1) for _ in range(rng.randrange(3))))
        return rng.choice(VALUES)

    values = [make(4) for _ in range(20)]
    same([there_and_back(value) for value in values], values)


@pytest.mark.parametrize(
    "value, expected",
    [
        (np.int32(7), 7), (np.uint64(2**64 - 1), 2**64 - 1), (np.float64(-0.0), -0.0), (np.float32(0.5), 0.5),
        (np.bool_(True), True), (np.str_("a"), "a"), (np.bytes_(b"a"), b"a"),
        (np.datetime64("2024-01-01T00:00:00.000001"), dt.datetime(2024, 1, 1, 0, 0, 0, 1)),
        (np.timedelta64(5, "s"), dt.timedelta(seconds=5)),
    ],
)  # fmt: skip
def test_numpy_s_scalars_become_python_s(value, expected):
    same(there_and_back([value]), [expected])


class Colour(enum.IntEnum):
    RED = 1


@dataclass
class Changing:
    n: int


@dataclass(frozen=True)
class Undeclared:
    n: int


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    "value, message",
    [
        (object(), "object is no plain data"),
        (Colour.RED, "Colour is no plain data"),
        (Point(1, 2), "Point is no plain data"),
        (OrderedDict(), "OrderedDict is no plain data"),
        (len, "builtin_function_or_method is no plain data"),
        (Place, "type is no plain data"),
        (bytearray(b"a"), "bytearray is no plain data"),
        (np.zeros(2), "ndarray is no plain data"),
        (np.datetime64("2024-01-01", "ns"), r"datetime64\[ns\] has no Python value that is the same"),
        (Changing(1), r"Changing is a dataclass that can change .*frozen=True"),
        (
            Undeclared(1),
            r"Undeclared is not declared.*name Undeclared in the `committable_types` of its Sink",
        ),
    ],
)
def test_what_is_not_plain_is_refused_with_its_place(value, message):
    with pytest.raises(SchemaError, match=message):
        plain.encode(value, TYPES)
    with pytest.raises(SchemaError, match=f"in k / 1: .*{message}" if message[0] != "d" else "in k / 1: "):
        plain.encode({"k": [0, value]}, TYPES)


def test_a_value_that_contains_itself_is_refused():
    loop = []
    loop.append(loop)
    with pytest.raises(SchemaError, match="nested deeper than 100, or contains itself"):
        plain.encode(loop)
    deep = []
    for _ in range(99):
        deep = [deep]
    assert there_and_back(deep) == deep


def test_a_dataclass_that_is_not_declared_is_not_made():
    stored = plain.encode(Undeclared(1))
    with pytest.raises(
        StateFormatError, match=r"the class .*:Undeclared, which is not declared here.*state_types"
    ):
        plain.decode(stored, TYPES)
    assert plain.decode(stored, [Undeclared]) == Undeclared(1)


def test_a_field_that_was_added_with_a_default_evolves_and_others_do_not():
    name = plain.class_name(Place)
    assert plain.decode({"dataclass": [name, {"name": "a"}]}, TYPES) == Place("a", ())
    with pytest.raises(
        StateFormatError, match=r"missing 1 required .* 'name'; a field that was added needs a default"
    ):
        plain.decode({"dataclass": [name, {"at": {"tuple": []}}]}, TYPES)
    with pytest.raises(
        StateFormatError, match=r"'gone' of .*Place, which the class does not have; it has at"
    ):
        plain.decode({"dataclass": [name, {"name": "a", "gone": 1}]}, TYPES)


NAME = plain.class_name(Place)


@pytest.mark.parametrize(
    "stored",
    [
        {}, {"tuple": [], "list": []}, {"tuple": 1}, {"tuple": {"a": 1}}, {"unknown": 1}, {"dict": [[1]]},
        {"dict": [[[], 1]]}, {"dict": [1]}, {"set": [[]]}, {"bytes": "?"}, {"bytes": 1}, {"int": "x"}, {"int": 1},
        {"float": "1"}, {"float": []}, {"text": "zz"}, {"text": None}, {"Decimal": "x"}, {"Decimal": 1},
        {"date": "x"}, {"date": 1}, {"datetime": "x"}, {"datetime": ["2024-01-01", None]},
        {"datetime": ["2024-01-01", "No/Where", 0]}, {"datetime": ["2024-01-01", "../../etc/passwd", 0]},
        {"datetime": ["2024-01-01", "Europe", 0]}, {"datetime": ["2024-01-01", None, 7]}, {"time": ["x", None, 0]},
        {"timedelta": 1}, {"timedelta": ["a"]}, {"timedelta": [10**12, 0, 0]},
        {"dataclass": []}, {"dataclass": [NAME]}, {"dataclass": [NAME, 1]}, {"dataclass": [1, {}]},
        {"dataclass": ["os:system", {"command": "true"}]}, {"dataclass": [NAME, {"name": {"x": 1}}]}, object(),
    ],
    ids=str,
)  # fmt: skip
def test_crafted_data_is_refused_and_runs_nothing(stored):
    with pytest.raises(StateFormatError):
        plain.decode(stored, TYPES)
    with pytest.raises(StateFormatError):
        plain.decode([{"tuple": [stored]}], TYPES)


def test_crafted_depth_is_refused():
    deep = []
    for _ in range(500):
        deep = {"tuple": [deep]}
    with pytest.raises(StateFormatError, match="nested deeper"):
        plain.decode(deep)
