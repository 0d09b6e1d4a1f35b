# SPDX-License-Identifier: Apache-2.0
"""Type information turns values into PyFlink's internal forms and back."""

from __future__ import annotations

import datetime
import time

import pytest

from flinkcore.common import Instant, Row, RowKind, Types
from flinkcore.common.typeinfo import DateTypeInfo, TypeInformation, _from_java_type
from flinkcore.errors import UnsupportedOperationError

UTC = datetime.timezone.utc
MOMENT = datetime.datetime(2020, 1, 2, 3, 4, 5, 678901)


def seconds(moment: datetime.datetime) -> int:
    return int(time.mktime(moment.timetuple()))


@pytest.mark.parametrize(
    ("type_info", "value", "internal"),
    [
        (Types.SQL_DATE(), datetime.date(1970, 1, 11), 10),
        (Types.SQL_DATE(), datetime.date(1969, 12, 31), -1),
        (Types.SQL_TIMESTAMP(), MOMENT, seconds(MOMENT) * 10**6 + 678901),
        (Types.INSTANT(), Instant.of_epoch_milli(-1500), -1_500_000),
        (Types.STRING(), "a", "a"),
        (Types.LIST(Types.SQL_DATE()), [datetime.date(1970, 1, 1)], [datetime.date(1970, 1, 1)]),
    ],
)
def test_there_and_back(type_info: TypeInformation, value: object, internal: object) -> None:
    assert type_info.to_internal_type(value) == internal
    assert type_info.from_internal_type(internal) == value


def test_times_are_microseconds_of_the_day() -> None:
    type_info = Types.SQL_TIME()
    value = datetime.time(1, 2, 3, 4)
    assert type_info.from_internal_type(type_info.to_internal_type(value)) == value
    assert type_info.to_internal_type(datetime.time(1, 0, tzinfo=UTC)) == 3600 * 10**6
    zoned = MOMENT.replace(tzinfo=UTC)
    assert Types.SQL_TIMESTAMP().to_internal_type(zoned) == int(zoned.timestamp()) * 10**6 + 678901


@pytest.mark.parametrize(
    "type_info", [Types.SQL_DATE(), Types.SQL_TIME(), Types.SQL_TIMESTAMP(), Types.ROW([]), Types.TUPLE([])]
)
def test_none_stays_none(type_info: TypeInformation) -> None:
    assert type_info.need_conversion()
    assert type_info.to_internal_type(None) is None and type_info.from_internal_type(None) is None


class Point:
    def __init__(self) -> None:
        self.y, self.x = datetime.date(1970, 1, 2), 7


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (Row(7, datetime.date(1970, 1, 2)), 0),
        (Row.of_kind(RowKind.DELETE, y=datetime.date(1970, 1, 2), x=7), 3),
        ((7, datetime.date(1970, 1, 2)), 0),
        ({"x": 7, "y": datetime.date(1970, 1, 2)}, 0),
        (Point(), 0),
    ],
)
def test_a_row_is_its_kind_and_its_fields_in_the_order_of_the_type(value: object, kind: int) -> None:
    type_info = Types.ROW_NAMED(["x", "y"], [Types.INT(), Types.SQL_DATE()])
    assert type_info.to_internal_type(value) == (kind, 7, 1)


def test_a_tuple_is_its_fields() -> None:
    type_info = Types.TUPLE([Types.INT(), Types.SQL_DATE()])
    assert type_info.to_internal_type([7, datetime.date(1970, 1, 2)]) == (7, 1)
    assert type_info.from_internal_type(iter([7, 1])) == (7, datetime.date(1970, 1, 2))
    for wrong in (Types.TUPLE([Types.INT()]), Types.ROW([Types.INT()])):
        with pytest.raises(ValueError, match="Unexpected tuple 7"):
            wrong.to_internal_type(7)


def test_java_types_are_refused() -> None:
    assert DateTypeInfo.EPOCH_ORDINAL == 719163
    for ask in (Types.INT().get_java_type_info, RowKind.INSERT.to_j_row_kind, lambda: _from_java_type(None)):
        with pytest.raises(UnsupportedOperationError, match="without a JVM"):
            ask()
