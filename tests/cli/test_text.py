# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from flinkcore.cli.text import count, duration, instant, short, size, table


@pytest.mark.parametrize("ms, text", [
    (0, "0 ms"), (999, "999 ms"), (1_000, "1 s"), (5_002, "5.002 s"), (-1_500, "-1.5 s"), (60_000, "1 min"),
    (125_400, "2 min 5 s"), (12_000_000, "3 h 20 min"), (86_400_000, "1 d"),
    (2**63 - 1, "106751991167 d 7 h"),
])
def test_a_duration_shows_its_two_largest_units(ms: int, text: str) -> None:
    assert duration(ms) == text


@pytest.mark.parametrize("n, text", [
    (0, "0"), (999, "999"), (999.6, "1k"), (1_000, "1k"), (12_345, "12.3k"), (999_600, "1M"),
    (4_560_000, "4.56M"), (7.891e9, "7.89G"),
])
def test_a_large_number_keeps_three_digits(n: float, text: str) -> None:
    assert short(n) == text


def test_a_point_in_time_is_utc_and_small_ones_stay_numbers() -> None:
    assert instant(0) == "0 ms"
    assert instant(-5_000) == "-5000 ms"
    assert instant(1_700_000_000_123) == "2023-11-14 22:13:20.123"
    assert instant(2**62) == f"{2**62} ms"


def test_one_is_singular() -> None:
    assert [count(n, "record") for n in (0, 1, 2_000)] == ["0 records", "1 record", "2,000 records"]


def test_bytes_are_short() -> None:
    assert [size(n) for n in (0, 999, 12_345, 4_560_000)] == ["0B", "999B", "12.3kB", "4.56MB"]


def test_a_table_is_as_wide_as_its_cells() -> None:
    assert table([("NAME", "ROWS"), ("clicks", "7"), ("", "")], indent=" ") == " NAME    ROWS\n clicks  7\n"
