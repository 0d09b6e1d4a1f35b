# SPDX-License-Identifier: Apache-2.0
"""Columns of Python objects that are known to be the values of a typed column."""

from __future__ import annotations

import pyarrow as pa
import pytest

from flinkcore._native.column import OBJECT, Column
from flinkcore.columnar.batch import Batch
from flinkcore.columnar.objects import encode_column
from flinkcore.columnar.rows import to_rows
from flinkcore.columnar.schema import Schema

VALUES = [["a", "", "ß\U0001f600", None], ["x", "y", "x", "z"], [1, -(2**63), 2**63 - 1, 0], [0.5, -0.0, 1e300, 2.0],
          [True, False, True, True]]  # fmt: skip


@pytest.mark.parametrize("values", VALUES)
def test_they_are_as_a_list_of_the_values_would_be(values):
    known = Column.of_known(Column.from_arrow(pa.array(values)))
    plain = Column.from_objects(values)
    assert known.kind == OBJECT and known.type is None and known.valid_mask() is None and len(known) == 4
    for change in (
        lambda column: column,
        lambda column: column.take([3, 0, 0]),
        lambda column: column.slice(1, 2),
        lambda column: column.slice(0, 0),
        lambda column: Column.concat([column, column.slice(2, 1)]),
        lambda column: Column.concat([column, plain]),
    ):
        assert repr(change(known).to_pylist()) == repr(change(plain).to_pylist())
        assert encode_column(change(known)).to_pylist() == encode_column(change(plain)).to_pylist()
    with pytest.raises(TypeError, match="Python objects"):
        known.to_arrow()


def test_they_stay_known_in_parts_and_together():
    known = Column.of_known(Column.from_arrow(pa.array(["a", "b"])))
    numbers = Column.of_known(Column.from_numpy([1]))
    assert known.take([0]).known is not None and known.slice(0, 1).known is not None
    assert Column.concat([known, known]).known.to_pylist() == ["a", "b", "a", "b"]
    assert Column.concat([known, numbers]).known is None
    assert Column.concat([known, numbers]).to_pylist() == ["a", "b", 1]


def test_a_second_consumer_shares_them():
    schema = Schema.of_objects(pa.string())
    batch = Batch(schema, (Column.of_known(Column.from_arrow(pa.array(["a"]))),), 1)
    assert batch.detached().column(0) is batch.column(0)
    assert to_rows(batch) == ["a"] and schema == Schema.of_objects()
