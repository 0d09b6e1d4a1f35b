# SPDX-License-Identifier: Apache-2.0
"""String functions: pyarrow.compute where it has them and arguments are constant, Python per row otherwise.

Positions count characters from 1, as in SQL.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from flinkcore.errors import ExpressionError
from flinkcore.expr.arithmetic import row_wise
from flinkcore.expr.typed import Evaluate, Rows
from flinkcore.expr.vector import Vector


def columnar(compute: Callable[..., Any]) -> Evaluate:
    """An evaluator from a compute function of Arrow arrays and scalars that passes nulls on."""

    def evaluate(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
        return Vector.of_arrow(compute(*(arg.arrow() for arg in args)), type)

    return evaluate


def with_constants(compute: Callable[..., Any], per_row: Callable[..., Any]) -> Evaluate:
    """`compute(array, *constants)` when all but the first argument are constants and it accepts them, else
    `per_row` on Python values. A compute function refuses constants by answering None."""
    fallback = row_wise(per_row)

    def evaluate(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
        if any(arg.null_constant for arg in args):
            return Vector.of_constant(None, type)
        if all(arg.constant for arg in args[1:]) and not args[0].constant:
            result = compute(args[0].arrow(), *(arg.python(1)[0] for arg in args[1:]))
            if result is not None:
                return Vector.of_arrow(result, type)
        return fallback(args, type, rows)

    return evaluate


upper = columnar(pc.utf8_upper)
lower = columnar(pc.utf8_lower)
char_length = columnar(pc.utf8_length)
reverse = columnar(pc.utf8_reverse)


def concat(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
    """Null when any argument is null."""
    if any(arg.null_constant for arg in args):
        return Vector.of_constant(None, type)
    return Vector.of_arrow(
        pc.binary_join_element_wise(*(arg.arrow() for arg in args), "", null_handling="emit_null"), type
    )


def concat_ws(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
    """The first argument between the others; nulls among the others are left out."""
    separator, *values = (arg.arrow() for arg in args)
    if args[0].null_constant:
        return Vector.of_constant(None, type)
    return Vector.of_arrow(pc.binary_join_element_wise(*values, separator, null_handling="skip"), type)


def _substring(text: str, position: int, length: int = 2**31 - 1) -> str | None:
    """Flink: BinaryStringDataUtil.substringSQL. Position 0 is 1; negative ones count from the end."""
    if length < 0:
        return None
    start = position - 1 if position > 0 else len(text) + position if position < 0 else 0
    return "" if start < 0 else text[start : start + length]


def _substring_columnar(array: Any, position: int, length: int = 2**31 - 1) -> Any:
    if position < 0 or length < 0:
        return None
    start = max(position - 1, 0)
    return pc.utf8_slice_codeunits(array, start, min(start + length, 2**31 - 1))


substring = with_constants(_substring_columnar, _substring)
left = row_wise(lambda text, count: text[: max(count, 0)])
right = row_wise(lambda text, count: text[max(len(text) - count, 0) :] if count > 0 else "")


def _stripper(both: str, columnar_trim: Callable[..., Any]) -> Evaluate:
    return with_constants(
        lambda array, characters=" ": columnar_trim(array, characters=characters),
        lambda text, characters=" ": getattr(text, both)(characters),
    )


trim_both = _stripper("strip", pc.utf8_trim)
ltrim = _stripper("lstrip", pc.utf8_ltrim)
rtrim = _stripper("rstrip", pc.utf8_rtrim)


def trim(args: Sequence[Vector], type: pa.DataType, rows: Rows) -> Vector:
    """trim(leading, trailing, characters, text), the form that str() shows."""
    leading, trailing, characters, text = args
    which = {(True, True): trim_both, (True, False): ltrim, (False, True): rtrim}
    flags = bool(leading.values()), bool(trailing.values())
    return which[flags]((text, characters), type, rows) if any(flags) else text


replace = with_constants(
    lambda array, search, replacement: pc.replace_substring(array, search, replacement) if search else None,
    lambda text, search, replacement: text.replace(search, replacement) if search else text,
)
translate = row_wise(
    lambda text, source, target: text.translate(
        {ord(char): target[i] if i < len(target) else None for i, char in reversed(list(enumerate(source)))}
    )
)


@lru_cache(256)
def _like_regex(pattern: str, escape: str) -> re.Pattern[str]:
    if len(escape) != 1:
        raise ExpressionError(f"Invalid escape character '{escape}' of LIKE: expected one character")
    regex, characters = [], iter(pattern)
    for char in characters:
        if char == escape:
            following = next(characters, None)
            if following is None or following not in ("%", "_", escape):
                raise ExpressionError(
                    f"Invalid escape sequence in LIKE '{pattern}': '{escape}' stands before %, _ or itself"
                )
            regex.append(re.escape(following))
        else:
            regex.append({"%": ".*", "_": "."}.get(char) or re.escape(char))
    return re.compile("".join(regex), re.DOTALL)


def _like(text: str, pattern: str, escape: str = "\\") -> bool:
    return _like_regex(pattern, escape).fullmatch(text) is not None


def _like_columnar(array: Any, pattern: str, escape: str = "\\") -> Any:
    _like_regex(pattern, escape)  # refuses what is malformed
    return pc.match_like(array, pattern) if escape == "\\" else None


like = with_constants(_like_columnar, _like)
starts_with = with_constants(lambda array, prefix: pc.starts_with(array, prefix), str.startswith)
ends_with = with_constants(lambda array, suffix: pc.ends_with(array, suffix), str.endswith)


@lru_cache(256)
def _regex(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ExpressionError(f"Invalid regular expression '{pattern}': {error}") from None


def _regexp(text: str, pattern: str) -> bool:
    return _regex(pattern).search(text) is not None


def _regexp_replace(text: str, pattern: str, replacement: str) -> str:
    return _regex(pattern).sub(re.sub(r"\$(\d)", r"\\\1", replacement), text)


def _regexp_extract(text: str, pattern: str, group: int = 0) -> str | None:
    match = _regex(pattern).search(text)
    return None if match is None or group > match.re.groups or group < 0 else match[group]


def similar_regex(pattern: str) -> str:
    """SQL's SIMILAR TO pattern as a regular expression."""
    return "".join({"%": ".*", "_": "."}.get(char, char) for char in pattern)


