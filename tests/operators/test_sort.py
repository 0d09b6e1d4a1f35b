# SPDX-License-Identifier: Apache-2.0
"""A sort gives its rows at the end of the input, and is no part of a snapshot while it holds any."""

from __future__ import annotations

import math

import pyarrow as pa
import pytest

from flinkcore.columnar.schema import Schema
from flinkcore.errors import UnsupportedOperationError
from flinkcore.expr.nodes import FieldReference
from flinkcore.operators.sort import Sort
from flinkcore.testing.harness import harness

SCHEMA = Schema(("n",), (pa.int64(),), "tuple")


def test_a_snapshot_fails_while_rows_are_held():
    sort = harness(Sort(SCHEMA, [(FieldReference("n"), True)]))
    sort.snapshot()
    sort.batch([(3,), (2,), (1,)])
    with pytest.raises(UnsupportedOperationError, match="holds all rows until the input ends"):
        sort.snapshot()
    sort.end()
    assert sort.output() == [(1,), (2,), (3,)]
    sort.snapshot()


FLOATS = Schema(("n", "d"), (pa.int64(), pa.float64()), "row")
ASCENDING = [None, None, -math.inf, -0.0, -0.0, 0.0, 0.0, 2.5, math.inf, math.nan, math.nan]


@pytest.mark.parametrize("ascending", [True, False])
def test_floats_are_in_the_order_of_java_and_equal_ones_in_their_own(ascending):
    sort = harness(Sort(FLOATS, [(FieldReference("d"), ascending)]))
    values = [2.5, None, 0.0, math.nan, -0.0, math.inf, 0.0, -math.inf, -0.0, -math.nan, None]
    sort.batch(list(enumerate(values))).end()
    found = [(d, n) for n, d in sort.output()]
    assert list(map(repr, [d for d, _ in found])) == list(map(repr, ASCENDING if ascending else ASCENDING[::-1]))
    for d in map(repr, ASCENDING):
        places = [n for other, n in found if repr(other) == d]
        assert places == sorted(places)
