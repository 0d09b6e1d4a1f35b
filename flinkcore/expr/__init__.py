# SPDX-License-Identifier: Apache-2.0
"""Expressions: one tree for the DSL, strings and SQL; resolution against a schema; evaluation on columns.

    compile(exprs, schema) -> CompiledProjection      .project(batch) -> list[Column], .filter_mask(batch) -> bool[n]
    compile_predicate(expr, schema)                   checks that it is BOOLEAN
    evaluate(expr, batch) -> Column
    aggregate.plan(exprs, schema, ...)                aggregate calls, their arguments and what is computed from them
"""

from flinkcore.expr.evaluate import CompiledProjection, compile, compile_predicate, evaluate, projected_schema
from flinkcore.expr.nodes import Alias, Call, Cast, Expr, FieldReference, Literal, output_name, without_alias

__all__ = ["Alias", "Call", "Cast", "CompiledProjection", "Expr", "FieldReference", "Literal", "compile",
           "compile_predicate", "evaluate", "output_name", "projected_schema", "without_alias"]
