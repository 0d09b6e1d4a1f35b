# SPDX-License-Identifier: Apache-2.0
"""Expression: PyFlink's expression DSL over the tree of flinkcore.expr.

Every method builds a node; nothing is computed until an operator runs. `str()` is Flink's summary: `plus(a,
1)`.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from flinkcore.errors import ExpressionError
from flinkcore.expr import logical
from flinkcore.expr.nodes import Alias, Call, Cast, Expr, FieldReference, Literal

if TYPE_CHECKING:
    from flinkcore.table.types import DataType

__all__ = ["Expression", "TimeIntervalUnit", "TimePointUnit"]


class TimeIntervalUnit(Enum):
    """Units of time intervals."""

    YEAR = 0
    YEAR_TO_MONTH = 1
    QUARTER = 2
    MONTH = 3
    WEEK = 4
    DAY = 5
    DAY_TO_HOUR = 6
    DAY_TO_MINUTE = 7
    DAY_TO_SECOND = 8
    HOUR = 9
    SECOND = 10
    HOUR_TO_MINUTE = 11
    HOUR_TO_SECOND = 12
    MINUTE = 13
    MINUTE_TO_SECOND = 14


class TimePointUnit(Enum):
    """Units of points in time."""

    YEAR = 0
    MONTH = 1
    DAY = 2
    HOUR = 3
    MINUTE = 4
    SECOND = 5
    QUARTER = 6
    WEEK = 7
    MILLISECOND = 8
    MICROSECOND = 9


def to_node(value: Any) -> Expr:
    """The tree of an Expression, or a Python value as a literal; ExpressionError when it is neither."""
    if isinstance(value, Expression):
        return value._node
    if isinstance(value, Expr):
        return value
    if isinstance(value, Enum):
        return Literal.word(value.name)
    return Literal.of(value)


def arrow_of(data_type: DataType | pa.DataType) -> pa.DataType:
    """The Arrow type of DataTypes.X(); an Arrow type is taken as it is (beyond PyFlink)."""
    if isinstance(data_type, pa.DataType):
        return data_type
    to_arrow = getattr(data_type, "to_arrow", None)
    if to_arrow is None:
        raise ExpressionError(
            f"{data_type!r} is no data type; expected one of DataTypes, e.g. DataTypes.BIGINT()"
        )
    return to_arrow()


def call(name: str, *args: Any) -> Expression:
    """A call of the built-in with this Flink name."""
    return Expression(Call(name, tuple(to_node(arg) for arg in args)))


def _some(*args: Any) -> tuple[Any, ...]:
    """The arguments up to the first that was left out."""
    return args[: next((i for i, arg in enumerate(args) if arg is None), len(args))]


class Expression:
    """A tree of operations on columns. Made by `col` and `lit`; see flinkcore.table.expressions."""

    __slots__ = ("_node",)
    __hash__ = None  # type: ignore[assignment]      # == builds an expression

    def __init__(self, node: Expr | str) -> None:
        self._node: Expr = FieldReference(node) if isinstance(node, str) else node

    def __str__(self) -> str:
        return str(self._node)

    def __repr__(self) -> str:
        return str(self._node)

    def __bool__(self) -> bool:
        raise TypeError(
            f"{self} has no truth value before it runs; combine conditions with & | ~ instead of and, or, not"
        )

    def __getattr__(self, name: str) -> Expression:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.get(name)

    def __getitem__(self, index: Any) -> Expression:
        return self.at(index)

    def __getstate__(self) -> Expr:
        return self._node

    def __setstate__(self, node: Expr) -> None:
        self._node = node

    @property
    def node(self) -> Expr:
        """The tree, for the engine and for authors of operators. Beyond PyFlink."""
        return self._node

    # -- operators --------------------------------------------------------------------------------------

    def __abs__(self) -> Expression:
        return self.abs

    def __eq__(self, other: Any) -> Expression:  # type: ignore[override]
        return call("equals", self, other)

    def __ne__(self, other: Any) -> Expression:  # type: ignore[override]
        return call("notEquals", self, other)

    def __lt__(self, other: Any) -> Expression:
        return call("lessThan", self, other)

    def __gt__(self, other: Any) -> Expression:
        return call("greaterThan", self, other)

    def __le__(self, other: Any) -> Expression:
        return call("lessThanOrEqual", self, other)

    def __ge__(self, other: Any) -> Expression:
        return call("greaterThanOrEqual", self, other)

    def __and__(self, other: Any) -> Expression:
        return call("and", self, other)

    def __or__(self, other: Any) -> Expression:
        return call("or", self, other)

    def __invert__(self) -> Expression:
        """NOT, where UNKNOWN counts as false: Flink's isNotTrue."""
        return call("isNotTrue", self)

    __rand__ = __and__
    __ror__ = __or__

    def __add__(self, other: Any) -> Expression:
        return call("plus", self, other)

    def __sub__(self, other: Any) -> Expression:
        return call("minus", self, other)

    def __mul__(self, other: Any) -> Expression:
        return call("times", self, other)

    def __truediv__(self, other: Any) -> Expression:
        """Division; of integers it truncates toward zero."""
        return call("divide", self, other)

    def __mod__(self, other: Any) -> Expression:
        return call("mod", self, other)

    def __pow__(self, other: Any) -> Expression:
        return call("power", self, other)

    def __neg__(self) -> Expression:
        return call("minusPrefix", self)

    def __radd__(self, other: Any) -> Expression:
        return call("plus", other, self)

    def __rsub__(self, other: Any) -> Expression:
        return call("minus", other, self)

    def __rmul__(self, other: Any) -> Expression:
        return call("times", self, other)

    def __rtruediv__(self, other: Any) -> Expression:
        return call("divide", other, self)

    def __rmod__(self, other: Any) -> Expression:
        return call("mod", other, self)

    def __rpow__(self, other: Any) -> Expression:
        return call("power", other, self)

    # -- names and types --------------------------------------------------------------------------------

    def alias(self, name: str, *extra_names: str) -> Expression:
        """The same value under a name."""
        return Expression(Alias(self._node, (name, *extra_names)))

    def cast(self, data_type: DataType) -> Expression:
        """The value as another type; what cannot be converted fails the job (see try_cast)."""
        return Expression(Cast(self._node, arrow_of(data_type)))

    def try_cast(self, data_type: DataType) -> Expression:
        """The value as another type, null where it cannot be converted."""
        return Expression(Cast(self._node, arrow_of(data_type), tries=True))

    def get(self, name_or_index: str | int) -> Expression:
        """A field of a ROW."""
        return call("get", self, name_or_index)

    def at(self, index: Any) -> Expression:
        """An element of an ARRAY, counted from 1, or the value of a key of a MAP."""
        return call("at", self, index)

    @property
    def cardinality(self) -> Expression:
        """How many elements an ARRAY or MAP has."""
        return call("cardinality", self)

    # -- choice and nulls -------------------------------------------------------------------------------

    def between(self, lower_bound: Any, upper_bound: Any) -> Expression:
        return call("between", self, lower_bound, upper_bound)

    def not_between(self, lower_bound: Any, upper_bound: Any) -> Expression:
        return call("notBetween", self, lower_bound, upper_bound)

    def then(self, if_true: Any, if_false: Any) -> Expression:
        """`if_true` where this is TRUE, else `if_false`."""
        return call("ifThenElse", self, if_true, if_false)

    def if_null(self, null_replacement: Any) -> Expression:
        return call("ifNull", self, null_replacement)

    def in_(self, first_element_or_table: Any, *remaining_elements: Any) -> Expression:
        """Whether the value is one of these; null when it is not found and one of these is null."""
        return call("in", self, first_element_or_table, *remaining_elements)

    @property
    def is_null(self) -> Expression:
        return call("isNull", self)

    @property
    def is_not_null(self) -> Expression:
        return call("isNotNull", self)

    @property
    def is_true(self) -> Expression:
        return call("isTrue", self)

    @property
    def is_false(self) -> Expression:
        return call("isFalse", self)

    @property
    def is_not_true(self) -> Expression:
        return call("isNotTrue", self)

    @property
    def is_not_false(self) -> Expression:
        return call("isNotFalse", self)

    # -- aggregates -------------------------------------------------------------------------------------

    @property
    def distinct(self) -> Expression:
        """Of an aggregate: every value counts once."""
        return call("distinct", self)

    @property
    def sum(self) -> Expression:
        """The sum of the values that are not null, in their type; null when there are none."""
        return call("sum", self)

    @property
    def sum0(self) -> Expression:
        """As sum, but 0 when there are none."""
        return call("sum0", self)

    @property
    def min(self) -> Expression:
        return call("min", self)

    @property
    def max(self) -> Expression:
        return call("max", self)

    @property
    def count(self) -> Expression:
        """How many rows have a value; lit(1).count counts all rows."""
        return call("count", self)

    @property
    def avg(self) -> Expression:
        """The mean in the type of the values: of integers it truncates."""
        return call("avg", self)

    @property
    def first_value(self) -> Expression:
        """The first value that came and is not null."""
        return call("first_value", self)

    @property
    def last_value(self) -> Expression:
        """The last value that came and is not null."""
        return call("last_value", self)

    def min_by(self, comparand: Any) -> Expression:
        """Beyond PyFlink: this value in the row where `comparand` is least (the first of equals)."""
        return call("MIN_BY", self, comparand)

    def max_by(self, comparand: Any) -> Expression:
        """Beyond PyFlink: this value in the row where `comparand` is greatest (the first of equals)."""
        return call("MAX_BY", self, comparand)

    @property
    def asc(self) -> Expression:
        return call("asc", self)

    @property
    def desc(self) -> Expression:
        return call("desc", self)

    # -- windows and time -------------------------------------------------------------------------------

    @property
    def start(self) -> Expression:
        """Of a window's alias: its first millisecond."""
        return call("start", self)

    @property
    def end(self) -> Expression:
        """Of a window's alias: the first millisecond after it."""
        return call("end", self)

    @property
    def rowtime(self) -> Expression:
        """Of a window's alias: its last millisecond, as the time attribute of the result."""
        return call("rowtime", self)

    @property
    def proctime(self) -> Expression:
        return call("proctime", self)

    def _interval(self, unit_ms: int) -> Expression:
        if isinstance(self._node, Literal) and isinstance(self._node.value, int):
            return Expression(Literal(self._node.value * unit_ms, logical.INTERVAL))
        return call("times", Literal(unit_ms, logical.INTERVAL), self)

    def _months(self, unit_months: int) -> Expression:
        if isinstance(self._node, Literal) and isinstance(self._node.value, int):
            return Expression(Literal(self._node.value * unit_months, logical.MONTHS))
        return call("times", Literal(unit_months, logical.MONTHS), self)

    @property
    def year(self) -> Expression:
        """An interval of this many years; likewise the other units."""
        return self._months(12)

    @property
    def quarter(self) -> Expression:
        return self._months(3)

    @property
    def month(self) -> Expression:
        return self._months(1)

    @property
    def week(self) -> Expression:
        return self._interval(604_800_000)

    @property
    def day(self) -> Expression:
        return self._interval(86_400_000)

    @property
    def hour(self) -> Expression:
        return self._interval(3_600_000)

    @property
    def minute(self) -> Expression:
        return self._interval(60_000)

    @property
    def second(self) -> Expression:
        return self._interval(1_000)

    @property
    def milli(self) -> Expression:
        return self._interval(1)

    years, quarters, months, weeks, days = year, quarter, month, week, day
    hours, minutes, seconds, millis = hour, minute, second, milli

    @property
    def to_date(self) -> Expression:
        return Expression(Cast(self._node, logical.DATE))

    @property
    def to_time(self) -> Expression:
        return Expression(Cast(self._node, logical.TIME))

    @property
    def to_timestamp(self) -> Expression:
        return Expression(Cast(self._node, logical.TIMESTAMP_3))

    def extract(self, time_interval_unit: TimeIntervalUnit) -> Expression:
        """A part of a date, time or timestamp, as BIGINT."""
        return call("extract", time_interval_unit, self)

    def floor(self, time_interval_unit: TimeIntervalUnit | None = None) -> Expression:
        """The largest integer not above the number; with a unit, the start of the unit."""
        return call("floor", self, *_some(time_interval_unit))

    def ceil(self, time_interval_unit: TimeIntervalUnit | None = None) -> Expression:
        return call("ceil", self, *_some(time_interval_unit))

    # -- mathematics ------------------------------------------------------------------------------------

    @property
    def abs(self) -> Expression:
        return call("abs", self)

    @property
    def sign(self) -> Expression:
        return call("sign", self)

    def round(self, places: Any) -> Expression:
        """Rounded to decimal places, half away from zero."""
        return call("round", self, places)

    def truncate(self, n: Any = 0) -> Expression:
        return call("truncate", self, n)

    @property
    def sqrt(self) -> Expression:
        return call("sqrt", self)

    @property
    def exp(self) -> Expression:
        return call("exp", self)

    @property
    def ln(self) -> Expression:
        return call("ln", self)

    @property
    def log10(self) -> Expression:
        return call("log10", self)

    @property
    def log2(self) -> Expression:
        return call("log2", self)

    def log(self, base: Any = None) -> Expression:
        """The natural logarithm, or the logarithm to a base."""
        return call("log", self) if base is None else call("log", base, self)

    @property
    def sin(self) -> Expression:
        return call("sin", self)

    @property
    def cos(self) -> Expression:
        return call("cos", self)

    @property
    def tan(self) -> Expression:
        return call("tan", self)

    @property
    def cot(self) -> Expression:
        return call("cot", self)

    @property
    def sinh(self) -> Expression:
        return call("sinh", self)

    @property
    def cosh(self) -> Expression:
        return call("cosh", self)

    @property
    def tanh(self) -> Expression:
        return call("tanh", self)

    @property
    def asin(self) -> Expression:
        return call("asin", self)

    @property
    def acos(self) -> Expression:
        return call("acos", self)

    @property
    def atan(self) -> Expression:
        return call("atan", self)

    @property
    def degrees(self) -> Expression:
        return call("degrees", self)

    @property
    def radians(self) -> Expression:
        return call("radians", self)

    @property
    def bin(self) -> Expression:
        return call("bin", self)

    @property
    def hex(self) -> Expression:
        return call("hex", self)

    # -- strings ----------------------------------------------------------------------------------------

    def concat(self, other: Any) -> Expression:
        return call("concat", self, other)

    def substring(self, begin_index: Any, length: Any = None) -> Expression:
        """Characters from `begin_index`, counted from 1."""
        return call("substring", self, begin_index, *_some(length))

    def substr(self, begin_index: Any, length: Any = None) -> Expression:
        return call("substr", self, begin_index, *_some(length))

    def trim_leading(self, character: Any = " ") -> Expression:
        return call("trim", True, False, character, self)

    def trim_trailing(self, character: Any = " ") -> Expression:
        return call("trim", False, True, character, self)

    def trim(self, character: Any = " ") -> Expression:
        return call("trim", True, True, character, self)

    def ltrim(self, trim_str: Any = None) -> Expression:
        return call("ltrim", self, *_some(trim_str))

    def rtrim(self, trim_str: Any = None) -> Expression:
        return call("rtrim", self, *_some(trim_str))

    def btrim(self, trim_str: Any = None) -> Expression:
        return call("BTRIM", self, *_some(trim_str))

    def replace(self, search: Any, replacement: Any) -> Expression:
        return call("replace", self, search, replacement)

    def translate(self, from_str: Any, to_str: Any) -> Expression:
        return call("TRANSLATE", self, from_str, to_str)

    @property
    def char_length(self) -> Expression:
        return call("charLength", self)

    @property
    def upper_case(self) -> Expression:
        return call("upper", self)

    @property
    def lower_case(self) -> Expression:
        return call("lower", self)

    @property
    def init_cap(self) -> Expression:
        return call("initCap", self)

    def like(self, pattern: Any = None, escape: Any = None) -> Expression:
        """SQL's LIKE: % any characters, _ one; the escape is a backslash unless given."""
        return call("LIKE", self, pattern, *_some(escape))

    def similar(self, pattern: Any) -> Expression:
        return call("similar", self, pattern)

    def starts_with(self, start_expr: Any) -> Expression:
        return call("STARTSWITH", self, start_expr)

    def ends_with(self, end_expr: Any) -> Expression:
        return call("ENDSWITH", self, end_expr)

    def position(self, haystack: Any) -> Expression:
        """Where this is in `haystack`, from 1; 0 when it is not."""
        return call("position", self, haystack)

    def instr(self, s: Any) -> Expression:
        return call("instr", self, s)

    def locate(self, s: Any, pos: Any = None) -> Expression:
        return call("locate", self, s, *_some(pos))

    def left(self, length: Any) -> Expression:
        return call("left", self, length)

    def right(self, length: Any) -> Expression:
        return call("right", self, length)

    def lpad(self, length: Any, pad: Any) -> Expression:
        return call("lpad", self, length, pad)

    def rpad(self, length: Any, pad: Any) -> Expression:
        return call("rpad", self, length, pad)

    def repeat(self, n: Any) -> Expression:
        return call("repeat", self, n)

    def overlay(self, new_string: Any, starting: Any, length: Any = None) -> Expression:
        return call("overlay", self, new_string, starting, *_some(length))

    @property
    def reverse(self) -> Expression:
        return call("reverse", self)

    def split_index(self, separator: Any, index: Any) -> Expression:
        """The part at `index`, from 0, of the string split at the separator; null when there is none."""
        return call("splitIndex", self, separator, index)

    def regexp(self, regex: Any) -> Expression:
        return call("regexp", self, regex)

    def regexp_replace(self, regex: Any, replacement: Any) -> Expression:
        return call("regexpReplace", self, regex, replacement)

    def regexp_extract(self, regex: Any, extract_index: Any = None) -> Expression:
        return call("regexpExtract", self, regex, *_some(extract_index))

    @property
    def ascii(self) -> Expression:
        return call("ascii", self)

    @property
    def chr(self) -> Expression:
        return call("chr", self)

    @property
    def to_base64(self) -> Expression:
        return call("toBase64", self)

    @property
    def from_base64(self) -> Expression:
        return call("fromBase64", self)

    def encode(self, charset: Any) -> Expression:
        return call("encode", self, charset)

    def decode(self, charset: Any) -> Expression:
        return call("decode", self, charset)

    @property
    def md5(self) -> Expression:
        return call("md5", self)

    @property
    def sha1(self) -> Expression:
        return call("sha1", self)

    @property
    def sha224(self) -> Expression:
        return call("sha224", self)

    @property
    def sha256(self) -> Expression:
        return call("sha256", self)

    @property
    def sha384(self) -> Expression:
        return call("sha384", self)

    @property
    def sha512(self) -> Expression:
        return call("sha512", self)

    def sha2(self, hash_length: Any) -> Expression:
        return call("sha2", self, hash_length)
