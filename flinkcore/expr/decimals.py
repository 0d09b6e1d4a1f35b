# SPDX-License-Identifier: Apache-2.0
"""Decimals in kernels that know only 64 bits and bytes: exact sums by limbs, order by bytes.

A decimal's 128-bit scaled integer is cut into 32-bit limbs, the top one signed. Sums of limbs in 64 bits are
exact for 2**31 rows, can be merged and retracted, and give the exact sum back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Protocol

import numpy as np
import pyarrow as pa

from flinkcore._native.column import BYTES, I64, Column, physical_kind

LIMB_BITS = 32
_EXACT = Context(prec=100, rounding=ROUND_HALF_UP)


class Encoding(Protocol):
    """How a decimal column becomes one that a kernel takes."""

    @property
    def kind(self) -> int: ...

    def encode(self, column: Column) -> Column: ...


@dataclass(frozen=True)
class Limb:
    """Limb `index` of `count`, from the lowest."""

    index: int
    count: int

    @property
    def kind(self) -> int:
        return I64

    def encode(self, column: Column) -> Column:
        if column.kind == I64:
            values = column.to_numpy()
            limb = values >> LIMB_BITS if self.index else values & 0xFFFFFFFF
        else:
            words = _words(column.to_arrow())
            if self.index == self.count - 1:
                limb = words.view(np.int32).reshape(-1, 4)[:, self.index].astype(np.int64)
            else:
                limb = words.view(np.uint32).reshape(-1, 4)[:, self.index].astype(np.int64)
        return Column.from_numpy(limb, pa.int64(), column.valid_mask())


def limbs_of(type: pa.DataType) -> list[Limb]:
    count = 2 if physical_kind(type) == I64 else 4
    return [Limb(i, count) for i in range(count)]


def _words(array: pa.Array) -> np.ndarray:
    """int64[n, 2], the lower word first."""
    n = len(array)
    if n == 0:
        return np.empty((0, 2), np.int64)
    return np.frombuffer(array.buffers()[1], np.int64)[2 * array.offset : 2 * (array.offset + n)].reshape(
        -1, 2
    )


def _totals(limbs: Sequence[Column]) -> list[int | None]:
    columns = [limb.to_numpy().tolist() for limb in limbs]
    valid = limbs[0].valid_mask()
    present = [True] * len(columns[0]) if valid is None else valid.tolist()
    return [
        sum(part << (LIMB_BITS * i) for i, part in enumerate(parts)) if there else None
        for there, parts in zip(present, zip(*columns))
    ]


def from_limbs(limbs: Sequence[Column], type: pa.DataType) -> Column:
    """The sum of summed limbs; null where it does not fit 38 digits."""
    bound = 10**type.precision
    values = [
        None if total is None or abs(total) >= bound else Decimal(total).scaleb(-type.scale, _EXACT)
        for total in _totals(limbs)
    ]
    return Column.from_arrow(pa.array(values, type))


def average(limbs: Sequence[Column], counts: Column, source: pa.DataType, type: pa.DataType) -> Column:
    """Sum by count, rounded half up to the scale of `type`; null where nothing was counted."""
    unit = Decimal(1).scaleb(-type.scale)
    values: list[Decimal | None] = []
    for total, count in zip(_totals(limbs), counts.to_numpy().tolist()):
        if total is None or count == 0:
            values.append(None)
        else:
            mean = _EXACT.divide(Decimal(total).scaleb(-source.scale, _EXACT), Decimal(count))
            values.append(mean.quantize(unit, context=_EXACT))
    return Column.from_arrow(pa.array(values, type))


@dataclass(frozen=True)
class Ordered:
    """A large decimal as 16 bytes that sort as the numbers do: big-endian, sign bit flipped."""

    type: pa.DataType

    @property
    def kind(self) -> int:
        return BYTES

    def encode(self, column: Column) -> Column:
        words = _words(column.to_arrow())
        data = np.empty((len(words), 2), ">u8")
        data[:, 0] = words[:, 1].view(np.uint64) ^ np.uint64(1 << 63)
        data[:, 1] = words[:, 0].view(np.uint64)
        offsets = np.arange(len(words) + 1, dtype=np.int32) * 16
        valid = column.valid_mask()
        bitmap = None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little"))
        return Column.from_arrow(
            pa.Array.from_buffers(
                pa.binary(), len(words), [bitmap, pa.py_buffer(offsets), pa.py_buffer(data.tobytes())]
            )
        )

    def decode(self, column: Column) -> Column:
        top = 1 << 127
        values = [
            None
            if data is None
            else Decimal(int.from_bytes(data, "big") - top).scaleb(-self.type.scale, _EXACT)
            for data in column.to_pylist()
        ]
        return Column.from_arrow(pa.array(values, self.type))
