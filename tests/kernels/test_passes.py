# SPDX-License-Identifier: Apache-2.0
"""Selection: the rows where a mask is 1, of columns in their own layouts, whatever the processor offers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from flinkcore._native.column import Column
from flinkcore._native.passes import BITS, I64, MASK, OPS, VALIDITY, VALUES, Pass, mask_rows, mask_words

LENGTHS = pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 31, 127, 128, 129, 136, 255, 256, 1000])
SHARES = pytest.mark.parametrize("share", [0, 0.02, 0.12, 0.5, 0.9, 1])
PLAIN = pytest.mark.parametrize("plain", [False, True])


def random_mask(n: int, share: float) -> np.ndarray:
    return (np.random.default_rng(n).random(n) < share).astype(np.uint8)


def random_values(n: int) -> np.ndarray:
    return np.random.default_rng(n + 1).integers(-(2**63), 2**63, n, endpoint=False)


def selected_naive(values, mask):
    return [value for value, taken in zip(values, mask) if taken]


@LENGTHS
@SHARES
def test_rows_are_the_positions_of_a_mask(n, share):
    mask = random_mask(n, share)
    assert mask_rows(mask).tolist() == selected_naive(range(n), mask)


@PLAIN
@LENGTHS
@SHARES
def test_words_are_the_values_that_a_mask_selects(n, share, plain):
    mask, values = random_mask(n, share), random_values(n)
    assert mask_words(values, mask, int(mask.sum()), plain).tolist() == selected_naive(values.tolist(), mask)


@PLAIN
def test_every_eight_rows_are_selected_as_they_are(plain):
    """A whole block of each pattern, so that no table has a wrong entry."""
    values = random_values(128)
    for pattern in range(256):
        mask = np.array([pattern >> (i % 8) & 1 for i in range(128)], np.uint8)
        expected = selected_naive(values.tolist(), mask)
        assert mask_words(values, mask, len(expected), plain).tolist() == expected


@pytest.mark.parametrize("offset", [0, 3, 8, 13])
@LENGTHS
@SHARES
def test_a_pass_selects_values_validity_and_bits(n, share, offset):
    """Of columns whose bitmaps begin anywhere."""
    mask, chosen = random_mask(n, share), random_mask(n + offset, 0.4)
    values = [int(value) if bit else None for value, bit in zip(random_values(n + offset), chosen)]
    columns = [
        Column.from_arrow(pa.array(values, pa.int64())[offset:]),
        Column.from_arrow(pa.array(chosen.astype(bool))[offset:]),
    ]
    program = Pass(
        [(OPS["AND_MASK"], 3, 1, 2, -1)],
        [(0, 0, VALUES), (1, 0, VALIDITY), (2, 1, BITS)],
        [],
        [(0, I64), (1, MASK), (2, MASK), (3, MASK)],
        registers=4,
    )
    found = program.run(columns, n, mask)
    assert found is not None
    expected = selected_naive(values[offset:], mask)
    valid = [value is not None for value in expected]
    assert [value if bit else None for value, bit in zip(found[0].tolist(), found[1])] == expected
    assert [found[1].tolist(), found[2].tolist(), found[3].tolist()] == [valid] * 3


@pytest.mark.parametrize("offset", [0, 3, 8, 13])
@LENGTHS
def test_a_pass_without_a_mask_reads_every_bit(n, offset):
    bits = random_mask(n + offset, 0.4)
    column = Column.from_arrow(pa.array(bits.astype(bool))[offset:])
    program = Pass([(OPS["NOT_MASK"], 1, 0, -1, -1)], [(0, 0, BITS)], [], [(1, MASK)], registers=2)
    (found,) = program.run([column], n)
    assert found.tolist() == [1 - bit for bit in bits[offset:].tolist()]
