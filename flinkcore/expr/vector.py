# SPDX-License-Identifier: Apache-2.0
"""Vector: a value during evaluation, as NumPy where that is fast and as Arrow where that is rich.

Columns pack bits and own buffers for kernels; between two steps of an expression neither is wanted. A vector
holds whichever form the last step made and makes the other on demand. A constant is a vector without a
length: NumPy and pyarrow.compute broadcast it.
"""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from flinkcore._native.column import BOOL, F64, I64, Column, physical_kind
from flinkcore.expr import logical

_EPOCH = datetime.datetime(1970, 1, 1)
_NUMBERS = {(int, pa.int64()), (float, pa.float64()), (bool, pa.bool_())}


def _scalar(value: object, type: pa.DataType) -> pa.Scalar:
    """As pa.scalar, which imports pandas where it is installed: 0.1 s that most programs need not wait for."""
    if value.__class__ is str and type == pa.string():
        return Column.from_texts([value], type).to_arrow()[0]
    if (value.__class__, type) in _NUMBERS:
        return Column.from_numpy(np.array([value]), type).to_arrow()[0]
    return pa.scalar(value, type)


class Vector:
    """Values of one logical type: n of them, or one constant for all rows.

    Physical NumPy values are int64, float64 or bool as in Column; validity is None when all are present.
    bounds : of integers, where they are known: no value is less than the first or greater than the second
    """

    __slots__ = ("_arrow", "_valid", "_values", "bounds", "constant", "type")

    def __init__(
        self,
        type: pa.DataType,
        values: Any = None,
        valid: np.ndarray | None = None,
        arrow: Any = None,
        constant: bool = False,
        bounds: tuple[int, int] | None = None,
    ) -> None:
        self.type = type
        self.bounds = bounds
        self.constant = constant
        self._values = values
        self._valid = valid
        self._arrow = arrow

    @staticmethod
    def of_column(column: Column) -> Vector:
        if column.kind in (I64, F64, BOOL):
            return Vector(column.type, column.to_numpy(), column.valid_mask())
        return Vector(column.type, arrow=column.to_arrow())

    @staticmethod
    def of_arrow(array: pa.Array | pa.ChunkedArray | pa.Scalar, type: pa.DataType) -> Vector:
        """From Arrow, brought to `type` where compute functions answer in a neighbouring one."""
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        if array.type != type:
            array = array.cast(type, safe=False)
        return Vector(type, arrow=array, constant=isinstance(array, pa.Scalar))

    @staticmethod
    def of_constant(value: object, type: pa.DataType) -> Vector:
        """One Python value (of the logical type; intervals as integers) for all rows."""
        if type == logical.MONTHS:
            return Vector(type, None if value is None else np.int64(str(value)), constant=True)
        if isinstance(value, int) and logical.t.is_duration(type):
            value = datetime.timedelta(milliseconds=value)
        return Vector(type, arrow=_scalar(value, type), constant=True)

    @property
    def native(self) -> bool:
        """Whether NumPy can hold the values."""
        return self.type == logical.MONTHS or physical_kind(self.type) in (I64, F64, BOOL)

    @property
    def null_constant(self) -> bool:
        if not self.constant:
            return False
        return self._values is None if self._arrow is None else not self._arrow.is_valid

    def _convert(self) -> None:
        array = pa.repeat(self._arrow, 1) if self.constant else self._arrow
        column = Column.from_arrow(array)
        values = column.to_numpy()
        if self.constant:
            self._values = values[0] if self._arrow.is_valid else None
        else:
            self._values, self._valid = values, column.valid_mask()

    def values(self) -> Any:
        """Physical values, n or a NumPy scalar; null places hold anything. A null constant gives 0."""
        if self._values is None and self._arrow is not None:
            self._convert()
        if self._values is None:
            return np.float64(0) if logical.is_float(self.type) else np.int64(0)
        return self._values

    def valid(self) -> np.ndarray | None:
        """bool[n], True where present; None when all are, and for constants."""
        if self._values is None and self._arrow is not None and not self.constant:
            if self.native:
                self._convert()
            else:
                return None if self._arrow.null_count == 0 else np.asarray(self._arrow.is_valid())
        return self._valid

    def arrow(self) -> Any:
        """A pyarrow Array, or a Scalar for a constant."""
        if self._arrow is None:
            if self.constant:
                column = Column.from_numpy(np.asarray([self._values]), self.type)
                self._arrow = column.to_arrow()[0] if self._values is not None else pa.scalar(None, self.type)
            else:
                self._arrow = Column.from_numpy(self._values, self.type, self._valid).to_arrow()
        return self._arrow

    def python(self, length: int) -> list[Any]:
        """Python values, one per row."""
        if self.type == logical.MONTHS and self.constant:
            return [None if self._values is None else int(self._values)] * length
        return [self.arrow().as_py()] * length if self.constant else self.arrow().to_pylist()

    def to_column(self, length: int) -> Column:
        """As a column of `length` rows."""
        if self.constant:
            if self._arrow is None or (
                logical.is_numeric(self.type) and self.native and not self.null_constant
            ):
                return Column.from_numpy(np.full(length, self.values()), self.type)
            return Column.from_arrow(pa.repeat(self.arrow(), length))
        if self._values is not None:
            return Column.from_numpy(self._values, self.type, self._valid)
        return Column.from_arrow(self._arrow)

    def to_mask(self, length: int) -> np.ndarray:
        """bool[n], True only where a BOOLEAN is TRUE, as a filter asks."""
        if self.constant:
            return np.full(length, not self.null_constant and bool(self.values()))
        values, valid = self.values(), self.valid()
        return values if valid is None else values & valid

    def take(self, rows: np.ndarray) -> Vector:
        """The values at these positions."""
        if self.constant:
            return self
        if self._values is not None:
            return Vector(self.type, self._values[rows], None if self._valid is None else self._valid[rows])
        return Vector(self.type, arrow=self._arrow.take(pa.array(rows)))


def both_valid(vectors: tuple[Vector, ...]) -> np.ndarray | None:
    """Where all arguments are present; None when everywhere."""
    result = None
    for vector in vectors:
        valid = None if vector.constant else vector.valid()
        if valid is not None:
            result = valid if result is None else result & valid
    return result