regexp = row_wise(_regexp)
similar = row_wise(lambda text, pattern: re.fullmatch(similar_regex(pattern), text, re.DOTALL) is not None)
regexp_replace = row_wise(_regexp_replace)
regexp_extract = row_wise(_regexp_extract)
position = row_wise(lambda needle, text: text.find(needle) + 1)
instr = row_wise(lambda text, needle: text.find(needle) + 1)
locate = row_wise(lambda needle, text, start=1: text.find(needle, start - 1) + 1 if start > 0 else 0)


def _pad(text: str, length: int, pad: str, to_left: bool) -> str | None:
    if length < 0 or (not pad and len(text) < length):
        return None
    filling = (pad * length)[: max(0, length - len(text))]
    return (filling + text[:length]) if to_left else (text[:length] + filling)


lpad = row_wise(lambda text, length, pad: _pad(text, length, pad, True))
rpad = row_wise(lambda text, length, pad: _pad(text, length, pad, False))
repeat = row_wise(lambda text, count: text * max(count, 0))
init_cap = row_wise(
    lambda text: re.sub(r"[A-Za-z0-9]+", lambda word: word[0][0].upper() + word[0][1:].lower(), text)
)
overlay = row_wise(
    lambda text, new, start, length=None: (
        text
        if not 0 < start <= len(text)
        else text[: start - 1] + new + text[start - 1 + (len(new) if length is None else length) :]
    )
)
ascii_code = row_wise(lambda text: text.encode()[0] if text else 0)
char_of = row_wise(lambda code: "" if code < 0 else chr(code % 256))
to_base64 = row_wise(lambda text: base64.b64encode(text.encode()).decode())
from_base64 = row_wise(lambda text: base64.b64decode(text).decode("utf-8", "replace"))
hexadecimal = row_wise(
    lambda value: value.encode().hex().upper() if isinstance(value, str) else f"{value % 2**64:X}"
)
binary_text = row_wise(lambda value: f"{value % 2**64:b}")
encode = row_wise(lambda text, charset: text.encode(charset, "replace"))
decode = row_wise(lambda data, charset: data.decode(charset, "replace"))


def _split_index(text: str, separator: Any, index: int) -> str | None:
    parts = text.split(separator) if separator else [text]
    return parts[index] if 0 <= index < len(parts) else None


split_index = row_wise(_split_index)


def digest(algorithm: str) -> Evaluate:
    return row_wise(lambda text: hashlib.new(algorithm, text.encode()).hexdigest())


sha2 = row_wise(
    lambda text, bits: (
        hashlib.new(f"sha{bits}", text.encode()).hexdigest() if bits in (224, 256, 384, 512) else None
    )
)
