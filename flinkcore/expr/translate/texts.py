# SPDX-License-Identifier: Apache-2.0
"""Python's functions and methods of strings on whole columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from flinkcore.expr.translate.exact import BOOL, FLOAT, INT, STR, Unequal, fallible, without_none
from flinkcore.expr.typed import Evaluate, Function, Rows
from flinkcore.expr.vector import Vector


def texts_of(vector: Vector) -> Any:
    """An array or a scalar of strings, none of them None."""
    return without_none(vector).arrow()


def _ascii_texts(vector: Vector) -> Any:
    """Of ASCII letters alone, for which Arrow and Python agree on cases and spaces."""
    found = texts_of(vector)
    if not (found.as_py().isascii() if vector.constant else pc.all(pc.string_is_ascii(found)).as_py()):
        raise Unequal("letters that are not ASCII")
    return found


def text_function(
    name: str, op: Callable[..., Any], type: pa.DataType = STR, ascii: bool = False
) -> Function:
    """op : of Arrow arrays or scalars of strings"""

    def evaluate(args: Sequence[Vector], type_: pa.DataType, rows: Rows) -> Vector:
        texts = [(_ascii_texts if ascii else texts_of)(arg) for arg in args]
        return Vector.of_arrow(op(*texts), type)

    return fallible(name, evaluate)


def _joined_text(*texts: Any) -> Any:
    return pc.binary_join_element_wise(*texts, "")


SPACES = "".join(chr(i) for i in range(128) if chr(i).isspace())
LENGTH = text_function("len", pc.utf8_length, INT)
CONCATENATE = text_function("+", _joined_text)
METHODS = {
    "upper": text_function("upper", pc.ascii_upper, ascii=True),
    "lower": text_function("lower", pc.ascii_lower, ascii=True),
    "strip": text_function("strip", lambda texts: pc.ascii_trim(texts, SPACES), ascii=True),
    "lstrip": text_function("lstrip", lambda texts: pc.ascii_ltrim(texts, SPACES), ascii=True),
    "rstrip": text_function("rstrip", lambda texts: pc.ascii_rtrim(texts, SPACES), ascii=True),
}


@cache
def test(name: str, text: str) -> Function:
    """Whether texts contain, start or end with a constant text."""
    op = {"contains": pc.match_substring, "startswith": pc.starts_with, "endswith": pc.ends_with}[name]
    return text_function(f"{name} {text!r}", lambda texts: op(texts, text), BOOL)


@cache
def replacement(old: str, new: str) -> Function:
    """replace(old, new), where `old` is not empty."""
    return text_function(f"replace {old!r} {new!r}", lambda texts: pc.replace_substring(texts, old, new))


@cache
def part(first: int | None, end: int | None) -> Function:
    """text[first:end]"""
    return text_function(f"[{first}:{end}]", lambda texts: pc.utf8_slice_codeunits(texts, first or 0, end))


def _parsed(type: pa.DataType, foreign: str) -> Evaluate:
    """Arrow reads what Python reads, or fails; but for texts with the letter that is `foreign` to Python."""

    def evaluate(args: Sequence[Vector], type_: pa.DataType, rows: Rows) -> Vector:
        texts = texts_of(args[0])
        if pc.any(pc.match_substring(texts, foreign, ignore_case=True)).as_py():
            raise Unequal("a text that is no plain number")
        try:
            return Vector.of_arrow(texts.cast(type), type)
        except pa.ArrowInvalid:
            raise Unequal("a text that is no plain number") from None

    return evaluate


INT_OF_STR, DOUBLE_OF_STR = fallible("int", _parsed(INT, "x")), fallible("float", _parsed(FLOAT, "("))


def _str_of_int(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
    return Vector.of_arrow(without_none(args[0]).arrow().cast(STR), STR)


STR_OF_INT = fallible("str", _str_of_int)
