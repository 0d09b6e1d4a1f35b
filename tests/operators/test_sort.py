# SPDX-License-Identifier: Apache-2.0
"""A sort gives its rows at the end of the input, and is no part of a snapshot while it holds any."""

from __future__ import annotations

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
