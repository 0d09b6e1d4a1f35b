# SPDX-License-Identifier: Apache-2.0
"""The built-in scalar functions: one row each. A new function is a new row (and its evaluator).

The name is Flink's, as `str()` of an expression shows it; `names` are further ones that string expressions
know.
"""

from __future__ import annotations

from flinkcore.expr import arithmetic, logic, logical, nested, signatures, strings, temporal
from flinkcore.expr.lowering import (
    choosing,
    comparing,
    connecting,
    dividing,
    elementwise,
    negation,
    presence,
)
from flinkcore.expr.typed import Function

F = Function

_CONCAT = F("concat", "S S* -> S", strings.concat)
_SHIFT_UP = F("plus", evaluate=temporal.shift(1))
_SHIFT_DOWN = F("minus", evaluate=temporal.shift(-1))
_DIFFERENCE = F("minus", evaluate=temporal.difference)
_FLOOR_TO = F("floor", evaluate=temporal.to_unit(True))
_CEIL_TO = F("ceil", evaluate=temporal.to_unit(False))
_AND = F("and", "B B* -> B", logic.and_, lazily=logic.and_lazily, lower=connecting("AND_MASK"))
_OR = F("or", "B B* -> B", logic.or_, lazily=logic.or_lazily, lower=connecting("OR_MASK"))
_EQUALS = F("equals", signatures.compare(False), logic.equals, lower=comparing("EQ"))
_LESS = F("lessThan", signatures.compare(True), logic.less, lower=comparing("LT"))
_LESS_OR_EQUAL = F("lessThanOrEqual", signatures.compare(True), logic.less_or_equal, lower=comparing("LE"))
_GREATER = F("greaterThan", signatures.compare(True), logic.greater, lower=comparing("GT"))
_GREATER_OR_EQUAL = F("greaterThanOrEqual", signatures.compare(True), logic.greater_or_equal, lower=comparing("GE"))


def _math(name: str, signature: str = "D -> D") -> Function:
    return F(name, signature, arithmetic.MATH[name])


def _rows(name: str, signature: str, evaluate: object, **more: object) -> Function:
    return F(name, signature, evaluate, per_row=True, **more)  # type: ignore[arg-type]


