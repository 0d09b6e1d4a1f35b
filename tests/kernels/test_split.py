# SPDX-License-Identifier: Apache-2.0
"""Texts to their parts: what Python's split gives."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest

from flinkcore._native.column import Column
from flinkcore._native.split import split
from tests.kernels.inputs import sliced

LETTERS = ["a", "bc", " ", "  ", ",", ", ", ",,", "\t", "\n", "\x1c", "\x1f", "\x20", "é", "\u0085", "\u00a0", "\u1680",
           "\u2003", "\u2028", "\u205f", "\u3000", "\u2010", "😀", "x" * 31, "y" * 32, "z" * 100]  # fmt: skip
SEPARATORS = [None, " ", ",", ", ", ",,", "é", "xx", "z" * 40]


def split_naive(texts: list[str | None], separator: str | None) -> tuple[list[str], list[int]]:
    parts: list[str] = []
    bounds = [0]
    for text in texts:
        parts += [] if text is None else text.split(separator)
        bounds.append(len(parts))
    return parts, bounds


def split_texts(texts: pa.Array, separator: str | None) -> tuple[list[str], list[int]]:
    parts, bounds = split(Column.from_arrow(texts), None if separator is None else separator.encode())
    assert len(parts) == bounds[-1] and parts.type == texts.type and parts.null_count == 0
    return parts.to_pylist(), bounds.tolist()


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("n", [0, 1, 2, 7, 200])
def test_parts_are_those_of_python(n: int, separator: str | None) -> None:
    rng = random.Random(n)
    for letters in (LETTERS, LETTERS[:6], [","], ["x", "é"]):
        for nulls in (0.0, 0.2, 1.0):
            texts = [
                None if rng.random() < nulls else "".join(rng.choices(letters, k=rng.randint(0, 12))) for _ in range(n)
            ]
            expected = split_naive(texts, separator)
            array = pa.array(texts, pa.string())
            assert split_texts(array, separator) == expected, texts
            assert split_texts(sliced(array), separator) == expected, texts


def test_no_separator_lies_across_rows_or_in_a_null() -> None:
    offsets, data = np.array([0, 2, 4, 7, 9], np.int32), b"a,,bc,,,,"
    valid = pa.py_buffer(bytes([0b1011]))
    texts = pa.Array.from_buffers(pa.string(), 4, [valid, pa.py_buffer(offsets), pa.py_buffer(data)], 1)
    assert texts.to_pylist() == ["a,", ",b", None, ",,"]
    assert split_texts(texts, ",,") == (["a,", ",b", "", ""], [0, 1, 2, 2, 4])
    assert split_texts(texts, ",") == (["a", "", "", "b", "", "", ""], [0, 2, 4, 4, 7])
    assert split_texts(texts, None) == (["a,", ",b", ",,"], [0, 1, 2, 2, 3])


def test_each_letter_that_is_a_space_is_one() -> None:
    letters = [chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
    assert split_texts(pa.array([f"a{letter}b" for letter in letters]), None) == split_naive(
        [f"a{letter}b" for letter in letters], None
    )


def test_binary_values_are_split_and_what_is_neither_is_refused() -> None:
    parts, bounds = split(Column.from_arrow(pa.array([b"\xff\x00a\x00", b""])), b"\x00")
    assert (parts.to_pylist(), bounds.tolist()) == ([b"\xff", b"a", b"", b""], [0, 3, 4])
    with pytest.raises(TypeError, match="got a column of int64"):
        split(Column.from_numpy(np.arange(2)), b",")
    with pytest.raises(ValueError, match="the separator is empty"):
        split(Column.from_arrow(pa.array(["a"])), b"")
