# SPDX-License-Identifier: Apache-2.0
"""Columns of generated rows: sequences, random values of every type, and times of now.

A value is a function of the number of its row and of a seed, so that any number of subtasks make the same rows. Only
RecentColumn asks the clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flinkcore.errors import ConfigurationError, SchemaError

_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)


class GeneratedColumn(Protocol):
    """One column of generated rows."""

    @property
    def type(self) -> pa.DataType:
        """The Arrow type of its values."""

    def values(self, indices: np.ndarray, seed: int, now_ms: int) -> pa.Array:
        """The column's values in the rows of these numbers, int64[n], at a time of the clock."""


@dataclass(frozen=True)
class SequenceColumn:
    """start, start + 1, ... in the order of rows, as numbers or as texts; `end` is the last value and ends the
    source."""

    start: int = 0
    end: int | None = None
    type: pa.DataType = field(default_factory=pa.int64)

    def values(self, indices: np.ndarray, seed: int, now_ms: int) -> pa.Array:
        return pa.array(indices + self.start).cast(self.type)


@dataclass(frozen=True)
class RandomColumn:
    """Values drawn uniformly from [lower, upper] for integers, times and intervals, [lower, upper) for floats and
    decimals; booleans; texts of `length` hexadecimal digits or `length` bytes, as Flink's datagen connector makes them.

    null_rate : the share of nulls
    varying_length : texts and bytes have from 1 to `length` - 1 characters (Flink: var-len)
    """

    type: pa.DataType
    lower: float = 0
    upper: float = 1
    length: int = 100
    null_rate: float = 0.0
    varying_length: bool = False

    def __post_init__(self) -> None:
        t = pa.types
        known = (t.is_integer, t.is_floating, t.is_decimal, t.is_boolean, t.is_string, t.is_binary, t.is_timestamp,
                 t.is_duration)
        if not any(is_one(self.type) for is_one in known):
            raise SchemaError("random values are integers, floats, decimals, booleans, strings, bytes, timestamps or "
                              f"durations, not {self.type}; use a generator function")
        if self.lower > self.upper or self.length < 0:
            raise ConfigurationError(f"a random column needs lower <= upper and length >= 0, got {self}")
        _check_null_rate(self.null_rate)

    def values(self, indices: np.ndarray, seed: int, now_ms: int) -> pa.Array:
        t = pa.types
        bits = random_bits(indices, seed)
        if t.is_boolean(self.type):
            values = pa.array((bits >> np.uint64(63)).astype(bool))
        elif t.is_floating(self.type):
            values = pa.array(self._floats(bits)).cast(self.type)
        elif t.is_decimal(self.type):
            scale = Decimal(1).scaleb(-self.type.scale)
            floats = self._floats(bits).tolist()
            values = pa.array([Decimal(value).quantize(scale) for value in floats], self.type)
        elif t.is_string(self.type) or t.is_binary(self.type):
            values = self._texts(indices, seed, digits=t.is_string(self.type))
        else:
            span = np.uint64(int(self.upper) - int(self.lower) + 1 & 2**64 - 1)
            drawn = bits % span if span else bits
            values = pa.array((drawn + np.uint64(int(self.lower) & 2**64 - 1)).view(np.int64)).cast(self.type)
        return _with_nulls(values, indices, seed, self.null_rate)

    def _floats(self, bits: np.ndarray) -> np.ndarray:
        return self.lower + unit_floats(bits) * (self.upper - self.lower)

    def _texts(self, indices: np.ndarray, seed: int, digits: bool) -> pa.Array:
        words = -(-self.length // (16 if digits else 8))
        if not words:
            return pa.array([""] * len(indices)).cast(self.type)
        bits = np.stack([random_bits(indices, seed + 2 + word) for word in range(words)], axis=1)
        texts = bits.view(np.uint8).reshape(len(indices), -1)
        if digits:
            texts = _DIGITS[np.stack([texts >> 4, texts & 15], axis=2)].reshape(len(indices), -1)
        texts = texts[:, : self.length]
        lengths = np.full(len(indices), self.length, np.int32)
        if self.varying_length and self.length > 1:
            drawn = random_bits(indices, seed + 2 + words) % np.uint64(self.length - 1)
            lengths = drawn.astype(np.int32) + np.int32(1)
            texts = texts[np.arange(self.length) < lengths[:, None]]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        made = pa.StringArray if digits else pa.BinaryArray
        buffers = pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(texts))
        if digits:
            return made.from_buffers(len(indices), *buffers)
        return made.from_buffers(self.type, len(indices), [None, *buffers])