FUNCTIONS: tuple[Function, ...] = (
    # comparison
    _EQUALS,
    F("notEquals", signatures.compare(False), logic.not_equals, lower=comparing("NE")),
    _LESS, _LESS_OR_EQUAL, _GREATER, _GREATER_OR_EQUAL,
    F("between", signatures.between(_GREATER_OR_EQUAL, _LESS_OR_EQUAL, _AND)),
    F("notBetween", signatures.between(_LESS, _GREATER, _OR)),
    F("in", "C C* -> B", logic.in_),
    # logic
    _AND, _OR,
    F("not", "B -> B", logic.not_, lower=negation),
    F("isTrue", "B -> B", logic.is_true, nullable="never"),
    F("isFalse", "B -> B", logic.is_false, nullable="never"),
    F("isNotTrue", "B -> B", logic.is_not_true, nullable="never"),
    F("isNotFalse", "B -> B", logic.is_not_false, nullable="never"),
    F("isNull", "A -> B", logic.is_null, nullable="never", lower=presence(False)),
    F("isNotNull", "A -> B", logic.is_not_null, nullable="never", lower=presence(True)),
    F("ifThenElse", signatures.choose, logic.if_then_else, names=("?", "then"), lazily=logic.if_lazily,
      lower=choosing),
    F("coalesce", signatures.first_present, logic.coalesce, lazily=logic.coalesce_lazily),
    F("ifNull", signatures.first_present, logic.coalesce, lazily=logic.coalesce_lazily),
    F("greatest", "C C* -> C", logic.greatest),
    F("least", "C C* -> C", logic.least),
    # arithmetic
    F("plus", signatures.plus(_CONCAT, _SHIFT_UP), arithmetic.plus, lower=elementwise(i64="ADD", f64="ADD_F64")),
    F("minus", signatures.minus(_SHIFT_DOWN, _DIFFERENCE), arithmetic.minus,
      lower=elementwise(i64="SUB", f64="SUB_F64")),
    F("times", signatures.times, arithmetic.times, lower=elementwise(i64="MUL", f64="MUL_F64")),
    F("divide", signatures.divide, arithmetic.divide, names=("dividedBy",), may_fail=True,
      lower=dividing("DIV")),
    F("mod", signatures.modulo, arithmetic.modulo, may_fail=True, lower=dividing("REM")),
    F("minusPrefix", signatures.negate, arithmetic.negate, names=("negative",),
      lower=elementwise(i64="NEG", f64="NEG_F64")),
    F("abs", "N -> 0", arithmetic.absolute, lower=elementwise(i64="ABS", f64="ABS_F64")),
    F("sign", "N -> 0", arithmetic.sign),
    F("floor", signatures.rounds(_FLOOR_TO), arithmetic.floor),
    F("ceil", signatures.rounds(_CEIL_TO), arithmetic.ceil),
    F("round", signatures.rounds_to_places, arithmetic.round_half_up, per_row=True),
    F("truncate", signatures.rounds_to_places, arithmetic.truncate, per_row=True),
    _math("power", "D D -> D"), _math("sqrt"), _math("exp"), _math("ln"), _math("log10"), _math("log2"),
    _math("log", "D D? -> D"), _math("sin"), _math("cos"), _math("tan"), _math("cot"), _math("sinh"),
    _math("cosh"), _math("tanh"), _math("asin"), _math("acos"), _math("atan"), _math("atan2", "D D -> D"),
    _math("degrees"), _math("radians"),
    F("pi", "-> D", lambda args, type, rows: logic.Vector.of_constant(3.141592653589793, type)),
    F("e", "-> D", lambda args, type, rows: logic.Vector.of_constant(2.718281828459045, type)),
    _rows("bin", "I -> S", strings.binary_text),
    _rows("hex", "A -> S", strings.hexadecimal),
    # strings
    _CONCAT,
    F("concat_ws", "S S* -> S", strings.concat_ws),
    F("upper", "S -> S", strings.upper, names=("upperCase",)),
    F("lower", "S -> S", strings.lower, names=("lowerCase",)),
    F("charLength", "S -> I", strings.char_length),
    F("substring", "S I I? -> S", strings.substring),
    F("substr", "S I I? -> S", strings.substring),
    F("trim", "B B S S -> S", strings.trim),
    F("ltrim", "S S? -> S", strings.ltrim),
    F("rtrim", "S S? -> S", strings.rtrim),
    F("BTRIM", "S S? -> S", strings.trim_both),
    F("replace", "S S S -> S", strings.replace),
    _rows("TRANSLATE", "S S S -> S", strings.translate),
    F("LIKE", "S S S? -> B", strings.like),
    _rows("similar", "S S -> B", strings.similar),
    F("STARTSWITH", "S S -> B", strings.starts_with, names=("startsWith",)),
    F("ENDSWITH", "S S -> B", strings.ends_with, names=("endsWith",)),
    _rows("regexp", "S S -> B", strings.regexp),
    _rows("regexpReplace", "S S S -> S", strings.regexp_replace),
    _rows("regexpExtract", "S S I? -> S", strings.regexp_extract, nullable="always"),
    _rows("position", "S S -> I", strings.position),
    _rows("instr", "S S -> I", strings.instr),
    _rows("locate", "S S I? -> I", strings.locate),
    _rows("left", "S I -> S", strings.left),
    _rows("right", "S I -> S", strings.right),
    _rows("lpad", "S I S -> S", strings.lpad, nullable="always"),
    _rows("rpad", "S I S -> S", strings.rpad, nullable="always"),
    _rows("repeat", "S I -> S", strings.repeat),
    _rows("overlay", "S S I I? -> S", strings.overlay),
    F("reverse", "S -> S", strings.reverse),
    _rows("initCap", "S -> S", strings.init_cap),
    _rows("splitIndex", "S A I -> S", strings.split_index, nullable="always"),
    _rows("ascii", "S -> I", strings.ascii_code),
    _rows("chr", "I -> S", strings.char_of),
    _rows("toBase64", "S -> S", strings.to_base64),
    _rows("fromBase64", "S -> S", strings.from_base64),
    _rows("encode", "S S -> Y", strings.encode),
    _rows("decode", "Y S -> S", strings.decode),
    _rows("md5", "S -> S", strings.digest("md5")),
    _rows("sha1", "S -> S", strings.digest("sha1")),
    _rows("sha224", "S -> S", strings.digest("sha224")),
    _rows("sha256", "S -> S", strings.digest("sha256")),
    _rows("sha384", "S -> S", strings.digest("sha384")),
    _rows("sha512", "S -> S", strings.digest("sha512")),
    _rows("sha2", "S I -> S", strings.sha2, nullable="always"),
    # rows, arrays, maps
    F("row", nested.row_signature, nested.make_row),
    F("array", nested.array_signature, nested.make_array),
    F("get", nested.get_signature, nested.get_field),
    F("at", nested.at_signature, nested.element_at, per_row=True),
    F("cardinality", "A -> I", nested.cardinality, per_row=True),
    # time
    F("extract", "S T -> L", temporal.extract),
    F("timestampDiff", "S T T -> I", temporal.timestamp_diff, per_row=True),
    F("currentDate", signatures.returns(logical.DATE, 0), temporal.now),
    F("currentTime", signatures.returns(logical.TIME, 0), temporal.now),
    F("localTime", signatures.returns(logical.TIME, 0), temporal.now),
    F("currentTimestamp", signatures.returns(logical.TIMESTAMP_LTZ_3, 0), temporal.now),
    F("localTimestamp", signatures.returns(logical.TIMESTAMP_3, 0), temporal.now),
    F("unixTimestamp", signatures.returns(logical.INT64, 0, 1, 2),
      lambda args, type, rows: (temporal.unix_timestamp if args else temporal.unix_now)(args, type, rows),
      per_row=True),
    _rows("fromUnixtime", "I S? -> S", temporal.from_unixtime),
    _rows("dateFormat", "A S -> S", temporal.date_format),
    F("toDate", signatures.returns(logical.DATE, 1, 2), temporal.to_date, per_row=True, nullable="always"),
    F("toTimestamp", signatures.returns(logical.TIMESTAMP_3, 1, 2), temporal.to_timestamp, per_row=True,
      nullable="always"),
    F("TO_TIMESTAMP_LTZ", signatures.returns(logical.TIMESTAMP_LTZ_3, 1, 2), temporal.to_timestamp_ltz,
      names=("toTimestampLtz",)),
    F("TUMBLE_START", signatures.window_start, temporal.window_start),
)  # fmt: skip

BY_NAME: dict[str, Function] = {function.name: function for function in FUNCTIONS}

# String expressions ignore case and know more names.
BY_ANY_NAME: dict[str, Function] = {
    name.lower(): function for function in FUNCTIONS for name in (function.name, *function.names)
}
