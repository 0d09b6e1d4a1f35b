# SPDX-License-Identifier: Apache-2.0
"""String expressions: the form in which PyFlink took expressions up to 1.15, e.g. "word, COUNT(word) as cnt".

A Pratt parser. Columns are case-sensitive, functions are not; a function stands before its arguments or,
after a point, behind the first: count(x), x.count. Which functions exist is not said here but by the
Expression class, the module expressions and the table of built-ins, so that a new one is known at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NoReturn

import pyarrow as pa

from flinkcore.errors import ExpressionError
from flinkcore.expr import logical
from flinkcore.expr.aggregate import AGGREGATE_BY_ANY_NAME
from flinkcore.expr.builtins import BY_ANY_NAME
from flinkcore.expr.nodes import Alias, Call, Cast, Expr, FieldReference, Literal
from flinkcore.table import expressions
from flinkcore.table.expression import Expression, TimeIntervalUnit, TimePointUnit

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?[LlFfDd]?)
    |(?P<string>'(?:[^']|'')*'|"(?:[^"]|"")*")
    |(?P<name>[A-Za-z_$][A-Za-z0-9_$]*)
    |(?P<symbol>===|!==|==|!=|<>|<=|>=|&&|\|\||[-+*/%<>=!(),.?:])""",
    re.VERBOSE,
)

#: Binding powers of what stands between two expressions, and the built-in it calls.
_INFIX: dict[str, tuple[int, str]] = {
    "||": (10, "or"), "&&": (20, "and"),
    "=": (30, "equals"), "==": (30, "equals"), "===": (30, "equals"),
    "<>": (30, "notEquals"), "!=": (30, "notEquals"), "!==": (30, "notEquals"),
    "<": (30, "lessThan"), "<=": (30, "lessThanOrEqual"),
    ">": (30, "greaterThan"), ">=": (30, "greaterThanOrEqual"),
    "+": (40, "plus"), "-": (40, "minus"), "*": (50, "times"), "/": (50, "divide"), "%": (50, "mod"),
}  # fmt: skip
_PREFIX_POWER = 60

#: Type words of the old parser, and SQL's.
_TYPES: dict[str, pa.DataType] = {
    "BYTE": logical.INT8, "TINYINT": logical.INT8, "SHORT": logical.INT16, "SMALLINT": logical.INT16,
    "INT": logical.INT32, "INTEGER": logical.INT32, "LONG": logical.INT64, "BIGINT": logical.INT64,
    "FLOAT": logical.FLOAT, "DOUBLE": logical.DOUBLE, "BOOLEAN": logical.BOOLEAN, "BOOL": logical.BOOLEAN,
    "STRING": logical.STRING, "VARCHAR": logical.STRING, "BYTES": logical.BYTES,
    "DECIMAL": pa.decimal128(38, 18), "BIG_DEC": pa.decimal128(38, 18), "SQL_DATE": logical.DATE,
    "DATE": logical.DATE, "SQL_TIME": logical.TIME, "TIME": logical.TIME,
    "SQL_TIMESTAMP": logical.TIMESTAMP_3, "TIMESTAMP": logical.TIMESTAMP_3,
    "TIMESTAMP_LTZ": logical.TIMESTAMP_LTZ_3,
}  # fmt: skip
_WORDS = {unit.name for unit in (*TimeIntervalUnit, *TimePointUnit)}

_plain = re.compile("[_ ]")
_METHODS = {_plain.sub("", name).lower(): name for name in vars(Expression) if not name.startswith("_")}
_FUNCTIONS = {
    _plain.sub("", name).lower(): getattr(expressions, name)
    for name in expressions.__all__
    if callable(getattr(expressions, name))
    and not isinstance(getattr(expressions, name), Expression)
    and name not in ("col", "lit", "call", "range_", "row_interval")
}
_NO_METHODS = {"node", "get", "alias", "cast", "trycast"}


def parse_list(text: str) -> list[Expr]:
    """The expressions of a list, separated by commas."""
    return _Parser(text).sequence()


