# SPDX-License-Identifier: Apache-2.0
"""Data types from their text in SQL: "BIGINT NOT NULL", "ROW<name STRING, age INT>", "DECIMAL(10, 2)"."""

from __future__ import annotations

import re
from collections.abc import Callable

from flinkcore.errors import SchemaError
from flinkcore.table.types import DataType, DataTypes, RowField

_TOKEN = re.compile(r"\s*(`(?:[^`]|``)*`|\w+|[(),<>])")

#: Types by their words; those with lengths and precisions take them in brackets.
_TYPES: dict[str, Callable[..., DataType]] = {
    "BOOLEAN": DataTypes.BOOLEAN,
    "TINYINT": DataTypes.TINYINT,
    "SMALLINT": DataTypes.SMALLINT,
    "INT": DataTypes.INT,
    "INTEGER": DataTypes.INT,
    "BIGINT": DataTypes.BIGINT,
    "FLOAT": DataTypes.FLOAT,
    "DOUBLE": DataTypes.DOUBLE,
    "DATE": DataTypes.DATE,
    "STRING": DataTypes.STRING,
    "BYTES": DataTypes.BYTES,
    "CHAR": lambda length=1: DataTypes.CHAR(length),
    "VARCHAR": lambda length=1: DataTypes.VARCHAR(length),
    "BINARY": lambda length=1: DataTypes.BINARY(length),
    "VARBINARY": lambda length=1: DataTypes.VARBINARY(length),
    "DECIMAL": lambda precision=10, scale=0: DataTypes.DECIMAL(precision, scale),
    "DEC": lambda precision=10, scale=0: DataTypes.DECIMAL(precision, scale),
    "NUMERIC": lambda precision=10, scale=0: DataTypes.DECIMAL(precision, scale),
    "TIME": lambda precision=0: DataTypes.TIME(precision),
    "TIMESTAMP": lambda precision=6: DataTypes.TIMESTAMP(precision),
    "TIMESTAMP_LTZ": lambda precision=6: DataTypes.TIMESTAMP_LTZ(precision),
}


def parse_type(text: str) -> DataType:
    """The type that a text of SQL names. SchemaError with the place at which it makes no sense."""
    parser = _Parser(text)
    type = parser.type()
    if parser.word():
        raise parser.error("the end")
    return type


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[str] = []
        at = 0
        while match := _TOKEN.match(text, at):
            self.tokens.append(match[1])
            at = match.end()
        if text[at:].strip():
            self.tokens.append(text[at:].strip())  # no token of the language: an error where it is met
        self.at = 0

    def word(self, ahead: int = 0) -> str:
        """A token in upper case; "" behind the last one."""
        at = self.at + ahead
        return self.tokens[at].upper() if at < len(self.tokens) else ""

    def accept(self, *words: str) -> bool:
        if any(self.word(i) != word for i, word in enumerate(words)):
            return False
        self.at += len(words)
        return True

    def expect(self, word: str) -> None:
        if not self.accept(word):
            raise self.error(f"'{word}'")

    def error(self, expected: str) -> SchemaError:
        found = f"'{self.tokens[self.at]}'" if self.word() else "the end"
        return SchemaError(f"no data type: {expected} expected, but {found} found in \"{self.text}\"")

    def type(self) -> DataType:
        type = self.plain_type()
        while True:  # INT ARRAY is ARRAY<INT>
            nullable = not self.accept("NOT", "NULL")
            if nullable:
                self.accept("NULL")
            type = type if nullable else type.not_null()
            if not self.accept("ARRAY"):
                return type
            type = DataTypes.ARRAY(type)

    def plain_type(self) -> DataType:
        word = self.word()
        if word in ("ARRAY", "MAP", "ROW"):
            self.at += 1
            return {"ARRAY": self.array, "MAP": self.map, "ROW": self.row}[word]()
        if word not in _TYPES:
            raise self.error("the name of a type")
        self.at += 1
        if word == "DOUBLE":
            self.accept("PRECISION")
        numbers = self.numbers()
        if word == "TIMESTAMP" and self.accept("WITH", "LOCAL", "TIME", "ZONE"):
            word = "TIMESTAMP_LTZ"
        elif word in ("TIME", "TIMESTAMP"):
            self.accept("WITHOUT", "TIME", "ZONE")
        try:
            return _TYPES[word](*numbers)
        except TypeError:
            raise self.error(f"other arguments of {word}") from None

    def numbers(self) -> list[int]:
        numbers: list[int] = []
        if self.accept("("):
            while not numbers or self.accept(","):
                if not self.word().isdigit():
                    raise self.error("a number")
                numbers.append(int(self.word()))
                self.at += 1
            self.expect(")")
        return numbers

    def array(self) -> DataType:
        self.expect("<")
        element = self.type()
        self.expect(">")
        return DataTypes.ARRAY(element)

    def map(self) -> DataType:
        self.expect("<")
        key = self.type()
        self.expect(",")
        value = self.type()
        self.expect(">")
        return DataTypes.MAP(key, value)

    def row(self) -> DataType:
        close = {"<": ">", "(": ")"}.get(self.word())
        if close is None:
            raise self.error("'<'")
        self.at += 1
        fields: list[RowField] = []
        while not fields or self.accept(","):
            name = self.tokens[self.at] if self.word() else ""
            if not re.fullmatch(r"`.*`|\w+", name, re.DOTALL):
                raise self.error("the name of a field")
            self.at += 1
            fields.append(DataTypes.FIELD(name.strip("`").replace("``", "`"), self.type()))
        self.expect(close)
        return DataTypes.ROW(fields)