@dataclass(frozen=True)
class RecentColumn:
    """The time of now as a date, a time of day or a timestamp, minus a random part of past_ms_max."""

    type: pa.DataType
    past_ms_max: int = 0
    null_rate: float = 0.0

    def __post_init__(self) -> None:
        _check_null_rate(self.null_rate)

    def values(self, indices: np.ndarray, seed: int, now_ms: int) -> pa.Array:
        past = random_bits(indices, seed) % np.uint64(max(1, self.past_ms_max))
        times = pa.array(now_ms - past.astype(np.int64), pa.timestamp("ms"))
        if pa.types.is_timestamp(self.type) and self.type.tz:
            times = times.cast(pa.timestamp("ms", self.type.tz))
        return _with_nulls(times.cast(self.type, safe=False), indices, seed, self.null_rate)


@dataclass(frozen=True)
class ListColumn:
    """Lists of `length` values of another column."""

    element: GeneratedColumn
    length: int = 3
    null_rate: float = 0.0

    def __post_init__(self) -> None:
        _check_null_rate(self.null_rate)

    @property
    def type(self) -> pa.DataType:
        return pa.list_(self.element.type)

    def values(self, indices: np.ndarray, seed: int, now_ms: int) -> pa.Array:
        elements = self.element.values(_inner_indices(indices, self.length), seed + 3, now_ms)
        lists = pa.ListArray.from_arrays(_offsets(indices, self.length), elements)
        return _with_nulls(lists, indices, seed, self.null_rate)


@dataclass(frozen=True)
class MapColumn:
    """Maps of `length` drawn entries; a key that is drawn twice stands once, with the value drawn last."""

    key: GeneratedColumn
    value: GeneratedColumn
    length: int = 3
    null_rate: float = 0.0

    def __post_init__(self) -> None:
        _check_null_rate(self.null_rate)

    @property
    def type(self) -> pa.DataType:
        return pa.map_(self.key.type, self.value.type)

    def values(self, indices: np.ndarray, seed: int, now_ms: int) -> pa.Array:
        inner = _inner_indices(indices, self.length)
        keys = self.key.values(inner, seed + 3, now_ms).to_pylist()
        values = self.value.values(inner, seed + 4, now_ms).to_pylist()
        maps = [dict(zip(keys[i : i + self.length], values[i : i + self.length]))
                for i in range(0, len(inner), max(1, self.length))] if self.length else [{}] * len(indices)
        return _with_nulls(pa.array(maps, self.type), indices, seed, self.null_rate)


@dataclass(frozen=True)
class RowColumn:
    """Rows of other columns, by name."""

    fields: Mapping[str, GeneratedColumn]
    null_rate: float = 0.0

    def __post_init__(self) -> None:
        _check_null_rate(self.null_rate)

    @property
    def type(self) -> pa.DataType:
        return pa.struct([(name, column.type) for name, column in self.fields.items()])

    def values(self, indices: np.ndarray, seed: int, now_ms: int) -> pa.Array:
        fields = [column.values(indices, seed + (3 + position << 16), now_ms)
                  for position, column in enumerate(self.fields.values())]
        rows = pa.StructArray.from_arrays(fields, list(self.fields))
        return _with_nulls(rows, indices, seed, self.null_rate)


def random_bits(indices: np.ndarray, seed: int) -> np.ndarray:
    """uint64[n]: 64 random bits for each row number and seed, the same wherever they are made (SplitMix64)."""
    with np.errstate(over="ignore"):
        x = indices.astype(np.uint64) + np.uint64((seed + 1) * 0x9E3779B97F4A7C15 & 2**64 - 1)
        x = x * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def unit_floats(bits: np.ndarray) -> np.ndarray:
    """float64[n] in [0, 1) from the upper 53 bits."""
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _check_null_rate(null_rate: float) -> None:
    if not 0 <= null_rate <= 1:
        raise ConfigurationError(f"the share of nulls is a number from 0 to 1, got {null_rate}")


def _with_nulls(values: pa.Array, indices: np.ndarray, seed: int, null_rate: float) -> pa.Array:
    if not null_rate:
        return values
    valid = unit_floats(random_bits(indices, seed + 1)) >= null_rate
    return pc.if_else(pa.array(valid), values, pa.scalar(None, values.type))


def _inner_indices(indices: np.ndarray, length: int) -> np.ndarray:
    """A number for each element of each row's list."""
    return (indices[:, None] * length + np.arange(length)).ravel()


def _offsets(indices: np.ndarray, length: int) -> pa.Array:
    return pa.array(np.arange(len(indices) + 1, dtype=np.int32) * length)
