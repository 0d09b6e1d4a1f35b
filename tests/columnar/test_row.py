# SPDX-License-Identifier: Apache-2.0
"""Row and RowKind behave as PyFlink's."""

from __future__ import annotations

import copy
import pickle

import pytest

from flinkcore.columnar.row import Row, RowKind, make_rows


def test_text_forms_show_names_when_there_are_names():
    assert str(Row(name="Alice", age=11)) == "Row(name='Alice', age=11)"
    assert str(Row("Alice", None)) == "<Row('Alice', None)>"
    assert str(Row()) == "<Row()>"
    assert [str(kind) for kind in RowKind] == ["+I", "-U", "+U", "-D"]


def test_fields_are_read_and_written_by_position_and_name():
    row = Row(a=1, b=2)
    assert (row[0], row["b"], row.b, row[:1], list(row), len(row)) == (1, 2, 2, [1], [1, 2], 2)
    row["a"] = 5
    row[1] = 6
    assert row.as_dict() == {"a": 5, "b": 6}
    for wrong in (lambda: row.c, lambda: setattr(row, "a", 1), lambda: Row(1).a, lambda: row._missing):
        with pytest.raises(AttributeError):
            wrong()
    with pytest.raises(ValueError):
        row["c"]
    with pytest.raises(KeyError):
        Row(1)["c"]
    with pytest.raises(IndexError):
        row[2]
    with pytest.raises(ValueError):
        Row(1, a=2)


def test_equality_ignores_the_order_of_names_but_not_names_values_or_kind():
    assert Row(a=1, b=2) == Row(b=2, a=1)
    assert Row(a=1, b=2) != Row(a=2, b=1)
    assert Row(1, 2) != Row(a=1, b=2)
    assert Row(1, 2) != (1, 2)
    assert Row.of_kind(RowKind.DELETE, 1) != Row(1)
    assert Row.of_kind(RowKind.DELETE, a=1).get_row_kind() is RowKind.DELETE


def test_rows_that_are_equal_hash_alike():
    assert hash(Row(a=1, b=2)) == hash(Row(b=2, a=1))
    assert hash(Row(1, 2)) == hash(Row(a=1, b=2))
    assert {Row(a=1): "x"}[Row(a=1)] == "x"


def test_a_row_without_names_is_a_template():
    Person = Row("name", "age")
    assert Person("Bob", 12) == Row(name="Bob", age=12)
    assert "name" in Person
    with pytest.raises(ValueError, match="expected 2 values"):
        Person(1, 2, 3)


def test_names_are_there_only_when_they_were_given():
    assert not hasattr(Row(1), "_fields")
    row = Row(1, 2)
    row.set_field_names(["x", "y"])
    assert row._fields == ["x", "y"] and row.y == 2 and "x" in row and 2 not in row
    assert 2 in Row(1, 2)
    assert row.get_fields_by_names(["y", "x"]) == [2, 1]
    with pytest.raises(Exception, match="not exist"):
        row.get_fields_by_names(["z"])


def test_as_dict_can_go_deep():
    row = Row(key=1, value=[Row(name="a")], by_name={"k": Row(age=2)})
    assert row.as_dict(True) == {"key": 1, "value": [{"name": "a"}], "by_name": {"k": {"age": 2}}}
    with pytest.raises(TypeError):
        Row(1).as_dict()


def test_rows_survive_pickle_and_copy():
    row = Row.of_kind(RowKind.UPDATE_AFTER, a=1, b=[2])
    assert pickle.loads(pickle.dumps(row)) == row
    other = copy.copy(row)
    other["a"] = 9
    assert row.a == 1
    assert copy.deepcopy(row) == row


def test_rows_from_columns_carry_kinds_and_own_their_values():
    rows = make_rows(("a", "b"), ([1, 2], ["x", "y"]), 2, [0, 3])
    assert rows == [Row(a=1, b="x"), Row.of_kind(RowKind.DELETE, a=2, b="y")]
    rows[0]["a"] = 7
    assert rows[1].a == 2
    assert make_rows((), (), 2) == [Row(), Row()] or len(make_rows((), (), 2)) == 2
