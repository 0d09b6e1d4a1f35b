# SPDX-License-Identifier: Apache-2.0
"""What the DataStream API makes of its arguments, and says at once when they cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flinkcore.columnar.arrow_types import schema_of
from flinkcore.columnar.schema import Schema
from flinkcore.columnar.typeinfo import RowTypeInfo, TypeInformation
from flinkcore.common.watermark_strategy import WatermarkStrategy
from flinkcore.errors import ConfigurationError, SchemaError
from flinkcore.expr.nodes import Expr, FieldReference
from flinkcore.operators.functions import (
    Function,
)
from flinkcore.table.expression import Expression

#: Flink's upper limit of parallelism and of key groups.
PARALLELISM_MAX = 32768


def nodes_of(expressions: Sequence[Any], what: str) -> list[Expr]:
    """The trees of expressions of the DSL; names of columns may stand for themselves."""
    nodes: list[Expr] = []
    for expression in expressions:
        if isinstance(expression, str):
            nodes.append(FieldReference(expression))
        elif isinstance(expression, Expression):
            nodes.append(expression.node)
        else:
            raise SchemaError(
                f"{what} takes expressions (flinkcore.table.expressions: col, lit, ...) or column names, "
                f"got {type(expression).__name__} {expression!r}"
            )
    return nodes


def output_schema(output_type: TypeInformation | list[TypeInformation] | None) -> Schema:
    """Of Python objects without a type; a list of types is one of rows, as in PyFlink."""
    if output_type is None:
        return Schema.of_objects()
    return schema_of(RowTypeInfo(output_type) if isinstance(output_type, list) else output_type)


def require_function(method: str, func: Any, base: type) -> None:
    """A callable or an object of the class; not an object of another class, nor the class itself."""
    if isinstance(func, base) or (callable(func) and not isinstance(func, Function) and not _is_class(func)):
        return
    raise ConfigurationError(f"{method} takes a function or a {base.__name__}, got {called(func)}")


def _is_class(func: Any) -> bool:
    return isinstance(func, type) and issubclass(func, Function)


def called(value: Any) -> str:
    if _is_class(value):
        return f"the class {value.__name__}; make an object of it: {value.__name__}()"
    return f"{type(value).__name__} {value!r}"


def require_text(what: str, value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"a {what} is a text, got {value!r}")


def require_parallelism(what: str, value: Any) -> None:
    """ConfigurationError unless `value` is from 1 to Flink's limit."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= PARALLELISM_MAX:
        raise ConfigurationError(f"{what} must be a whole number from 1 to {PARALLELISM_MAX}, got {value!r}")


def require_strategy(method: str, value: Any) -> None:
    """ConfigurationError unless `value` is a WatermarkStrategy."""
    if not isinstance(value, WatermarkStrategy):
        raise ConfigurationError(
            f"{method} takes a WatermarkStrategy, e.g. "
            f"WatermarkStrategy.for_monotonous_timestamps(), got {value!r}"
        )
