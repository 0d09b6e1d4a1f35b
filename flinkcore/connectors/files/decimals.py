# SPDX-License-Identifier: Apache-2.0
"""Decimals in text: more digits are read than the type keeps, then rounded as Flink does."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

DIGITS_MAX = 38


def wide(type: pa.DataType) -> pa.DataType:
    """The type to parse a decimal as: its integral digits, and every fractional digit that fits beside them.
    Other types are returned as they are."""
    if not pa.types.is_decimal128(type):
        return type
    return pa.decimal128(DIGITS_MAX, DIGITS_MAX - (type.precision - type.scale))


def rounded(array: pa.Array, type: pa.DataType) -> pa.Array:
    """Wide decimals as `type`, rounded half up (Flink: DecimalData.fromBigDecimal). ArrowInvalid when a
    rounded value needs more digits than the type has."""
    if not pa.types.is_decimal128(type) or array.type == type:
        return array
    return pc.round(array, type.scale, "half_towards_infinity").cast(type)
