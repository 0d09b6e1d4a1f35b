# SPDX-License-Identifier: Apache-2.0
"""ROW, ARRAY and MAP: making them, and reaching into them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flinkcore.expr import logical, signatures
from flinkcore.expr.logical import t
from flinkcore.expr.typed import Constant, Function, Rows, Typed, invoke, wrong_arguments
from flinkcore.expr.vector import Vector


def is_array(type: pa.DataType) -> bool:
    return t.is_list(type) or t.is_large_list(type) or t.is_fixed_size_list(type)


def row_signature(function: Function, args: tuple[Typed, ...]) -> Typed:
    """row(a, b): fields f0, f1, ... as Flink names them (EXPR$0 in its own text)."""
    fields = [pa.field(f"f{i}", arg.type) for i, arg in enumerate(args)]
    return invoke(function, args, pa.struct(fields), False)


def make_row(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
    arrays = [arg.to_column(rows.length).to_arrow() for arg in args]
    return Vector(
        type, arrow=pa.StructArray.from_arrays(arrays, fields=[type.field(i) for i in range(len(args))])
    )


def array_signature(function: Function, args: tuple[Typed, ...]) -> Typed:
    element = signatures.common(args)
    if element is None:
        raise wrong_arguments(function, args, "values of one type; cast one of them")
    return invoke(function, [signatures.cast_to(arg, element) for arg in args], pa.list_(element), False)


def make_array(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
    count = len(args)
    values = pa.concat_arrays([arg.to_column(rows.length).to_arrow() for arg in args])
    order = (np.arange(rows.length)[:, None] + np.arange(count)[None, :] * rows.length).ravel()
    offsets = pa.array(np.arange(rows.length + 1, dtype=np.int32) * count)
    return Vector(type, arrow=pa.ListArray.from_arrays(offsets, values.take(pa.array(order))).cast(type))


def get_signature(function: Function, args: tuple[Typed, ...]) -> Typed:
    """get(row, name or index from 0)."""
    value, key = args
    if not (t.is_struct(value.type) and isinstance(key, Constant)):
        raise wrong_arguments(function, args, "a ROW and the name or position of a field")
    names = [value.type.field(i).name for i in range(value.type.num_fields)]
    index = names.index(key.value) if key.value in names else key.value
    if not isinstance(index, int) or not 0 <= index < len(names):
        raise wrong_arguments(function, args, f"a field of the ROW: {', '.join(names)}")
    return invoke(function, (value, Constant(index, logical.INT32)), value.type.field(index).type)


def get_field(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
    index = int(args[1].values())
    return Vector.of_arrow(pc.struct_field(args[0].arrow(), [index]), type)


def at_signature(function: Function, args: tuple[Typed, ...]) -> Typed:
    value, key = args
    if is_array(value.type) and logical.is_integer(key.type):
        return invoke(function, args, value.type.value_type, True)
    if t.is_map(value.type):
        return invoke(
            function, (value, signatures.cast_to(key, value.type.key_type)), value.type.item_type, True
        )
    raise wrong_arguments(function, args, "an ARRAY and a position from 1, or a MAP and a key")


def element_at(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
    def look_up(container: Any, key: Any) -> Any:
        if container is None or key is None:
            return None
        if t.is_map(args[0].type):
            return dict(container).get(key)
        return container[key - 1] if 1 <= key <= len(container) else None

    values = map(look_up, args[0].python(rows.length), args[1].python(rows.length))
    return Vector(type, arrow=pa.array(list(values), type))


def cardinality(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
    values = [None if value is None else len(value) for value in args[0].python(rows.length)]
    return Vector(type, arrow=pa.array(values, type))