def parse(text: str) -> Expr:
    """One expression; ExpressionError with the column where it stops making sense."""
    parser = _Parser(text)
    expression = parser.expression()
    parser.expect_end()
    return expression


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, str, int]] = []  # kind, text, position
        at = 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                self.fail(at, "an expression" if not self.tokens else "','")
            if match.lastgroup != "space":
                self.tokens.append((str(match.lastgroup), match[0], at))
            at = match.end()
        self.tokens.append(("end", "", len(text)))
        self.at = 0

    # -- tokens -----------------------------------------------------------------------------------------

    def fail(self, position: int, expected: str) -> NoReturn:
        found = f"'{self.text[position]}'" if position < len(self.text) else "end of source"
        raise ExpressionError(
            f"Could not parse expression at column {position + 1}: {expected} expected but {found} "
            f"found: {self.text}"
        )

    def peek(self, ahead: int = 0) -> tuple[str, str, int]:
        return self.tokens[min(self.at + ahead, len(self.tokens) - 1)]

    def take(self) -> tuple[str, str, int]:
        token = self.tokens[self.at]
        self.at += 1
        return token

    def accept(self, symbol: str) -> bool:
        kind, text, _ = self.peek()
        if kind == "symbol" and text == symbol:
            self.at += 1
            return True
        return False

    def expect(self, symbol: str) -> None:
        if not self.accept(symbol):
            self.fail(self.peek()[2], f"'{symbol}'")

    def expect_end(self) -> None:
        kind, _, position = self.peek()
        if kind != "end":
            self.fail(position, "end of source")

    # -- expressions ------------------------------------------------------------------------------------

    def sequence(self) -> list[Expr]:
        result = [self.expression()]
        while self.accept(","):
            result.append(self.expression())
        if self.peek()[0] != "end":
            self.fail(self.peek()[2], "','")
        return result

    def expression(self) -> Expr:
        """An expression with its alias, which binds weakest."""
        node = self.operators(0)
        kind, text, _ = self.peek()
        if kind == "name" and text.lower() == "as":
            self.at += 1
            names = [self.name()] if not self.accept("(") else self.names()
            return Alias(node, tuple(names))
        return node

    def names(self) -> list[str]:
        result = [self.name()]
        while self.accept(","):
            result.append(self.name())
        self.expect(")")
        return result

    def name(self) -> str:
        kind, text, position = self.take()
        if kind != "name":
            self.fail(position, "a name")
        return text

    def operators(self, power: int) -> Expr:
        left = self.prefix()
        while True:
            kind, text, _ = self.peek()
            if kind != "symbol" or text not in _INFIX or _INFIX[text][0] <= power:
                return left
            self.at += 1
            left = Call(_INFIX[text][1], (left, self.operators(_INFIX[text][0])))

    def prefix(self) -> Expr:
        kind, text, position = self.peek()
        if kind == "symbol" and text in "-+!":
            self.at += 1
            operand = self.operators(_PREFIX_POWER)
            if text == "-" and isinstance(operand, Literal) and isinstance(operand.value, (int, float)):
                return Literal(-operand.value, operand.type)
            return {"-": Call("minusPrefix", (operand,)), "!": Call("not", (operand,)), "+": operand}[text]
        if kind == "symbol" and text == "*":
            self.at += 1
            return FieldReference("*")
        if self.accept("("):
            inner = self.expression()
            self.expect(")")
            return self.suffixes(inner)
        if kind in ("symbol", "end"):
            self.fail(position, "an expression")
        self.at += 1
        if kind == "number":
            return self.suffixes(_number(text))
        if kind == "string":
            return self.suffixes(Literal.of(text[1:-1].replace(text[0] * 2, text[0])))
        if text.lower() in ("true", "false") and self.peek()[1] != "(":
            return self.suffixes(Literal.of(text.lower() == "true"))
        if self.accept("("):
            return self.suffixes(self.function(text, position))
        if text in _WORDS and self.peek()[1] in (",", ")"):
            return Literal.word(text)
        return self.suffixes(FieldReference(text))

    def suffixes(self, node: Expr) -> Expr:
        """.name or .name(arguments), any number of times."""
        while self.accept("."):
            if self.accept("?"):
                self.expect("(")
                node = Call("ifThenElse", (node, *self.arguments()))
                continue
            position = self.peek()[2]
            name = self.name()
            called = self.accept("(")
            lower = name.lower()
            if lower in ("cast", "trycast") and called:
                node = Cast(node, self.type(), lower == "trycast")
                self.expect(")")
            elif lower == "as" and called:
                node = Alias(node, tuple(self.names()))
            elif lower == "rows" and isinstance(node, Literal):
                self.finish_call(called)
            elif (
                lower == "distinct" and called and isinstance(node, FieldReference) and self.peek()[1] != ")"
            ):
                aggregate = AGGREGATE_BY_ANY_NAME.get(node.name.lower())  # count.distinct(x)
                if aggregate is None:
                    self.fail(position, "an aggregate function before .distinct(...)")
                node = Call("distinct", (Call(aggregate.name, tuple(self.arguments())),))
            else:
                node = self.apply(lower, name, [node, *(self.arguments() if called else [])], position)
        return node

    def finish_call(self, called: bool) -> None:
        if called:
            self.expect(")")

    def arguments(self) -> list[Expr]:
        """Up to and with the closing parenthesis."""
        if self.accept(")"):
            return []
        result = [self.expression()]
        while self.accept(","):
            result.append(self.expression())
        self.expect(")")
        return result

    # -- functions --------------------------------------------------------------------------------------

    def function(self, name: str, position: int) -> Expr:
        """name(...), after the opening parenthesis."""
        lower = _plain.sub("", name).lower()
        if lower in ("null", "nullof"):
            type = self.type()
            self.expect(")")
            return Literal(None, type)
        if lower in ("cast", "trycast"):
            operand = self.expression()
            self.expect(",")
            type = self.type()
            self.expect(")")
            return Cast(operand, type, lower == "trycast")
        args = self.arguments()
        make = _FUNCTIONS.get(lower) or _FUNCTIONS.get(lower + "_")
        if make is not None and lower not in ("log",):
            return self.called(make, args, position)
        return self.apply(lower, name, args, position)

    def apply(self, lower: str, name: str, args: list[Expr], position: int) -> Expr:
        """A function of its first argument, by any of its names."""
        lower = _plain.sub("", lower)
        method = _METHODS.get(lower)
        if method is not None and lower not in _NO_METHODS and args:
            attribute = vars(Expression)[method]
            first = Expression(args[0])
            if isinstance(attribute, property):
                if len(args) > 1:
                    raise ExpressionError(
                        f"{name} at column {position + 1} takes no further argument: {self.text}"
                    )
                return getattr(first, method).node
            return self.called(getattr(first, method), args[1:], position)
        aggregate, function = AGGREGATE_BY_ANY_NAME.get(lower), BY_ANY_NAME.get(lower)
        if aggregate is not None:
            return Call(aggregate.name, tuple(args))
        if function is not None:
            return Call(function.name, tuple(args))
        after_point = self.tokens[self.at - 1][1] == name
        if after_point and len(args) == 1 and isinstance(args[0], FieldReference):
            return Call("get", (args[0], Literal.of(name)))  # a field of a row
        raise ExpressionError(f"Undefined function: {name}, at column {position + 1} of: {self.text}")

    def called(self, make: Callable[..., Any], args: list[Expr], position: int) -> Expr:
        try:
            return make(*map(Expression, args)).node
        except TypeError as error:
            raise ExpressionError(f"function at column {position + 1}: {error}: {self.text}") from None

    def type(self) -> pa.DataType:
        """A type word, with a precision and scale where it has them."""
        kind, text, position = self.take()
        type = _TYPES.get(text.upper()) if kind == "name" else None
        if type is None:
            self.fail(position, "a type such as INT, BIGINT, DOUBLE, STRING, DECIMAL(10, 2) or TIMESTAMP(3)")
        if not self.accept("("):
            return type
        digits = [self.whole()]
        while self.accept(","):
            digits.append(self.whole())
        self.expect(")")
        if logical.is_decimal(type):
            return pa.decimal128(digits[0], digits[1] if len(digits) > 1 else 0)
        if pa.types.is_timestamp(type):
            return pa.timestamp(("s", "ms", "us", "ns")[-(-digits[0] // 3)], type.tz)
        return type

    def whole(self) -> int:
        kind, text, position = self.take()
        if kind != "number" or not text.isdigit():
            self.fail(position, "a whole number")
        return int(text)


def _number(text: str) -> Literal:
    suffix = text[-1].lower() if text[-1].isalpha() else ""
    digits = text[:-1] if suffix else text
    if suffix == "l":
        return Literal(int(digits), logical.INT64)
    if suffix in ("f", "d") or not digits.isdigit():
        return Literal(float(digits), logical.FLOAT if suffix == "f" else logical.DOUBLE)
    return Literal.of(int(digits))
